/**
 * The connection cut at every byte of a request and of its answer: each call succeeds, is done
 * once, and is told what lies in the files.
 */
import test, { type ExecutionContext } from 'ava';
import {
  connect,
  detailsOf,
  type EventLog,
  type RunEvent,
  type TurnEvent,
} from '../../client/index.js';
import { type CuttingProxy, type Side, startCuttingProxy } from '../support/cutting-proxy.js';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon.js';
import { journalPaths, readJournals, readSession, readThread } from '../support/journal-files.js';

/** Connections that are cut at the same time, each at a byte of its own. */
const LANES = 16;
const BATCH_EVENTS = 3;

/** What is done over a connection that is cut. */
interface Action {
  /** Makes what the call needs, over a connection that is not cut. */
  readonly prepare?: (direct: EventLog, name: string) => Promise<unknown>;
  /** The call; gives the exact lines that it was told, and whether they were there before. */
  readonly call: (log: EventLog, name: string) => Promise<Told>;
  /** Looks whether the files hold what every call was told, and nothing else. */
  readonly check: (t: ExecutionContext, dir: string, told: ReadonlyMap<string, Told>) => void;
}

interface Told {
  readonly lines: readonly string[];
  readonly isDuplicate: boolean | null;
}

function toldOf(events: readonly (RunEvent | TurnEvent)[]): Told {
  const details = events.map((event) => detailsOf(event));
  const lines = details.map(({ text }) => text ?? '');
  return { lines, isDuplicate: details.every(({ duplicate }) => duplicate) };
}

/** Every line of the files is one that a call was told, and the other way round. */
function checkLines(t: ExecutionContext, dir: string, told: ReadonlyMap<string, Told>): void {
  const held = [...readJournals(dir).values()].flatMap((bytes) =>
    bytes.toString().split('\n').slice(0, -1),
  );
  const expected = [...told.values()].flatMap(({ lines }) => lines);
  t.deepEqual(held.sort(), expected.sort());
}

function checkSeqs(t: ExecutionContext, events: readonly { readonly seq: number }[]): void {
  const seqs = events.map(({ seq }) => seq).sort((a, b) => a - b);
  t.deepEqual(
    seqs,
    seqs.map((_, at) => at + 1),
  );
}

const ACTIONS: Readonly<Record<string, Action>> = {
  'a turn append': {
    call: async (log, content) => toldOf([await log.turns.append('s', { event: 'e', content })]),
    check: (t, dir, told) => {
      checkLines(t, dir, told);
      checkSeqs(t, readSession(dir, 's'));
    },
  },
  'a batch over two threads': {
    call: async (log, content) =>
      toldOf(
        await log.runs.putBatch(
          Array.from({ length: BATCH_EVENTS }, (_, at) => ({
            thread_id: `t${at % 2}`,
            run_id: 'r',
            event_type: 'e',
            category: 'c',
            content: `${content}-${at}`,
          })),
        ),
      ),
    check: (t, dir, told) => {
      checkLines(t, dir, told);
      checkSeqs(t, readThread(dir, 't0'));
      checkSeqs(t, readThread(dir, 't1'));
    },
  },
  'a deletion': {
    prepare: (direct, name) =>
      Promise.all([1, 2].map(() => direct.turns.append(name, { event: 'before' }))),
    call: async (log, name) => {
      const count = await log.turns.delete(name);
      // It was deleted with the two events, once: what is appended now stays.
      const event = await log.turns.append(name, { event: 'after', count });
      return { ...toldOf([event]), isDuplicate: null };
    },
    check: (t, dir, told) => {
      checkLines(t, dir, told);
      t.deepEqual(
        journalPaths(dir).map((path) => path.slice('_turn_journal/'.length, -'.jsonl'.length)),
        [...told.keys()].sort(),
      );
      for (const { lines } of told.values()) {
        t.regex(lines[0] ?? '', /"count": ?2\b.*"seq": ?1\b/);
      }
    },
  },
};

/** Cuts at byte 0, 1, 2, … until a call gets through without having met its cut. */
class Cuts {
  readonly told = new Map<string, Told>();
  count = 0;
  readonly #t: ExecutionContext;
  readonly #daemon: DaemonProcess;
  readonly #direct: EventLog;
  readonly #action: Action;
  #nextByte = 0;
  #isOver = false;

  constructor(
    t: ExecutionContext,
    of: { daemon: DaemonProcess; direct: EventLog; action: Action },
  ) {
    this.#t = t;
    this.#daemon = of.daemon;
    this.#direct = of.direct;
    this.#action = of.action;
  }

  async run(side: Side, who: 'new' | 'known'): Promise<void> {
    this.#nextByte = 0;
    this.#isOver = false;
    await Promise.all(Array.from({ length: LANES }, () => this.#lane(side, who)));
  }

  async #lane(side: Side, who: 'new' | 'known'): Promise<void> {
    const proxy = await startCuttingProxy(this.#t, this.#daemon.socketPath);
    let log: EventLog | null = null;
    while (!this.#isOver) {
      const byte = this.#nextByte;
      this.#nextByte += 1;
      if (who === 'new') await log?.close();
      if (who === 'new' || log === null) log = await connect({ socketPath: proxy.socketPath });
      await this.#cut(log, proxy, { side, byte, name: `${side}-${who}-${byte}` });
    }
    await log?.close();
    proxy.close();
  }

  async #cut(
    log: EventLog,
    proxy: CuttingProxy,
    { side, byte, name }: { readonly side: Side; readonly byte: number; readonly name: string },
  ): Promise<void> {
    await this.#action.prepare?.(this.#direct, name);
    // Its answer comes over a connection that is whole.
    await log.stats();
    void proxy.cutAfter(side, byte);
    const told = await this.#action.call(log, name);
    const withheld = proxy.takeCut();
    this.told.set(name, told);
    if (withheld === null) this.#isOver = true;
    else this.count += 1;
    if (told.isDuplicate === null) return;
    if (side === 'answer') this.#t.is(told.isDuplicate, withheld !== null && withheld > 0, name);
    else if (withheld !== 0) this.#t.false(told.isDuplicate, name);
  }
}

for (const [title, action] of Object.entries(ACTIONS)) {
  test(`${title}, cut at every byte: done once, and nobody is told otherwise`, async (t) => {
    const daemon = await startDaemonProcess(t);
    const direct = await connect({ dir: daemon.dir });
    const cuts = new Cuts(t, { daemon, direct, action });
    for (const side of ['request', 'answer'] as const) {
      for (const who of ['new', 'known'] as const) await cuts.run(side, who);
    }
    await direct.close();
    t.is(await daemon.stop(), 0);
    t.true(cuts.count > 100, `${cuts.count} cuts`);
    action.check(t, daemon.dir, cuts.told);
    t.log(`${cuts.count} cuts`);
  });
}
