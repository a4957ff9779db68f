import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Finished, finished } from '../support/cli.js';

const PROGRAM = fileURLToPath(new URL('./cluster.process.js', import.meta.url));

/** Runs `eventlogd` as a cluster worker to its end. */
export async function runCluster(args: readonly string[]): Promise<Finished & { output: string }> {
  const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = await finished(child);
  return { ...ended, output: ended.stdout + ended.stderr };
}
