/**
 * What watching costs: the CPU of a daemon at 10,000 appends a second into watched files, beside
 * that of its watcher alone over the same files, over idle ones, and over streams that come and
 * go; and why chokidar is never asked to unwatch.
 */
import { spawn } from 'node:child_process';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { watch } from 'chokidar';
import { connect } from '../client/index.js';
import { Stream } from '../daemon/streams/stream.js';
import { Watcher } from '../daemon/watch/watcher.js';
import { WATCHED_FILES_MAX } from '../shared/limits.js';

const SESSIONS = 50;
const CLIENTS = 4;
const TICK_MS = 20;
const APPENDS_PER_SECOND = 10_000;
const SECONDS = 10;
const TICKS_PER_SECOND = 100;

const [mode = '', folder = ''] = process.argv.slice(2);
if (mode === 'write') await writeForEver(folder);
else await main();

async function main(): Promise<void> {
  const [cpu] = cpus();
  console.log(`Node ${process.version}, ${cpus().length} × ${cpu?.model ?? 'unknown'}`);
  await daemonUnderLoad();
  const busy = sessionFolder(SESSIONS);
  const writer = spawn(process.execPath, [fileURLToPath(import.meta.url), 'write', busy]);
  const written = await watcherCost(() => streamsIn(busy, SESSIONS));
  writer.kill();
  report(`watcher alone, ${SESSIONS} files written 500 times a second`, written);
  for (const count of [1_000, WATCHED_FILES_MAX]) {
    const idle = sessionFolder(count);
    const streams = streamsIn(idle, count);
    report(`watcher alone, ${count} idle files`, await watcherCost(() => streams));
    rmSync(idle, { recursive: true });
  }
  await comingAndGoing();
  await unwatching();
  rmSync(busy, { recursive: true });
}

/** The daemon as it runs: 4 clients, 50 sessions, 10,000 appends a second. */
async function daemonUnderLoad(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'el-'));
  const program = fileURLToPath(new URL('../daemon/main.js', import.meta.url));
  const daemon = spawn(process.execPath, [program, 'start', '--dir', dir], { stdio: 'ignore' });
  const logs = await Promise.all(Array.from({ length: CLIENTS }, () => connect({ dir })));
  const load = async (seconds: number): Promise<number> => {
    let sent = 0;
    const answers: Promise<unknown>[] = [];
    const began = performance.now();
    for (let now = began; now < began + seconds * 1000; now = performance.now()) {
      const due = ((now - began) * APPENDS_PER_SECOND) / 1000;
      while (sent < due) {
        const log = logs[sent % CLIENTS];
        const event = { event: 'token', content: 'x'.repeat(100) };
        if (log !== undefined) answers.push(log.turns.append(`s${sent % SESSIONS}`, event));
        sent += 1;
      }
      await sleep(TICK_MS);
    }
    await Promise.all(answers);
    return sent;
  };
  await load(2);
  const before = daemonCpu(daemon.pid ?? 0);
  const began = performance.now();
  const sent = await load(SECONDS);
  const seconds = (performance.now() - began) / 1000;
  const share = (daemonCpu(daemon.pid ?? 0) - before) / seconds;
  report(`daemon, ${Math.round(sent / seconds)} appends/s into ${SESSIONS} watched files`, share);
  await Promise.all(logs.map((log) => log.close()));
  daemon.kill('SIGTERM');
  await new Promise((resolve) => daemon.once('close', resolve));
  rmSync(dir, { recursive: true });
}

/** Seconds of CPU that a process has used, all its threads together. */
function daemonCpu(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ');
  return (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
}

/** The share of one core that this process takes with a watcher over these streams. */
async function watcherCost(inUse: () => Iterable<Stream>): Promise<number> {
  let suspected = 0;
  const watcher = new Watcher({
    inUse,
    // The daemon knows what it wrote; here each write is taken for known.
    suspect: (_stream, files) => {
      suspected += 1;
      for (const file of files) file.size = file.scanned = Number.MAX_SAFE_INTEGER;
    },
    pathsMax: WATCHED_FILES_MAX,
    onProblem: console.error,
  });
  watcher.start();
  await sleep(2_000);
  const before = process.cpuUsage();
  await sleep(SECONDS * 1000);
  const { user, system } = process.cpuUsage(before);
  await watcher.close();
  console.log(`  (${suspected} looks)`);
  return (user + system) / 1e6 / SECONDS;
}

/** 20,000 streams pass by, 1,000 of them open at a time. */
async function comingAndGoing(): Promise<void> {
  const all = 20_000;
  const open = 1_000;
  const passing = sessionFolder(all);
  const streams = streamsIn(passing, all);
  let from = 0;
  const timer = setInterval(() => {
    from = (from + open) % all;
  }, 500);
  report(
    '2,000 streams a second opened and closed',
    await watcherCost(() => streams.slice(from, from + open)),
  );
  clearInterval(timer);
  rmSync(passing, { recursive: true });
}

/** Closing and opening a thousand files, when so many were unwatched before. */
async function unwatching(): Promise<void> {
  const step = 1_000;
  const count = 8 * step;
  const files = sessionFolder(count);
  const watcher = watch([], { usePolling: true, interval: 500, ignoreInitial: true });
  for (let from = 0; from < count; from += step) {
    const paths = Array.from({ length: step }, (_, at) => join(files, `s${from + at}.jsonl`));
    const before = process.cpuUsage();
    watcher.add(paths);
    await sleep(1_500);
    watcher.unwatch(paths);
    const { user, system } = process.cpuUsage(before);
    const ms = Math.round((user + system) / 1000);
    console.log(
      `chokidar: ${step} files added and unwatched after ${from} others: ${ms} ms of CPU`,
    );
  }
  await watcher.close();
  rmSync(files, { recursive: true });
}

function sessionFolder(count: number): string {
  const made = mkdtempSync(join(tmpdir(), 'el-'));
  for (let at = 0; at < count; at += 1) writeFileSync(join(made, `s${at}.jsonl`), '{}\n');
  return made;
}

function streamsIn(where: string, count: number): Stream[] {
  return Array.from({ length: count }, (_, at) => {
    const stream = new Stream({ journal: 'turns', id: `s${at}` }, [where]);
    const file = stream.fileNamed(`s${at}.jsonl`);
    file.size = file.scanned = 3;
    stream.generation = 1;
    stream.state = { kind: 'ready' };
    return stream;
  });
}

/** Appends 20 lines to each of ten files every 20 ms: 10,000 lines a second. */
async function writeForEver(where: string): Promise<never> {
  const lines = `{"content":"${'x'.repeat(100)}"}\n`.repeat(20);
  for (let at = 0; ; at += 10) {
    for (let file = 0; file < 10; file += 1)
      appendFileSync(join(where, `s${(at + file) % SESSIONS}.jsonl`), lines);
    await sleep(TICK_MS);
  }
}

function report(what: string, share: number): void {
  console.log(`${what}: ${(share * 100).toFixed(1)} % of a core`);
}
