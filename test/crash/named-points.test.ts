/**
 * The daemon dies, with or without its disk's power, at named points of its work and of its
 * recovery, one after the other over one directory.
 */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { connect, type EventLog, EventLogError } from '../../client/index.js';
import type { Outcome } from '../support/appending.js';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon.js';
import { FaultShim } from '../support/fault-shim/fault-shim.js';
import { killAt, POINTS } from '../support/fault-shim/named-points.js';
import { powerDisk, testWith } from '../support/faults.js';
import { readSession, readThread } from '../support/journal-files.js';
import type { PowerDisk } from '../support/power-disk.js';
import { type Random, seededRandom } from '../support/random.js';
import { checkStream } from '../support/writers.js';

/** How many points are tried; all of them take some minutes. */
const DEATHS = Number(process.env['EVENTLOGD_TEST_DEATHS'] ?? 6);
const DISK_BYTES = 256 * 1024 * 1024;
const ARGS = ['--segment-bytes', '256k', '--log-retention-bytes', '0'];
const TEXT_BYTES = 30_000;
const APPENDS_PER_ROUND = 8;
const BATCH_EVENTS = 3;
/** Rounds of work within which a point that lies on its way is passed often enough. */
const ROUNDS = 3;

/** A client that passes all points of the daemon's work in each round. */
class Work {
  readonly outcomes: Outcome[] = [];
  /** Streams that are made and deleted again, and whether their deletion was acknowledged. */
  readonly deleted: Map<string, boolean> = new Map();
  readonly #log: EventLog;
  #number = 0;

  constructor(log: EventLog) {
    this.#log = log;
  }

  async round(): Promise<void> {
    this.#number += 1;
    const id = `d${this.#number}`;
    await Promise.all([this.#appends(), this.#deletion(id)]);
  }

  of(journal: Outcome['journal']): Outcome[] {
    return this.outcomes.filter((outcome) => outcome.journal === journal);
  }

  async #appends(): Promise<void> {
    for (let at = 0; at < APPENDS_PER_ROUND; at += 1) {
      this.#number += 1;
      const number = this.#number;
      const texts = (index: number): string => `w-${number}-${index}`;
      await Promise.all([
        this.#tell({ number, journal: 'turns', size: 1 }, async () => {
          const event = { event: 'delta', content: texts(0), padding: 'x'.repeat(TEXT_BYTES) };
          return [(await this.#log.turns.append('session', event)).seq];
        }),
        this.#tell({ number, journal: 'runs', size: BATCH_EVENTS }, async () => {
          const events = Array.from({ length: BATCH_EVENTS }, (_, index) => ({
            thread_id: 'thread',
            run_id: `r${index % 2}`,
            event_type: 'text',
            category: 'message',
            content: texts(index),
          }));
          return (await this.#log.runs.putBatch(events)).map(({ seq }) => seq);
        }),
      ]);
    }
  }

  async #tell(
    what: Pick<Outcome, 'number' | 'journal' | 'size'>,
    append: () => Promise<readonly number[]>,
  ): Promise<void> {
    const of = { writer: 'w', ...what };
    try {
      this.outcomes.push({ ...of, outcome: 'acked', seqs: await append(), code: null });
    } catch (error) {
      if (!(error instanceof EventLogError)) throw error;
      this.outcomes.push({ ...of, outcome: error.outcome, seqs: [], code: error.code });
    }
  }

  async #deletion(id: string): Promise<void> {
    await this.#log.turns.append(id, { event: 'delta' });
    this.deleted.set(id, false);
    await this.#log.turns.delete(id);
    this.deleted.set(id, true);
  }
}

/** A daemon that is started until nothing kills it. */
class Mortal {
  readonly dir: string;
  readonly shim: FaultShim;
  readonly #t: ExecutionContext;
  readonly #disk: PowerDisk;
  #daemon: DaemonProcess | undefined;

  constructor(t: ExecutionContext, disk: PowerDisk, shim: FaultShim) {
    this.#t = t;
    this.#disk = disk;
    this.dir = join(disk.folder, 'd');
    this.shim = shim;
  }

  get daemon(): DaemonProcess {
    if (this.#daemon === undefined) throw new Error('not started');
    return this.#daemon;
  }

  /** Starts it; where the rules kill it on its way up, once more without them. */
  async start(hasPower: boolean): Promise<void> {
    const options = { dir: this.dir, args: ARGS, env: this.shim.env };
    try {
      this.#daemon = await startDaemonProcess(this.#t, options);
    } catch (error) {
      if (!String(error).includes('ended with SIGKILL')) throw error;
      this.shim.clear();
      if (!hasPower) await this.losePower();
      this.#daemon = await startDaemonProcess(this.#t, options);
    }
  }

  async losePower(): Promise<void> {
    await this.#disk.losePower();
    await this.#disk.restorePower();
  }
}

/** Works until the daemon dies at the point, be it in the recovery from another death. */
async function dieAt(
  { mortal, work }: { readonly mortal: Mortal; readonly work: Work },
  point: string,
  random: Random,
): Promise<void> {
  const hasPower = random(2) === 0;
  const { shim } = mortal;
  let isDead = false;
  const ended = mortal.daemon.ended.then(() => {
    isDead = true;
  });
  shim.set([killAt(point, random(4))]);
  // A round that the death interrupts ends after the next start.
  let round: Promise<void> = Promise.resolve();
  for (let at = 0; at < ROUNDS && !isDead; at += 1) {
    round = work.round();
    await Promise.race([round, ended]);
  }
  if (!isDead) {
    shim.set([killAt('torn-log-write')]);
    round = work.round();
    await ended;
    shim.set([killAt(point)]);
  }
  if (!hasPower) await mortal.losePower();
  await mortal.start(hasPower);
  shim.clear();
  await round;
}

testWith(['fault shim', 'power disk'], `death at ${DEATHS} named points`, async (t) => {
  const random = seededRandom(t);
  const disk = await powerDisk(t, DISK_BYTES);
  const shim = await FaultShim.make(join(disk.folder, '..'));
  t.teardown(() => shim.close());
  const mortal = new Mortal(t, disk, shim);
  await mortal.start(true);
  const log = await connect({ dir: mortal.dir, timeoutMs: 60_000 });
  t.teardown(() => log.close());
  const work = new Work(log);
  const points = [...POINTS];
  for (let death = 0; death < DEATHS; death += 1) {
    const [point = ''] =
      points.length > 0 ? points.splice(random(points.length), 1) : [POINTS[random(POINTS.length)]];
    t.log(point);
    await dieAt({ mortal, work }, point, random);
    checkStream(t, (await log.turns.read('session')).events, work.of('turns'));
    const runs = await log.runs.listMessages('thread', { limit: 1_000_000 });
    checkStream(t, runs, work.of('runs'));
    for (const [id, isDeleted] of work.deleted) {
      if (isDeleted) t.deepEqual((await log.turns.read(id)).events, [], id);
    }
  }
  t.deepEqual(
    work.outcomes.filter(({ outcome }) => outcome !== 'acked'),
    [],
  );
  t.is(await mortal.daemon.stop(), 0, mortal.daemon.output());
  checkStream(t, readSession(mortal.dir, 'session'), work.of('turns'));
  checkStream(t, readThread(mortal.dir, 'thread'), work.of('runs'));
});
