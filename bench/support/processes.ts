/** Other processes: starting, watching their CPU, ending. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

/** A process that runs until it is told to stop. */
export interface Running extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly pid: number;
  /** What it wrote to standard error so far. */
  readonly errors: () => string;
  /** Ends it with that signal and waits for its end. */
  readonly end: (signal: NodeJS.Signals) => Promise<void>;
}

const started = new Set<ChildProcess>();

/** Ends at once all that still runs. */
export function killAll(): void {
  for (const child of started) child.kill('SIGKILL');
}

/** Starts a program. It gets a SIGTERM at its disposal. */
export function start(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Running {
  const child = spawn(command, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  return running(child);
}

/** Wraps a child that was started otherwise. */
export function running(child: ChildProcess): Running {
  const { pid } = child;
  if (pid === undefined) throw new Error(`${child.spawnfile} cannot be started`);
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const ended = once(child, 'exit');
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await ended;
  };
  started.add(child);
  void ended.then(() => started.delete(child));
  return { child, pid, errors: () => errors, end, [Symbol.asyncDispose]: () => end('SIGTERM') };
}

const TICKS_PER_SECOND =
  process.platform === 'linux'
    ? Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
    : null;

/** Seconds of CPU that a process has used, all its threads together; null where unknown. */
export function cpuSeconds(pid: number): number | null {
  if (TICKS_PER_SECOND === null) return null;
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The program's name, in parentheses, may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system] = [fields[11], fields[12]];
  return (Number(user) + Number(system)) / TICKS_PER_SECOND;
}
