/**
 * For each broken build what makes its fault show: always the same steps, and afterwards what its
 * clients were told beside what is there.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { connect, type EventLog, EventLogError, TurnTerminalError } from '../../client/index.js';
import { FILE_HEADER_BYTES, frameAt } from '../../daemon/storage/frame-format.js';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon.js';
import { FaultShim } from '../support/fault-shim/fault-shim.js';
import { PATHS } from '../support/fault-shim/named-points.js';
import type { Rule } from '../support/fault-shim/rules.js';
import { eventually, powerDisk } from '../support/faults.js';
import type { PowerDisk } from '../support/power-disk.js';
import type { Break } from './broken-builds.js';

const DISK_BYTES = 64 * 1024 * 1024;
const SESSION = 's';
const ROUND_TRIPS = 5;
const EXIT_CORRUPT = 65;
const FRAME_ALIGNMENT = 8;

/** What a client was told of one append. */
interface Told {
  readonly content: string;
  readonly outcome: 'acknowledged' | 'unknown' | 'not-committed';
  readonly seq: number | null;
  /** The content of an event that a refusal names as there. */
  readonly restsOn: string | null;
}

/** A daemon on a disk that loses power and refuses calls, and those who append to one session. */
class Victim {
  readonly dir: string;
  readonly shim: FaultShim;
  readonly #t: ExecutionContext;
  readonly #disk: PowerDisk;
  readonly #program: string | undefined;
  readonly #told: Promise<Told>[] = [];
  #daemon: DaemonProcess | undefined;

  private constructor(t: ExecutionContext, disk: PowerDisk, shim: FaultShim, program?: string) {
    this.dir = join(disk.folder, 'd');
    this.shim = shim;
    this.#t = t;
    this.#disk = disk;
    this.#program = program;
  }

  static async start(t: ExecutionContext, program?: string): Promise<Victim> {
    const disk = await powerDisk(t, DISK_BYTES);
    const shim = await FaultShim.make(join(disk.folder, '..'));
    t.teardown(() => shim.close());
    const victim = new Victim(t, disk, shim, program);
    await victim.startAgain();
    return victim;
  }

  async startAgain(): Promise<void> {
    const { dir, shim } = this;
    const options = { dir, env: shim.env };
    this.#daemon = await startDaemonProcess(
      this.#t,
      this.#program === undefined ? options : { ...options, program: this.#program },
    );
  }

  async client(): Promise<EventLog> {
    const log = await connect({ dir: this.dir, timeoutMs: 60_000 });
    this.#t.teardown(() => log.close());
    return log;
  }

  /** Appends, and keeps what the client is told. */
  append(
    log: EventLog,
    event: { readonly content: string; readonly [key: string]: unknown },
    options: Parameters<EventLog['turns']['append']>[2] = {},
  ): Promise<Told> {
    const { content } = event;
    const told = log.turns.append(SESSION, { event: 'delta', ...event }, options).then(
      ({ seq }): Told => ({ content, outcome: 'acknowledged', seq, restsOn: null }),
      (error: unknown): Told => {
        if (!(error instanceof EventLogError)) throw error;
        const named = error instanceof TurnTerminalError ? String(error.event['content']) : null;
        return { content, outcome: error.outcome, seq: null, restsOn: named };
      },
    );
    this.#told.push(told);
    return told;
  }

  /** Waits until the only rule was met. */
  async isMet(): Promise<void> {
    await eventually(
      async () => this.shim.hits()[0],
      (hits) => hits === 1,
    );
  }

  /** The daemon loses its power, without time for anything; it gets it back without any rules. */
  async losePower(): Promise<void> {
    this.#daemon?.process.kill('SIGSTOP');
    await this.#disk.losePower();
    await this.kill();
    await this.#disk.restorePower();
  }

  async kill(): Promise<void> {
    await this.#daemon?.kill('SIGKILL');
    this.shim.clear();
  }

  /** The first frame of the log, and the whole of the file in which it stands. */
  firstFrame(): { readonly path: string; readonly bytes: Buffer; readonly payload: Uint8Array } {
    const folder = join(this.dir, '.eventlogd', 'commitlog');
    const [name = ''] = readdirSync(folder).filter((file) => file.endsWith('.log'));
    const path = join(folder, name);
    const bytes = readFileSync(path);
    const first = frameAt(bytes, FILE_HEADER_BYTES);
    if (first.kind !== 'frame') throw new Error(`${path} begins with no frame`);
    return { path, bytes, payload: first.payload };
  }

  /** What was told and is not so, once all have been told. */
  async untruths(): Promise<string[]> {
    const told = await Promise.all(this.#told);
    const { events } = await (await this.client()).turns.read(SESSION);
    const places = new Map(events.map(({ content, seq }) => [content, seq]));
    const wrong = events
      .filter(({ seq }, at) => seq !== at + 1)
      .map(({ seq }) => `seq ${seq} is out of place`);
    for (const { content, outcome, seq, restsOn } of told) {
      const place = places.get(content);
      if (outcome === 'acknowledged' && place !== seq) {
        wrong.push(`${content} was acknowledged at ${seq} and is at ${place}`);
      }
      if (outcome === 'not-committed' && place !== undefined) {
        wrong.push(`${content} was not committed and is at ${place}`);
      }
      if (restsOn !== null && !places.has(restsOn)) {
        wrong.push(`${content} was refused because of ${restsOn}, which is not there`);
      }
    }
    return wrong;
  }
}

/** Whatever the daemon had to say before is said: it answers in order. */
async function hasSpoken(log: EventLog): Promise<void> {
  for (let at = 0; at < ROUND_TRIPS; at += 1) await log.stats();
}

function onLog(calls: Rule['calls'], effect: Rule['effect'], more: Partial<Rule> = {}): Rule {
  return { calls, paths: PATHS.log, effect, ...more };
}

/** Power is lost while a sync of the log is under way. */
async function ackBeforeFsync(t: ExecutionContext, program?: string): Promise<string[]> {
  const victim = await Victim.start(t, program);
  const log = await victim.client();
  await victim.append(log, { content: 'before' });
  victim.shim.set([onLog(['fdatasync'], { kind: 'hold' })]);
  void victim.append(log, { content: 'held' });
  await victim.isMet();
  await hasSpoken(log);
  await victim.losePower();
  await victim.startAgain();
  return await victim.untruths();
}

/** Power is lost when nothing but its folder says that there is a new segment. */
async function noDirectoryFsync(t: ExecutionContext, program?: string): Promise<string[]> {
  const victim = await Victim.start(t, program);
  const log = await victim.client();
  // On ext4 the sync of any new file would save the names of all.
  const paths = [`${PATHS.spare[0]}.tmp`];
  victim.shim.set([{ calls: ['fsync'], paths, effect: { kind: 'hold' } }]);
  await victim.append(log, { content: 'in a new segment' });
  await victim.losePower();
  await victim.startAgain();
  return await victim.untruths();
}

/** A sync of the log fails once. As Linux does, the next one then knows of nothing to write. */
async function retryAfterFailedFsync(t: ExecutionContext, program?: string): Promise<string[]> {
  const victim = await Victim.start(t, program);
  const log = await victim.client();
  await victim.append(log, { content: 'before' });
  victim.shim.set([
    onLog(['fdatasync'], { kind: 'error', code: 'EIO' }, { times: 1 }),
    onLog(['fdatasync'], { kind: 'lie' }, { after: 1 }),
  ]);
  await victim.append(log, { content: 'never on the disk' });
  await victim.losePower();
  await victim.startAgain();
  return await victim.untruths();
}

/**
 * The disk is full one byte before the end of a frame, and the daemon is killed then. The frame
 * ends with zeros, and so does what it is written over: it is whole all the same.
 */
async function tornTailNotCleaned(t: ExecutionContext, program?: string): Promise<string[]> {
  const victim = await Victim.start(t, program);
  const log = await victim.client();
  const always = { turn_id: 'turn', created_at: 1 };
  await victim.append(log, { content: '1', ...always });
  const { payload } = victim.firstFrame();
  const longer = 1.5 * FRAME_ALIGNMENT - (payload.length % FRAME_ALIGNMENT);
  const content = '2'.padEnd(1 + longer, 'x');
  victim.shim.set([
    onLog(['write'], { kind: 'short', bytes: -1 }, { times: 1 }),
    // Node writes the rest at once, the daemon once more.
    onLog(['write'], { kind: 'error', code: 'ENOSPC' }, { after: 1, times: 2 }),
    // The daemon looks for room.
    onLog(['write'], { kind: 'hold' }, { after: 3 }),
  ]);
  await victim.append(log, { content, ...always });
  await victim.kill();
  await victim.startAgain();
  return await victim.untruths();
}

/** A bit of the log flips below the durable frontier; the journals lost their lines with the power. */
async function cuttingAtAnyBadChecksum(t: ExecutionContext, program?: string): Promise<string[]> {
  const victim = await Victim.start(t, program);
  const log = await victim.client();
  for (let at = 0; at < 5; at += 1) await victim.append(log, { content: `event ${at}` });
  await victim.losePower();
  const { path, bytes, payload } = victim.firstFrame();
  // It is a view of the whole.
  payload[0] = (payload[0] as number) ^ 1;
  writeFileSync(path, bytes);
  try {
    await victim.startAgain();
  } catch (error) {
    // Refused, as it must be; and nothing was cut.
    const isRefused = String(error).includes(`ended with ${EXIT_CORRUPT}`);
    const isWhole = bytes.equals(readFileSync(path));
    return isRefused && isWhole ? [] : [`not refused, or cut: ${String(error)}`];
  }
  return await victim.untruths();
}

/**
 * While a sync of the log is under way, a turn is ended by one client, and another is refused what
 * is not to follow the end. Power is lost during their common commit, and the first client is gone.
 */
async function answerOnUnsynced(t: ExecutionContext, program?: string): Promise<string[]> {
  const victim = await Victim.start(t, program);
  const [first, second] = [await victim.client(), await victim.client()];
  await victim.append(first, { content: 'before', turn_id: 'turn' });
  victim.shim.set([onLog(['fdatasync'], { kind: 'hold' })]);
  void victim.append(first, { content: 'held', turn_id: 'turn' });
  await victim.isMet();
  const gone = new AbortController();
  const end = { content: 'the end', event: 'completed', turn_id: 'turn' };
  void victim.append(first, end, { signal: gone.signal });
  await hasSpoken(first);
  void victim.append(second, { content: 'late', turn_id: 'turn' }, { unlessTerminal: true });
  await hasSpoken(second);
  // The commit that is held goes on, and the next one is held.
  victim.shim.set([onLog(['fdatasync'], { kind: 'hold' }, { after: 1 })]);
  await victim.isMet();
  await hasSpoken(second);
  gone.abort();
  await victim.losePower();
  await victim.startAgain();
  return await victim.untruths();
}

/** What shows each break: the untruths that its clients were told. */
export const SCENARIOS: Readonly<
  Record<Break, (t: ExecutionContext, program?: string) => Promise<string[]>>
> = {
  'ack before fsync': ackBeforeFsync,
  'no directory fsync': noDirectoryFsync,
  'retry after a failed fsync': retryAfterFailedFsync,
  'a torn tail not cleaned': tornTailNotCleaned,
  'cutting at any bad checksum': cuttingAtAnyBadChecksum,
  'an answer that rests on an unsynced event': answerOnUnsynced,
};
