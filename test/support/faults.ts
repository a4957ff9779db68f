/**
 * Faults as the operating system gives them: small file systems, limits on file sizes, refused
 * system calls. What needs a privilege or a tool that is not there is skipped by its title.
 */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import test, { type ExecutionContext, type Implementation } from 'ava';
import { connect, type DaemonStats, EventLogError } from '../../client/index.js';
import { makeFolder } from './daemon.js';
import { FaultShim } from './fault-shim/fault-shim.js';
import { PowerDisk } from './power-disk.js';

const run = promisify(execFile);
const RETRY_MS = 20;
const PATIENCE_MS = 60_000;
const TRACER_STUCK_MS = 1_000;
const PAGE_BYTES = 4096;

type Need =
  | 'root'
  | 'mount'
  | 'prlimit'
  | 'strace'
  | 'setpriv'
  | 'chattr'
  | 'chromium'
  | 'python3'
  | 'jq'
  | 'npm'
  | 'npx'
  | 'script'
  | 'systemd-analyze'
  | '/proc'
  | 'systemd-notify'
  | 'fault shim'
  | 'power disk';

/** Declares a test that needs these; without one it is skipped and its title says why. */
export function testWith(
  needs: readonly Need[],
  title: string,
  body: Implementation<[]>,
  declare: typeof test | typeof test.serial = test,
): void {
  const missing = needs.flatMap((need) => lackOf(need) ?? []);
  if (missing.length === 0) declare(title, body);
  else test.skip(`${title} [skipped: no ${missing.join(', no ')}]`, body);
}

/** What is missing, and why if that can be said; null if it is there. */
function lackOf(need: Need): string | null {
  if (need === 'fault shim' || need === 'power disk') {
    const reason = (need === 'fault shim' ? FaultShim : PowerDisk).absence();
    return reason === null ? null : `${need}: ${reason}`;
  }
  return isThere(need) ? null : need;
}

function isThere(need: Exclude<Need, 'fault shim' | 'power disk'>): boolean {
  if (need === 'root') return process.getuid?.() === 0;
  if (need === 'chattr') return hasImmutableFiles();
  if (need === '/proc') return process.platform === 'linux';
  // Other systems have programs of the other names that are not the same.
  const isEverywhere = need === 'jq' || need === 'npm' || need === 'npx';
  if (process.platform !== 'linux' && !isEverywhere) return false;
  return spawnSync(need, ['--version']).error === undefined;
}

/** Whether the file system of test folders knows the flag. */
function hasImmutableFiles(): boolean {
  const folder = mkdtempSync('/tmp/el-');
  const path = join(folder, 'f');
  writeFileSync(path, '');
  const { status } = spawnSync('chattr', ['+i', path]);
  if (status === 0) spawnSync('chattr', ['-i', path]);
  rmSync(folder, { recursive: true });
  return status === 0;
}

/** A file system of its own with so many bytes of room, at that folder. */
export async function mountSmall(
  t: ExecutionContext,
  folder: string,
  bytes: number,
): Promise<string> {
  await mkdir(folder, { recursive: true });
  await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', folder]);
  // Lazily, for a daemon that a failed test left behind may still have its folder open.
  t.teardown(() => run('umount', ['-l', folder]));
  return folder;
}

/** A disk that can lose power; it goes with the test. */
export async function powerDisk(t: ExecutionContext, bytes: number): Promise<PowerDisk> {
  const disk = await PowerDisk.make(await makeFolder(t), bytes);
  t.teardown(() => disk.remove());
  return disk;
}

/** A small file system in a folder with a short path. */
export async function smallDisk(t: ExecutionContext, bytes: number): Promise<string> {
  return await mountSmall(t, join(await makeFolder(t), 'm'), bytes);
}

/** Takes all room of the folder's file system but so many pages; returns the file that took it. */
export async function fillUp(folder: string, pagesLeft = 0): Promise<string> {
  const path = join(folder, 'filler');
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, 0o600);
  const page = Buffer.alloc(PAGE_BYTES, 'x');
  let pages = 0;
  try {
    for (;;) {
      writeSync(fd, page);
      pages += 1;
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    closeSync(fd);
  }
  if (pagesLeft > 0) await run('truncate', ['-s', String((pages - pagesLeft) * PAGE_BYTES), path]);
  return path;
}

/** Gives the room back. */
export async function makeRoom(filler: string): Promise<void> {
  await rm(filler);
}

/** Limits the size to which the process can grow any file; `null` lifts the limit. */
export async function limitFileSize(pid: number, bytes: number | null): Promise<void> {
  await run('prlimit', ['--pid', String(pid), `--fsize=${bytes ?? 'unlimited'}:`]);
}

/** From its return on, the process's system calls (on that file) are refused as the text says. */
export async function injectFault(
  t: ExecutionContext,
  pid: number,
  inject: string,
  path?: string,
): Promise<{
  readonly lift: () => Promise<void>;
  /** Resolves when the fault, a signal, has killed the process or a thread of it. */
  readonly killed: Promise<void>;
}> {
  const calls = inject.slice(0, inject.indexOf(':'));
  const options = ['-f', '-p', String(pid), '-e', `trace=${calls}`, '-e', `inject=${inject}`];
  if (path !== undefined) options.push('-P', path);
  const tracer = spawn('strace', options, { stdio: ['ignore', 'ignore', 'pipe'] });
  const ended = once(tracer, 'close');
  const lift = async (): Promise<void> => {
    tracer.kill('SIGINT');
    // A tracer may wait for ever for threads of a process that it killed.
    const stuck = setTimeout(() => tracer.kill('SIGKILL'), TRACER_STUCK_MS);
    await ended;
    clearTimeout(stuck);
  };
  t.teardown(lift);
  let output = '';
  let kill: () => void = () => undefined;
  const killed = new Promise<void>((resolve) => {
    kill = resolve;
  });
  await new Promise<void>((resolve, reject) => {
    tracer.stderr.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      if (output.includes(' attached')) resolve();
      if (output.includes('+++ killed by ')) kill();
    });
    tracer.once('close', () => reject(new Error(`strace ended: ${output}`)));
  });
  return { lift, killed };
}

/** Asks again until the answer is accepted. A deadline ends a test that would wait for ever. */
export async function eventually<T>(
  ask: () => T | Promise<T>,
  accepts: (answer: T) => boolean,
): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await ask();
    if (accepts(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`still ${JSON.stringify(answer)}`);
    await sleep(RETRY_MS);
  }
}

/** Waits until the daemon says that it is in this state. */
export async function healthOf(
  log: { readonly stats: () => Promise<DaemonStats> },
  health: string,
): Promise<void> {
  await eventually(
    async () => (await log.stats()).health,
    (now) => now === health,
  );
}

/** The error that the promise fails with; an answer is returned as a text that is no code. */
export async function refusal(
  promise: Promise<unknown>,
): Promise<{ readonly code: string; readonly outcome: string; readonly message: string }> {
  try {
    return { code: 'ANSWERED', outcome: '', message: JSON.stringify(await promise) };
  } catch (error) {
    if (!(error instanceof EventLogError)) throw error;
    const { code, outcome, message } = error;
    return { code, outcome, message };
  }
}

/** Repeats an append until it is taken; anything but a lack of room ends the test. */
export async function whenThereIsRoom<T>(append: () => Promise<T>): Promise<T> {
  let taken: { readonly value: T } | undefined;
  await eventually(
    async () => {
      try {
        taken = { value: await append() };
        return 'taken';
      } catch (error) {
        if (error instanceof EventLogError && error.code === 'STORAGE_FULL') return error.message;
        throw error;
      }
    },
    (answer) => answer === 'taken',
  );
  return (taken as { readonly value: T }).value;
}

/** The lines of a file, none where it is not there. */
export async function linesOf(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  return text.split('\n').filter((line) => line !== '');
}

/** The path of a session's file. */
export function sessionFile(dir: string, sessionId: string): string {
  return join(dir, '_turn_journal', `${sessionId}.jsonl`);
}

/** The path of a run's file. */
export function runFile(dir: string, threadId: string, runId: string): string {
  return join(dir, 'threads', threadId, 'runs', `${runId}.jsonl`);
}

/** Every path below the folder. */
export function treeOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length))
    .sort();
}

/** A client that ends with the test. */
export async function client(t: ExecutionContext, dir: string): ReturnType<typeof connect> {
  const log = await connect({ dir });
  t.teardown(() => log.close());
  return log;
}
