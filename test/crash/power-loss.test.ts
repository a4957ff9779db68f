/** Power lost again and again under load: what was acknowledged is there, at its place. */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { connect, type EventLog, EventLogError } from '../../client/index.js';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon.js';
import { powerDisk, testWith } from '../support/faults.js';
import { readSession, readThread } from '../support/journal-files.js';
import type { PowerDisk } from '../support/power-disk.js';
import { seededRandom } from '../support/random.js';
import { checkStream, Writers } from '../support/writers.js';

const LOSSES = Number(process.env['EVENTLOGD_TEST_POWER_LOSSES'] ?? 6);
const DISK_BYTES = 256 * 1024 * 1024;
const PROCESSES = 4;
const APPENDS_PER_LOSS = 40;
/** Small, so that new segments come often; nothing is kept longer than it has to be. */
const ARGS = ['--segment-bytes', '256k', '--log-retention-bytes', '0'];
const PADDING = 'x'.repeat(4_000);
const BATCH_EVENTS = 3;

/** Streams that are new: each is a session of one event and a thread of one batch over two runs. */
class Newcomers {
  readonly #log: EventLog;
  /** For each what it was told. */
  readonly #told: Map<string, 'acked' | 'unknown' | 'not-committed'> = new Map();
  #isOver = false;
  readonly #ended: Promise<void>;

  constructor(log: EventLog) {
    this.#log = log;
    this.#ended = this.#append();
  }

  get acked(): number {
    return [...this.#told.values()].filter((outcome) => outcome === 'acked').length;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#ended;
  }

  /** Acknowledged streams are whole, others whole or not there. */
  async check(t: ExecutionContext): Promise<void> {
    for (const [id, outcome] of this.#told) {
      const isTurns = id.startsWith('s');
      const count = isTurns
        ? (await this.#log.turns.read(id)).events.length
        : await this.#log.runs.countMessages(id);
      const whole = isTurns ? 1 : BATCH_EVENTS;
      const allowed = { acked: [whole], unknown: [0, whole], 'not-committed': [0] }[outcome];
      t.true(allowed.includes(count), `${id} (${outcome}) holds ${count} events`);
    }
  }

  async #append(): Promise<void> {
    for (let number = 0; !this.#isOver; number += 1) {
      await Promise.all([
        this.#tell(`s${number}`, (id) =>
          this.#log.turns.append(id, { event: 'delta', content: PADDING }),
        ),
        this.#tell(`t${number}`, (id) => this.#log.runs.putBatch(batch(id))),
      ]);
    }
  }

  async #tell(id: string, append: (id: string) => Promise<unknown>): Promise<void> {
    try {
      await append(id);
      this.#told.set(id, 'acked');
    } catch (error) {
      if (!(error instanceof EventLogError)) throw error;
      this.#told.set(id, error.outcome);
    }
  }
}

function batch(threadId: string): Parameters<EventLog['runs']['putBatch']>[0] {
  return Array.from({ length: BATCH_EVENTS }, (_, index) => ({
    thread_id: threadId,
    run_id: `r${index % 2}`,
    event_type: 'text',
    category: 'message',
    content: PADDING,
  }));
}

/** The daemon ends with the power, or lives to see its disk refuse everything. */
async function losePower(
  t: ExecutionContext,
  { disk, daemon }: { readonly disk: PowerDisk; readonly daemon: DaemonProcess },
  isSeen: boolean,
): Promise<void> {
  if (isSeen) {
    await disk.losePower();
    t.is(await daemon.ended, 74, daemon.output());
  } else {
    daemon.process.kill('SIGSTOP');
    await disk.losePower();
    await daemon.kill('SIGKILL');
  }
  await disk.restorePower();
}

testWith(['power disk'], `power lost ${LOSSES} times under load`, async (t) => {
  const random = seededRandom(t);
  const disk = await powerDisk(t, DISK_BYTES);
  const dir = join(disk.folder, 'd');
  let daemon = await startDaemonProcess(t, { dir, args: ARGS });
  const log = await connect({ dir, timeoutMs: 60_000 });
  t.teardown(() => log.close());
  const plan = { dir, threadId: 'thread', sessionId: 'session', appends: null, window: 4 };
  const writers = new Writers(t, PROCESSES, plan);
  const newcomers = new Newcomers(log);
  for (let loss = 1; loss <= LOSSES; loss += 1) {
    writers.grant(APPENDS_PER_LOSS);
    await writers.answers(1 + random(PROCESSES * APPENDS_PER_LOSS));
    // Where in a commit or a checkpoint it happens is left to chance; nothing waits for this time.
    await delay(random(20));
    await losePower(t, { disk, daemon }, loss % 2 === 0);
    const told = [...writers.outcomes];
    daemon = await startDaemonProcess(t, { dir, args: ARGS });
    const turns = told.filter(({ journal }) => journal === 'turns');
    const runs = told.filter(({ journal }) => journal === 'runs');
    checkStream(t, (await log.turns.read('session')).events, turns);
    checkStream(t, await log.runs.listMessages('thread', { limit: 1_000_000 }), runs);
  }
  await writers.stop();
  await newcomers.stop();
  await newcomers.check(t);
  t.true(newcomers.acked > 0 && writers.acked > 0);
  t.log(`${writers.acked} appends and ${newcomers.acked} new streams acknowledged`);
  t.is(await daemon.stop(), 0);
  const of = (journal: string): typeof writers.outcomes =>
    writers.outcomes.filter((outcome) => outcome.journal === journal);
  checkStream(t, readSession(dir, 'session'), of('turns'));
  checkStream(t, readThread(dir, 'thread'), of('runs'));
});
