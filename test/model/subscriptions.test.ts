/**
 * A model of subscriptions: random appends, deletions, restarts and observers that come, pause,
 * leave and resume, through the real client against a real daemon process. What each observer saw
 * must be a contiguous run of the truth.
 *
 * EVENTLOGD_MODEL_SEED repeats a run and shrinks what fails, EVENTLOGD_MODEL_RUNS makes more of them.
 */
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import {
  type Cursor,
  connect,
  detailsOf,
  type EventLog,
  EventLogError,
  formatCursor,
  type RunEvent,
  type TurnEvent,
} from '../../client/index.js';
import { makeFolder, startDaemonProcess } from '../support/daemon.js';

const SESSIONS = ['s', 'constructor'];
const RUNS = ['r1', 'r2'];
const RUN_COUNT = Number(process.env['EVENTLOGD_MODEL_RUNS'] ?? 3);
const SEED = Number(process.env['EVENTLOGD_MODEL_SEED'] ?? Date.now() % 2 ** 31);

type Target =
  | { readonly what: 'turns'; readonly id: string }
  | { readonly what: 'runs' | 'run' | 'all' };

type Command =
  | { readonly kind: 'append'; readonly session: string; readonly bytes: number }
  | { readonly kind: 'put'; readonly runs: readonly string[] }
  | { readonly kind: 'deleteSession'; readonly session: string }
  | { readonly kind: 'deleteThread' }
  | { readonly kind: 'deleteRun'; readonly run: string }
  | { readonly kind: 'restart'; readonly signal: 'SIGTERM' | 'SIGKILL' }
  | { readonly kind: 'observe'; readonly target: Target; readonly from: 'start' | 'now' }
  | { readonly kind: 'pause' | 'go' | 'resume'; readonly nth: number };

/** What happened, in the order of positions. */
interface Entry {
  readonly position: number;
  readonly stream: string;
  readonly run: string;
  /** `<generation>-<seq>` of an event, `deleted` of a deletion. */
  readonly what: string;
}

function commands(): fc.Arbitrary<Command[]> {
  const session = fc.constantFrom(...SESSIONS);
  const nth = fc.nat(7);
  const target = fc.oneof<fc.Arbitrary<Target>[]>(
    fc.record({ what: fc.constant('turns' as const), id: session }),
    fc.constantFrom({ what: 'runs' as const }, { what: 'run' as const }, { what: 'all' as const }),
  );
  const of = <T extends Command>(weight: number, arbitrary: fc.Arbitrary<T>): object => ({
    weight,
    arbitrary,
  });
  const one = fc.oneof(
    ...([
      of(
        8,
        fc.record({
          kind: fc.constant('append' as const),
          session,
          bytes: fc.constantFrom(5, 5, 5, 90_000),
        }),
      ),
      of(
        6,
        fc.record({
          kind: fc.constant('put' as const),
          runs: fc.array(fc.constantFrom(...RUNS), { minLength: 1, maxLength: 4 }),
        }),
      ),
      of(1, fc.record({ kind: fc.constant('deleteSession' as const), session })),
      of(1, fc.record({ kind: fc.constant('deleteThread' as const) })),
      of(1, fc.record({ kind: fc.constant('deleteRun' as const), run: fc.constantFrom(...RUNS) })),
      of(
        2,
        fc.record({
          kind: fc.constant('restart' as const),
          signal: fc.constantFrom('SIGTERM' as const, 'SIGKILL' as const),
        }),
      ),
      of(
        5,
        fc.record({
          kind: fc.constant('observe' as const),
          target,
          from: fc.constantFrom('start' as const, 'now' as const),
        }),
      ),
      of(
        6,
        fc.record({
          kind: fc.constantFrom('pause' as const, 'go' as const, 'resume' as const),
          nth,
        }),
      ),
    ] as { weight: number; arbitrary: fc.Arbitrary<Command> }[]),
  );
  return fc.array(one, { minLength: 20, maxLength: 60, size: 'max' });
}

/** One who follows something, at its own pace, and can leave and come back. */
class Observer {
  readonly target: Target;
  readonly seen: Entry[] = [];
  /** Where it began: the life and seq behind which, or the position. */
  began: Cursor | number = 0;
  /** What had happened then. */
  happened = 0;
  end: EventLogError | null = null;
  readonly #log: EventLog;
  #subscription: ReturnType<Observer['subscribe']>;
  #gate: Promise<void> = Promise.resolve();
  #open: () => void = () => undefined;
  #loop: Promise<void>;

  private constructor(log: EventLog, target: Target, from: 'start' | 'now') {
    this.target = target;
    this.#log = log;
    this.#subscription = this.subscribe(from === 'start' ? undefined : null);
    this.#loop = Promise.resolve();
  }

  /** @param happened the number of entries that the truth has */
  static async begin(
    log: EventLog,
    target: Target,
    { from, happened }: { readonly from: 'start' | 'now'; readonly happened: number },
  ): Promise<Observer> {
    const observer = new Observer(log, target, from);
    // From here on the daemon knows where it begins.
    while (observer.#subscription.state === 'connecting') await turnOfLoop();
    const head = await headOf(log, target);
    observer.began = typeof head === 'number' || from === 'now' ? head : { ...head, seq: 0 };
    if (target.what === 'all' && from === 'start') observer.began = 0;
    observer.happened = happened;
    observer.#loop = observer.#follow();
    return observer;
  }

  /** @param after undefined for the start, null for now */
  subscribe(
    after: Cursor | number | null | undefined,
  ):
    | ReturnType<EventLog['turns']['subscribe']>
    | ReturnType<EventLog['runs']['subscribe']>
    | ReturnType<EventLog['subscribeAll']> {
    const { target } = this;
    if (target.what === 'all') {
      const afterPosition = after === null ? undefined : ((after as number | undefined) ?? 0);
      return this.#log.subscribeAll({ afterPosition });
    }
    const place = after === null ? ('now' as const) : (after as Cursor | undefined);
    if (target.what === 'turns') return this.#log.turns.subscribe(target.id, { after: place });
    return this.#log.runs.subscribe('t', {
      after: place,
      ...(target.what === 'run' ? { runId: 'r1' } : {}),
    });
  }

  pause(): void {
    this.go();
    this.#gate = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  go(): void {
    this.#open();
    this.#gate = Promise.resolve();
  }

  /** Leaves, and comes back with the place that it kept. */
  async resume(): Promise<void> {
    this.go();
    if (this.end !== null) return;
    const old = this.#subscription;
    old.close();
    await this.#loop;
    if (this.end !== null) return;
    this.#subscription = this.subscribe(this.#place());
    this.#loop = this.#follow();
  }

  /** Comes to the present, or to its end. */
  async finish(isDone: () => boolean): Promise<void> {
    this.go();
    while (this.end === null && !isDone()) await turnOfLoop();
    this.#subscription.close();
    await this.#loop;
  }

  #place(): Cursor | number {
    const subscription = this.#subscription;
    return 'position' in subscription ? (subscription.position ?? 0) : subscription.cursor;
  }

  async #follow(): Promise<void> {
    const subscription = this.#subscription;
    try {
      for await (const item of subscription) {
        this.seen.push(entryOf(this.target, item));
        await this.#gate;
      }
    } catch (error) {
      if (!(error instanceof EventLogError)) throw error;
      this.end = error;
    }
  }
}

function turnOfLoop(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function headOf(log: EventLog, target: Target): Promise<Cursor | number> {
  if (target.what === 'all') return Number((await log.stats())['position']);
  return target.what === 'turns' ? await log.turns.head(target.id) : await log.runs.head('t');
}

function entryOf(target: Target, item: unknown): Entry {
  if (target.what === 'all') {
    const entry = item as {
      position: number;
      journal: string;
      streamId: string;
      runId?: string;
      event?: TurnEvent;
    };
    const stream = `${entry.journal}/${entry.streamId}`;
    if (entry.event === undefined)
      return { position: entry.position, stream, run: entry.runId ?? '', what: 'deleted' };
    return eventEntry(stream, entry.event, entry.position);
  }
  const stream = target.what === 'turns' ? `turns/${target.id}` : 'runs/t';
  return eventEntry(stream, item as TurnEvent | RunEvent, 0);
}

function eventEntry(stream: string, event: TurnEvent | RunEvent, position: number): Entry {
  const run = stream === 'runs/t' ? String((event as RunEvent).run_id) : '';
  return { position, stream, run, what: formatCursor(detailsOf(event).cursor) };
}

/** What an observer is to see. */
interface Due {
  readonly entry: Entry;
  /** It was deleted since, perhaps before the observer came to it. */
  readonly isOptional: boolean;
}

/** A world under test. */
class World {
  readonly truth: Entry[] = [];
  readonly observers: Observer[] = [];
  readonly #log: EventLog;

  constructor(log: EventLog) {
    this.#log = log;
  }

  async run(command: Exclude<Command, { kind: 'restart' }>): Promise<void> {
    const log = this.#log;
    switch (command.kind) {
      case 'append': {
        const event = { event: 'token', content: 'x'.repeat(command.bytes) };
        this.#took(`turns/${command.session}`, await log.turns.append(command.session, event));
        return;
      }
      case 'put': {
        const events = command.runs.map((run_id) => ({
          thread_id: 't',
          run_id,
          event_type: 'e',
          category: 'c',
        }));
        for (const event of await log.runs.putBatch(events)) this.#took('runs/t', event);
        return;
      }
      case 'deleteSession':
        return this.#removed(
          `turns/${command.session}`,
          '',
          await log.turns.delete(command.session),
        );
      case 'deleteThread':
        // A thread whose runs are gone still has a life, which ends with it.
        return this.#removed('runs/t', '', (await log.runs.head('t')).generation);
      case 'deleteRun':
        return this.#removed('runs/t', command.run, await log.runs.deleteByRun('t', command.run));
      case 'observe':
        this.observers.push(
          await Observer.begin(log, command.target, {
            from: command.from,
            happened: this.truth.length,
          }),
        );
        return;
      case 'pause':
      case 'go':
      case 'resume': {
        const observer = this.observers[command.nth % Math.max(1, this.observers.length)];
        await observer?.[command.kind]();
        return;
      }
      default:
        command satisfies never;
    }
  }

  #took(stream: string, event: TurnEvent | RunEvent): void {
    this.truth.push(eventEntry(stream, event, detailsOf(event).position ?? 0));
  }

  async #removed(stream: string, run: string, count: number): Promise<void> {
    if (stream === 'runs/t' && run === '' && count > 0) await this.#log.runs.deleteByThread('t');
    if (count === 0) return;
    const position = Number((await this.#log.stats())['position']);
    this.truth.push({ position, stream, run, what: 'deleted' });
  }

  /** Fails unless each observer saw a contiguous run of the truth. */
  async check(): Promise<void> {
    for (const observer of this.observers) {
      const due = this.#due(observer);
      await observer.finish(() => {
        const last = due.filter(({ isOptional }) => !isOptional).at(-1);
        return (
          last === undefined ||
          observer.seen.some(
            ({ what, stream }) =>
              what === last.entry.what &&
              stream === last.entry.stream &&
              this.#isAll(observer, due),
          )
        );
      });
      this.#compare(observer, due);
    }
  }

  #isAll(observer: Observer, due: readonly Due[]): boolean {
    return observer.target.what !== 'all' || observer.seen.length >= due.length;
  }

  /** What the observer has to see; what a deletion took away it may have missed. */
  #due({ target, began, happened }: Observer): Due[] {
    if (typeof began === 'number') {
      return this.truth
        .filter(({ position }) => position > began)
        .map((entry) => ({ entry, isOptional: false }));
    }
    const stream = target.what === 'turns' ? `turns/${target.id}` : 'runs/t';
    const mine = this.truth.filter((entry) => entry.stream === stream);
    // A stream that did not exist is followed in the life that began next.
    const next = this.truth.slice(happened).find((entry) => entry.stream === stream);
    const generation = began.generation === 0 ? next?.what.split('-')[0] : began.generation;
    const lost = new Set<Entry>();
    for (const [at, { what, run }] of mine.entries()) {
      if (what !== 'deleted') continue;
      for (const entry of mine.slice(0, at)) if (run === '' || entry.run === run) lost.add(entry);
    }
    return mine
      .filter(({ what, run }) => {
        const [life, seq] = what.split('-');
        const isWanted = target.what !== 'run' || run === 'r1';
        return life === String(generation) && Number(seq) > began.seq && isWanted;
      })
      .map((entry) => ({ entry, isOptional: lost.has(entry) }));
  }

  #compare(observer: Observer, due: readonly Due[]): void {
    const { target, end, seen, began } = observer;
    const name = `${JSON.stringify(target)} from ${JSON.stringify(began)}`;
    if (end !== null && !['STREAM_DELETED', 'CURSOR_EXPIRED'].includes(end.code)) throw end;
    let at = 0;
    for (const entry of seen) {
      const found = due.findIndex(
        ({ entry: one }, index) =>
          index >= at &&
          one.stream === entry.stream &&
          one.what === entry.what &&
          one.run === entry.run,
      );
      if (found === -1)
        throw new Error(
          `${name}: ${entry.what} is not due behind ${JSON.stringify(seen.slice(0, at).at(-1))}`,
        );
      const missed = due.slice(at, found).find(({ isOptional }) => !isOptional);
      if (missed !== undefined) throw new Error(`${name}: missed ${missed.entry.what}`);
      at = found + 1;
    }
    const missed = due.slice(at).find(({ isOptional }) => !isOptional);
    if (end === null && missed !== undefined)
      throw new Error(`${name}: did not see ${missed.entry.what}`);
  }
}

async function play(t: ExecutionContext, script: readonly Command[]): Promise<void> {
  const dir = join(await makeFolder(t), 'd');
  let daemon = await startDaemonProcess(t, { dir });
  await using log = await connect({ dir });
  const world = new World(log);
  for (const command of script) {
    if (command.kind !== 'restart') {
      await world.run(command);
      continue;
    }
    await daemon.kill(command.signal);
    daemon = await startDaemonProcess(t, { dir });
  }
  await world.check();
  await daemon.kill('SIGKILL');
}

test('random observers each see a contiguous run of the truth', async (t) => {
  t.log(`EVENTLOGD_MODEL_SEED=${SEED}`);
  const property = fc.asyncProperty(commands(), async (script) => await play(t, script));
  await fc.assert(property, {
    seed: SEED,
    numRuns: RUN_COUNT,
    endOnFailure: process.env['EVENTLOGD_MODEL_SEED'] === undefined,
  });
  t.pass();
});
