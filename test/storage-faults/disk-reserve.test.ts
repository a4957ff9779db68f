/**
 * A small disk that fills up: it is told before it happens, appends are refused while there is a
 * reserve left, and go on by themselves.
 */
import { statfsSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { EventLog, TurnEvent } from '../../client/index.js';
import { runCli } from '../support/cli.js';
import type { DaemonProcess } from '../support/daemon.js';
import { startDaemonProcess } from '../support/daemon.js';
import {
  client,
  eventually,
  fillUp,
  healthOf,
  injectFault,
  linesOf,
  makeRoom,
  refusal,
  sessionFile,
  smallDisk,
  testWith,
  whenThereIsRoom,
} from '../support/faults.js';
import { pageAt, startHttpDaemon, valueAt } from '../support/http.js';
import { readSession, readThread } from '../support/journal-files.js';
import { offlineCommand } from '../support/offline.js';
import { checkStream, Writers } from '../support/writers.js';

const KIB = 1024;
const DISK_BYTES = 2 * KIB * KIB;
const RESERVE_BYTES = Math.floor(DISK_BYTES / 20);
const ARGS = ['--segment-bytes', '256k'];
/** Lines of a session that the daemon did not write, so that no log is spent on them. */
const OLD_LINES = 400;
const OLD_LINE = `${JSON.stringify({ event: 'token', content: 'x'.repeat(KIB - 100) })}\n`;
const WRITERS = 2;
const GRANT = 10;
/** Pages that a filler leaves: less than the reserve, but some. */
const PAGES_LEFT = 15;

/** A small disk with a session of an old library on it. */
async function diskWithOldSession(
  t: ExecutionContext,
): Promise<{ readonly disk: string; readonly dir: string }> {
  const disk = await smallDisk(t, DISK_BYTES);
  const dir = join(disk, 'd');
  const path = sessionFile(dir, 'old');
  await mkdir(dirname(path), { recursive: true });
  writeFileSync(path, OLD_LINE.repeat(OLD_LINES));
  return { disk, dir };
}

function startWriters(t: ExecutionContext, dir: string): Writers {
  const plan = { dir, threadId: 't', sessionId: 's', appends: null, window: 4 };
  return new Writers(t, WRITERS, plan);
}

/** Lets the writers append a little and waits for all answers. */
async function round(writers: Writers): Promise<void> {
  writers.grant(GRANT);
  await writers.answers(WRITERS * GRANT * 2);
}

function refusedOf({ outcomes }: Writers): Writers['outcomes'] {
  return outcomes.filter(({ outcome }) => outcome !== 'acked');
}

function freeBytesOf(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** What the daemon serves is what the writers were told. */
async function checkServed(t: ExecutionContext, log: EventLog, writers: Writers): Promise<void> {
  const of = (journal: 'turns' | 'runs') =>
    writers.outcomes.filter((outcome) => outcome.journal === journal);
  checkStream(t, (await log.turns.read('s')).events, of('turns'));
  checkStream(t, await log.runs.listMessages('t', { limit: 1_000_000 }), of('runs'));
}

/** The daemon stops well, and its files hold what the writers were told. */
async function checkStopped(
  t: ExecutionContext,
  daemon: DaemonProcess,
  writers: Writers,
): Promise<void> {
  const { dir } = daemon;
  t.is(await daemon.stop(), 0);
  const of = (journal: 'turns' | 'runs') =>
    writers.outcomes.filter((outcome) => outcome.journal === journal);
  checkStream(t, readSession(dir, 's'), of('turns'));
  checkStream(t, readThread(dir, 't'), of('runs'));
  const verified = await offlineCommand(dir, ['verify']);
  t.is(verified.code, 0, JSON.stringify(verified.rows));
}

/** Follows a session for as long as the test lasts. */
function following(t: ExecutionContext, log: EventLog, sessionId: string): TurnEvent[] {
  const events: TurnEvent[] = [];
  const ending = new AbortController();
  const ended = (async () => {
    for await (const event of log.turns.subscribe(sessionId, { signal: ending.signal }))
      events.push(event);
  })().catch((error: unknown) => error);
  t.teardown(async () => {
    ending.abort();
    await ended;
  });
  return events;
}

testWith(
  ['root', 'mount'],
  'processes fill the disk: warned of, then refused with room left; a deletion makes room',
  async (t) => {
    const { disk, dir } = await diskWithOldSession(t);
    writeFileSync(join(disk, 'other'), Buffer.alloc(500 * KIB));
    const daemon = await startHttpDaemon(t, { dir, args: ARGS });
    const log = await client(t, dir);
    t.is((await log.turns.read('old', { limit: 1 })).events.length, 1);
    const followed = following(t, log, 's');
    const writers = startWriters(t, dir);
    const seen: string[] = [];
    for (;;) {
      await round(writers);
      if (refusedOf(writers).length > 0) break;
      const { health, healthReason } = await log.stats();
      if (health === 'disk-low' && !seen.includes(health)) {
        t.regex(healthReason ?? '', /^[\d.]+ KiB of 2\.0 MiB are free; .*reserve of 102\.4 KiB/);
        t.is((await pageAt(`${daemon.url}/readyz`)).status, 200);
        t.is(await valueAt(daemon.url, 'eventlogd_health', { state: 'disk-low' }), 1);
      }
      seen.push(health);
    }
    t.is(seen[0], 'ok');
    t.is(seen.at(-1), 'disk-low');

    for (const { code, outcome } of refusedOf(writers))
      t.deepEqual([code, outcome], ['STORAGE_FULL', 'not-committed']);
    const { health, disk: room } = await log.stats();
    t.is(health, 'disk-full');
    t.is(room?.reserveBytes, RESERVE_BYTES);
    t.true((room?.freeBytes ?? 0) < RESERVE_BYTES);
    t.true(freeBytesOf(disk) > 0);
    const refused = await refusal(log.turns.append('new', { event: 'submitted' }));
    t.deepEqual([refused.code, refused.outcome], ['STORAGE_FULL', 'not-committed']);
    t.regex(refused.message, /\(disk-full\): [\d.]+ KiB of 2\.0 MiB are free, .*nothing was wri/);
    const ready = await pageAt(`${daemon.url}/readyz`);
    t.is(ready.status, 503);
    t.like(JSON.parse(ready.body), { state: 'serving', health: 'disk-full' });
    t.is((await pageAt(`${daemon.url}/healthz`)).status, 200);

    await checkServed(t, log, writers);
    const { seq: last } = await log.turns.head('s');
    await eventually(
      () => followed.length,
      (count) => count === last,
    );
    t.is((await log.turns.subscribe('s').next()).value?.seq, 1);

    const refusals = refusedOf(writers).length;
    t.is(await log.turns.delete('old'), OLD_LINES);
    await healthOf(log, 'disk-low');
    await round(writers);
    t.is(refusedOf(writers).length, refusals);
    await eventually(
      () => followed.length,
      (count) => count === writers.outcomes.filter(isAckedTurn).length,
    );
    await makeRoom(join(disk, 'other'));
    await healthOf(log, 'ok');
    await writers.stop();
    const told = daemon.output().match(/(?<="msg":"health: )[a-z-]+/g);
    t.deepEqual(told, ['disk-low', 'disk-full', 'disk-low', 'ok']);
    await log.close();
    await checkStopped(t, daemon, writers);
  },
);

function isAckedTurn({ journal, outcome }: Writers['outcomes'][number]): boolean {
  return journal === 'turns' && outcome === 'acked';
}

testWith(
  ['root', 'mount'],
  'another program fills the disk: refused, also after kill -9, until its file is gone',
  async (t) => {
    const { disk, dir } = await diskWithOldSession(t);
    const daemon = await startDaemonProcess(t, { dir, args: ARGS });
    const before = await client(t, dir);
    const writers = startWriters(t, dir);
    await round(writers);
    const filler = await fillUp(disk, PAGES_LEFT);
    await healthOf(before, 'disk-full');
    await round(writers);
    t.is(refusedOf(writers).length, WRITERS * GRANT * 2);
    for (const { code, outcome } of refusedOf(writers))
      t.deepEqual([code, outcome], ['STORAGE_FULL', 'not-committed']);
    const { stdout } = await runCli(['status', '--dir', dir]);
    t.like(JSON.parse(stdout), { health: 'disk-full', disk: { reserveBytes: RESERVE_BYTES } });
    t.regex(stdout, /"healthReason":"[^"]+ are free, and the reserve of 102\.4 KiB is kept for/);
    await daemon.kill('SIGKILL');

    const again = await startDaemonProcess(t, { dir, args: ARGS });
    const log = await client(t, dir);
    t.is((await log.stats()).health, 'disk-full');
    await checkServed(t, log, writers);
    const refused = await refusal(log.turns.append('s', { event: 'token' }));
    t.deepEqual([refused.code, refused.outcome], ['STORAGE_FULL', 'not-committed']);

    await makeRoom(filler);
    await healthOf(log, 'ok');
    const refusals = refusedOf(writers).length;
    await round(writers);
    t.is(refusedOf(writers).length, refusals);
    await writers.stop();
    await checkServed(t, log, writers);
    await log.close();
    await checkStopped(t, again, writers);
  },
);

testWith(
  ['root', 'mount'],
  'a disk that is full at the start: streams are deleted, and appends go on',
  async (t) => {
    const { disk, dir } = await diskWithOldSession(t);
    const first = await startDaemonProcess(t, { dir, args: ARGS });
    const before = await client(t, dir);
    t.is((await before.turns.append('s', { event: 'submitted' })).seq, 1);
    await before.close();
    t.is(await first.stop(), 0);
    await fillUp(disk, PAGES_LEFT);
    const daemon = await startDaemonProcess(t, { dir, args: ARGS });
    const log = await client(t, dir);
    t.is((await log.stats()).health, 'disk-full');
    t.is((await log.turns.read('s')).events.length, 1);
    t.is(await log.turns.delete('old'), OLD_LINES);
    t.is((await whenThereIsRoom(() => log.turns.append('s', { event: 'token' }))).seq, 2);
    t.deepEqual(await log.turns.sessionIds(), ['s']);
    await log.close();
    t.is(await daemon.stop(), 0);
    t.is((await linesOf(sessionFile(dir, 's'))).length, 2);
  },
);

testWith(
  ['root', 'mount', 'strace'],
  'the disk is filled between two looks at it: what writing meets holds',
  async (t) => {
    const { disk, dir } = await diskWithOldSession(t);
    const daemon = await startDaemonProcess(t, { dir, args: ARGS });
    const log = await client(t, dir);
    const content = 'x'.repeat(30 * KIB);
    await log.turns.append('s', { event: 'delta', content });
    // No look succeeds, so the last one still says that there is plenty.
    const { lift } = await injectFault(t, daemon.process.pid as number, 'statfs:error=EIO');
    const filler = await fillUp(disk);
    let last = 1;
    let refused = await refusal(log.turns.append('s', { event: 'delta', content }));
    for (; refused.code === 'ANSWERED'; last += 1)
      refused = await refusal(log.turns.append('s', { event: 'delta', content }));
    t.deepEqual([refused.code, refused.outcome], ['STORAGE_FULL', 'not-committed']);
    t.regex(refused.message, /files-behind|log-full|no room for the commit log/);
    t.regex((await log.stats()).health, /^(files-behind|log-full)$/);
    t.is((await log.turns.read('s')).events.length, last);
    await lift();
    await makeRoom(filler);
    await healthOf(log, 'ok');
    t.is((await log.turns.append('s', { event: 'delta' })).seq, last + 1);
    await log.close();
    t.is(await daemon.stop(), 0);
    t.is((await linesOf(sessionFile(dir, 's'))).length, last + 1);
    t.is((await offlineCommand(dir, ['verify'])).code, 0);
  },
);

testWith(
  ['root', 'mount'],
  'without a reserve the room is measured and nothing more',
  async (t) => {
    const disk = await smallDisk(t, DISK_BYTES);
    const dir = join(disk, 'd');
    await startDaemonProcess(t, { dir, args: [...ARGS, '--disk-reserve-bytes', '0'] });
    const log = await client(t, dir);
    await log.turns.append('s', { event: 'submitted' });
    await fillUp(disk, PAGES_LEFT);
    const { health } = await eventually(
      () => log.stats(),
      (stats) => (stats.disk?.freeBytes ?? DISK_BYTES) < RESERVE_BYTES,
    );
    t.is(health, 'ok');
    t.is((await log.turns.append('s', { event: 'delta' })).seq, 2);
  },
);
