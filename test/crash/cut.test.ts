/**
 * The commit log and the journal files cut, or zeroed, at every kind of byte of the last two
 * commits: what a power loss may leave. `EVENTLOGD_TEST_STRIDE=1` takes every byte.
 */
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { connect, type EventLog, type NewRunEvent } from '../../client/index.js';
import { startDaemon } from '../../daemon/index.js';
import { type Recovered, recoverDirectory } from '../../daemon/recovery/recover.js';
import {
  encodeFrameOnDisk,
  FILE_HEADER_BYTES,
  frameAt,
} from '../../daemon/storage/frame-format.js';
import { layoutOf, segmentNumber } from '../../daemon/storage/layout.js';
import { startDaemonProcess, startDaemonToBeKilled } from '../support/daemon.js';
import { copyDirectory, readJournals } from '../support/journal-files.js';
import { seededRandom } from '../support/random.js';

const STRIDE = Number(process.env['EVENTLOGD_TEST_STRIDE'] ?? 0);
const POSITIONS = 7;
const ARGS = ['--segment-bytes', '262144'];

type How = 'cut' | 'zeroed';
/** The state after the checkpoint and one commit, after the one before the last, after the last. */
type Stage = 0 | 1 | 2;

/** A directory whose daemon was killed, and what the last two commits wrote where. */
interface Killed {
  readonly dir: string;
  readonly segment: string;
  readonly log: Buffer;
  /** Where the frames of the last two commits begin, and where the last ends. */
  readonly frames: readonly [number, number, number];
  readonly files: ReadonlyMap<string, Buffer>;
  readonly atCheckpoint: ReadonlyMap<string, number>;
  readonly lengths: readonly ReadonlyMap<string, number>[];
}

function runEvent(thread: string, run: string, content: string): NewRunEvent {
  return {
    thread_id: thread,
    run_id: run,
    event_type: 'text',
    category: 'message',
    content,
  };
}

/** One commit before the checkpoint, three past it; new files and streams among them. */
const SCENES: Readonly<Record<string, readonly ((log: EventLog) => Promise<unknown>)[]>> = {
  runs: [
    (log) => log.runs.putBatch([runEvent('t', 'a', '1'), runEvent('t', 'b', '1')]),
    (log) => log.runs.put(runEvent('t', 'b', '2')),
    (log) =>
      log.runs.putBatch([
        runEvent('t', 'b', '3'),
        runEvent('t', 'a', '3'),
        runEvent('u', 'a', '3'),
        runEvent('t', 'b', '3'),
      ]),
    (log) =>
      log.runs.putBatch([
        runEvent('t', 'b', '4'),
        runEvent('v', 'a', '4'),
        runEvent('t', 'a', '4'),
        runEvent('t', 'c', '4'),
      ]),
  ],
  turns: [1, 2, 3, 4].map(
    (content) => (log: EventLog) => log.turns.append('s', { event: 'token', content }),
  ),
};

async function killed(t: ExecutionContext, scene: string): Promise<Killed> {
  const [before, ...after] = SCENES[scene] ?? [];
  const first = await startDaemonProcess(t, { args: ARGS });
  const { dir } = first;
  const early = await connect({ dir });
  await before?.(early);
  await early.close();
  t.is(await first.stop(), 0);
  const atCheckpoint = lengthsOf(readJournals(dir));
  const second = await startDaemonProcess(t, { dir, args: ARGS });
  const log = await connect({ dir });
  const lengths: ReadonlyMap<string, number>[] = [];
  for (const commit of after) {
    await commit(log);
    lengths.push(lengthsOf(readJournals(dir)));
  }
  await log.close();
  await second.kill('SIGKILL');
  const folder = join('.eventlogd', 'commitlog');
  // Beside segments there is the spare one, which the kill may have met half made.
  const names = readdirSync(join(dir, folder)).filter((name) => segmentNumber(name) === null);
  for (const name of names) await rm(join(dir, folder, name));
  const segment = join(folder, readdirSync(join(dir, folder)).sort().at(-1) ?? '');
  const bytes = readFileSync(join(dir, segment));
  const ends = [FILE_HEADER_BYTES];
  for (;;) {
    const frame = frameAt(bytes, ends.at(-1) ?? 0);
    if (frame.kind !== 'frame') break;
    ends.push(frame.end);
  }
  const frames = ends.slice(-3) as [number, number, number];
  return { dir, segment, log: bytes, frames, files: readJournals(dir), atCheckpoint, lengths };
}

function lengthsOf(files: ReadonlyMap<string, Buffer>): Map<string, number> {
  return new Map([...files].map(([path, { length }]) => [path, length]));
}

/** Places between two bytes: the edges always, and some between them. */
function placesIn(from: number, to: number): number[] {
  const stride = STRIDE > 0 ? STRIDE : Math.max(1, Math.ceil((to - from) / POSITIONS));
  const places = new Set([from + 1, to - 1]);
  for (let at = from; at < to; at += stride) places.add(at);
  return [...places].filter((at) => at >= from && at < to).sort((a, b) => a - b);
}

function damage(bytes: Buffer, at: number, how: How): Buffer {
  if (how === 'cut') return bytes.subarray(0, at);
  const zeroed = Buffer.from(bytes);
  zeroed.fill(0, Math.min(at, zeroed.length));
  return zeroed;
}

/** What is damaged: the log from a byte on, and the files from a share of their last bytes on. */
interface Damage {
  readonly how: How;
  readonly log: number | null;
  readonly file: ((from: number, to: number) => number) | null;
}

interface Damaged {
  readonly dir: string;
  readonly stage: Stage;
  readonly log: Buffer;
  readonly files: ReadonlyMap<string, Buffer>;
}

async function damaged(source: Killed, dir: string, how: Damage): Promise<Damaged> {
  await copyDirectory(source.dir, dir);
  const log = how.log === null ? source.log : damage(source.log, how.log, how.how);
  writeFileSync(join(dir, source.segment), log);
  const files = new Map<string, Buffer>();
  for (const [path, bytes] of source.files) {
    const at = how.file?.(source.lengths[0]?.get(path) ?? 0, bytes.length) ?? bytes.length;
    files.set(path, damage(bytes, at, how.how));
    writeFileSync(join(dir, path), files.get(path) ?? '');
  }
  const [, middle, end] = source.frames;
  const isWhole = (to: number): boolean =>
    log.subarray(0, to).equals(source.log.subarray(0, to)) && log.length >= to;
  return { dir, stage: isWhole(end) ? 2 : isWhole(middle) ? 1 : 0, log, files };
}

function recover(dir: string): Recovered {
  return recoverDirectory({ layout: layoutOf(dir), modes: { file: 0o600, folder: 0o700 } });
}

/** Whole frames' lines are in their files, byte for byte; what lay behind them is still there. */
function checkFiles(t: ExecutionContext, source: Killed, found: Damaged, name: string): void {
  const after = readJournals(found.dir);
  for (const [path, before] of found.files) {
    const whole = source.files.get(path)?.subarray(0, source.lengths[found.stage]?.get(path) ?? 0);
    const prefix = whole ?? Buffer.alloc(0);
    const rest = before.subarray(prefix.length);
    const isNothing = rest.every((byte) => byte === 0);
    const now = after.get(path) ?? Buffer.alloc(0);
    const kept = Buffer.concat([prefix, rest]);
    if (!now.equals(kept) && !(isNothing && now.equals(prefix))) {
      t.is(now.toString('latin1'), kept.toString('latin1'), `${name}: ${path}`);
    }
  }
}

/** What was cut or overwritten lies in quarantine. */
function checkQuarantine(t: ExecutionContext, source: Killed, found: Damaged, name: string): void {
  const folder = join(found.dir, '.eventlogd', 'quarantine');
  const kept = readdirSync(folder).map((file) => readFileSync(join(folder, file)));
  const torn = found.log.subarray(source.frames[found.stage]);
  if (torn.some((byte) => byte !== 0)) {
    t.true(
      kept.some((bytes) => bytes.equals(torn)),
      `${name}: torn frames are not in quarantine`,
    );
  }
  for (const [path, before] of found.files) {
    const from = source.atCheckpoint.get(path) ?? 0;
    const to = source.lengths[found.stage]?.get(path) ?? 0;
    const tail = before.subarray(from, to);
    const isHalf =
      tail.length > 0 && !tail.equals(source.files.get(path)?.subarray(from, to) ?? tail);
    if (!isHalf || tail.at(-1) === 0x0a) continue;
    t.true(
      kept.some((bytes) => bytes.subarray(0, tail.length).equals(tail)),
      `${name}: the half line of ${path} is not in quarantine`,
    );
  }
}

/** A daemon serves what is whole, fences nothing, and goes on above every seq that is there. */
async function checkServed(t: ExecutionContext, found: Damaged, name: string): Promise<void> {
  const daemon = await startDaemon({ dir: found.dir, logLevel: 'silent' });
  const log = await connect({ dir: found.dir });
  try {
    for (const session of await log.turns.sessionIds()) {
      const { events } = await log.turns.read(session);
      const seqs = events.map(({ seq }) => seq);
      t.deepEqual(seqs, [...new Set(seqs)], name);
      const { seq } = await log.turns.append(session, { event: 'next' });
      t.is(seq, Math.max(0, ...seqs) + 1, name);
    }
    for (const thread of await log.runs.threadIds()) {
      const seqs = (await log.runs.listMessages(thread)).map(({ seq }) => seq);
      t.deepEqual(seqs, [...new Set(seqs)], name);
      const { seq } = await log.runs.put(runEvent(thread, 'next', 'next'));
      t.is(seq, Math.max(0, ...seqs) + 1, `${name}: ${thread}`);
    }
  } finally {
    await log.close();
    await daemon.close();
  }
}

const cuts = test.macro(
  async (t: ExecutionContext, scene: string, what: 'log' | 'files' | 'both', how: How) => {
    const source = await killed(t, scene);
    const [start, middle, end] = source.frames;
    const logPlaces = [...placesIn(start, middle), ...placesIn(middle, end)];
    const shares = Array.from({ length: 2 * POSITIONS + 1 }, (_, at) => at / (2 * POSITIONS));
    const all: Damage[] = [];
    if (what === 'log') all.push(...logPlaces.map((log) => ({ how, log, file: null })));
    else {
      for (const [at, share] of shares.entries()) {
        const file = (from: number, to: number): number => from + Math.round((to - from) * share);
        const log = what === 'both' ? (logPlaces[(at * 5) % logPlaces.length] ?? start) : null;
        all.push({ how, log, file });
      }
    }
    for (const [at, one] of all.entries()) {
      const name = `${scene}, ${what} ${how}, log at ${one.log}, files ${at}`;
      const found = await damaged(source, `${source.dir}-${at}`, one);
      recover(found.dir);
      checkFiles(t, source, found, name);
      checkQuarantine(t, source, found, name);
      const once = readJournals(found.dir);
      const again = recover(found.dir);
      t.deepEqual(readJournals(found.dir), once, `${name}: recovered twice`);
      t.false(
        again.notes.some(({ what: note }) => note === 'torn'),
        name,
      );
      if (at % 4 === 0) await checkServed(t, found, name);
      await rm(found.dir, { recursive: true });
    }
  },
);

for (const scene of Object.keys(SCENES)) {
  for (const what of ['log', 'files', 'both'] as const) {
    for (const how of ['cut', 'zeroed'] as const) {
      test.serial(`${scene}: ${what} ${how} within the last two commits`, cuts, scene, what, how);
    }
  }
}

test.serial('lines past the log’s end are reported, and recovery may be killed', async (t) => {
  const random = seededRandom(t);
  const source = await killed(t, 'runs');
  const found = await damaged(source, `${source.dir}-k`, {
    how: 'cut',
    log: source.frames[1] - 3,
    file: null,
  });
  for (let kill = 0; kill < 5; kill += 1) {
    const starting = startDaemonToBeKilled(t, found.dir);
    // Where in its start it dies is left to chance; nothing waits for this time.
    await delay(100 + random(400));
    await starting.kill();
  }
  const daemon = await startDaemonProcess(t, { dir: found.dir });
  checkFiles(t, source, found, 'killed');
  checkQuarantine(t, source, found, 'killed');
  const log = await connect({ dir: found.dir });
  const held = await log.runs.listMessages('t');
  t.is((await log.runs.put(runEvent('t', 'a', 'next'))).seq, (held.at(-1)?.seq ?? 0) + 1);
  await log.close();
  t.regex(daemon.output(), /adopted|were taken in/);
  t.is(await daemon.stop(), 0);
});

test.serial(
  'a torn frame followed by an old whole one: the old one never comes back',
  async (t) => {
    const source = await killed(t, 'turns');
    const [start, middle, end] = source.frames;
    const old = frameAt(source.log, middle);
    if (old.kind !== 'frame') throw new Error('there is no frame');
    for (const place of [8, 60]) {
      const dir = `${source.dir}-old-${place}`;
      await copyDirectory(source.dir, dir);
      const log = Buffer.from(source.log);
      // What an earlier attempt may have left: whole, but written before the torn one was durable.
      const header = { ...old.header, epoch: old.header.epoch - 1, frontier: 0 };
      Buffer.from(encodeFrameOnDisk(header, old.payload)).copy(log, middle);
      log.fill(0xff, start + place, start + place + 4);
      writeFileSync(join(dir, source.segment), log);
      for (const path of source.files.keys()) {
        writeFileSync(
          join(dir, path),
          (source.files.get(path) ?? Buffer.alloc(0)).subarray(0, source.lengths[0]?.get(path)),
        );
      }
      for (const round of [1, 2]) {
        const { notes } = recover(dir);
        t.is(
          notes.some(({ what }) => what === 'torn'),
          round === 1,
        );
        t.true(
          readFileSync(join(dir, source.segment))
            .subarray(start, end)
            .every((byte) => byte === 0),
        );
        for (const path of source.files.keys())
          t.is(statSync(join(dir, path)).size, source.lengths[0]?.get(path) ?? 0);
      }
      await rm(dir, { recursive: true });
    }
  },
);
