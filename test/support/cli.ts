/** The `eventlog` program as a process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../client/cli/main.js', import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Standard output's lines. */
  readonly lines: readonly string[];
}

/** Starts the program; standard input stays open. */
export function startCli(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): ChildProcess {
  return spawn(process.execPath, [PROGRAM, ...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], ...environment },
  });
}

/** Waits for the program's end. */
export async function finished(child: ChildProcess): Promise<Finished> {
  const { stdout: output, stderr: errors } = child;
  if (output === null || errors === null) throw new Error('the program has no pipes');
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const [code, stdout, stderr] = await Promise.all([ended, text(output), text(errors)]);
  const lines = stdout.split('\n').filter((line) => line !== '');
  return { code, stdout, stderr, lines };
}

/** Runs the program to its end with that standard input. */
export async function runCli(
  args: readonly string[],
  input = '',
  environment: Readonly<Record<string, string>> = {},
): Promise<Finished> {
  const child = startCli(args, environment);
  child.stdin?.on('error', () => {});
  child.stdin?.end(input);
  return await finished(child);
}
