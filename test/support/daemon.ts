/** The real daemon as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Finished, finished } from './cli.js';
import type { Scope } from './scope.js';

/** Another build's program by the environment, for the same tests of it. */
const PROGRAM =
  process.env['EVENTLOGD_TEST_DAEMON'] ??
  fileURLToPath(new URL('../../daemon/main.js', import.meta.url));
const RETRY_MS = 10;

export interface DaemonProcess {
  readonly dir: string;
  readonly socketPath: string;
  readonly process: ChildProcess;
  /** Everything it has written so far. */
  readonly output: () => string;
  /** Sends a signal and waits for its end. */
  readonly kill: (signal: NodeJS.Signals) => Promise<number | null>;
  /** Its exit code, once it has ended; null after a signal that it did not handle. */
  readonly ended: Promise<number | null>;
  /** Ends it with SIGTERM and waits for its exit code. */
  readonly stop: () => Promise<number | null>;
}

/** A daemon ended before it listened. */
export class DaemonEndedError extends Error {
  readonly code: number | null;

  constructor(child: ChildProcess, output: string) {
    super(`the daemon ended with ${child.exitCode ?? child.signalCode}: ${output}`);
    this.code = child.exitCode;
  }
}

export interface DaemonOptions {
  readonly dir?: string;
  readonly args?: readonly string[];
  /** A program that execs the daemon, and its arguments: `['setpriv', '--reuid=65534']`. */
  readonly through?: readonly string[];
  /** Put into its environment, beside what the test's holds. */
  readonly env?: Readonly<Record<string, string>>;
  /** The `main.js` of another build. */
  readonly program?: string;
}

/**
 * Runs `eventlogd` to its end: for commands that end by themselves and starts that are refused.
 *
 * @param through a program that execs it, and its arguments
 */
export async function runDaemonProgram(
  args: readonly string[],
  through: readonly string[] = [],
): Promise<Finished & { readonly output: string }> {
  const [command = process.execPath, ...rest] = [...through, process.execPath, PROGRAM, ...args];
  const done = await finished(spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] }));
  return { ...done, output: `${done.stdout}${done.stderr}` };
}

/** Starts a daemon without waiting for it, for a test that kills it on the way up. */
export function startDaemonToBeKilled(
  t: Scope,
  dir: string,
): { readonly kill: () => Promise<void> } {
  const child = spawn(process.execPath, [PROGRAM, 'start', '--dir', dir], { stdio: 'ignore' });
  const ended = once(child, 'close');
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  t.teardown(kill);
  return { kill };
}

/** A folder with a short path: sockets have little room. */
export async function makeFolder(t: Scope): Promise<string> {
  const folder = await mkdtemp('/tmp/el-');
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Starts a daemon and waits until it listens; it ends with the test. */
export async function startDaemonProcess(
  t: Scope,
  options: DaemonOptions = {},
): Promise<DaemonProcess> {
  const dir = options.dir ?? join(await makeFolder(t), 'd');
  const [command = process.execPath, ...rest] = [
    ...(options.through ?? []),
    process.execPath,
    options.program ?? PROGRAM,
    'start',
    '--dir',
    dir,
    ...(options.args ?? []),
  ];
  const child = spawn(command, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  let output = '';
  const gather = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  child.stdout.on('data', gather);
  child.stderr.on('data', gather);
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const kill = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    return await ended;
  };
  t.teardown(() => kill('SIGKILL'));
  const socketPath = await listening(dir, child, () => output);
  return {
    dir,
    socketPath,
    process: child,
    output: () => output,
    kill,
    ended,
    stop: () => kill('SIGTERM'),
  };
}

async function listening(dir: string, child: ChildProcess, output: () => string): Promise<string> {
  for (;;) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new DaemonEndedError(child, output());
    }
    const path = await readFile(join(dir, '.eventlogd', 'endpoint'), 'utf8').catch(() => '');
    if (path !== '' && (await accepts(path.trim()))) return path.trim();
    await sleep(RETRY_MS);
  }
}

async function accepts(path: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = createConnection({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

/** The memory that the daemon, or another process, takes now, in bytes. */
export async function residentBytes(daemon: Pick<DaemonProcess, 'process'>): Promise<number> {
  const status = await readFile(`/proc/${daemon.process.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}
