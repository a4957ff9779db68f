/** Another program that writes to journal files: Python with plain `open(path, "a")` and `flock`. */
import { spawn } from 'node:child_process';
import { finished } from './cli.js';

/** Takes the lock, appends, lets it go; the arguments: path, count, bytes of padding, name. */
const WRITER = `
import fcntl, json, sys
path, count, padding, name = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
for number in range(1, count + 1):
    line = json.dumps({"event": "token", "content": f"{name}-{number}-0", "pad": "x" * padding})
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(line + "\\n")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_UN)
`;

export interface ForeignPlan {
  readonly path: string;
  readonly count: number;
  readonly padding?: number;
  readonly name?: string;
}

/** Lets a Python process append so many lines in a tight loop; resolves when it has ended. */
export async function appendFromPython(plan: ForeignPlan): Promise<void> {
  const { path, count, padding = 0, name = 'p' } = plan;
  const args = ['-c', WRITER, path, String(count), String(padding), name];
  const child = spawn('python3', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const { code, stderr } = await finished(child);
  if (code !== 0) throw new Error(`python ended with ${code}: ${stderr}`);
}
