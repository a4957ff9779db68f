/**
 * A subscription to everything: first what the commit log holds behind its position, then what is
 * committed, as it is committed.
 *
 * Invariants: everything up to `#position` was sent or is not asked for, and nothing above it. It
 * is `live` only where `#position` was the durable frontier when it joined, which is decided and
 * done in one synchronous step.
 *
 * @module
 */
import { errorToWire } from '../../shared/error-wire.js';
import {
  EventLogError,
  InvalidArgumentError,
  LogCorruptError,
  PositionExpiredError,
  StorageFailedError,
} from '../../shared/errors.js';
import type { Journal } from '../../shared/events.js';
import { ANSWER_FRAME_BYTES } from '../../shared/limits.js';
import type { Lane } from '../commit/lanes.js';
import type { SealedEvent } from '../commit/stream-draft.js';
import type { LogEntry, LogPlace, PositionScan, PositionTask } from '../storage/position-scan.js';
import type { ScanResult, ScanTask } from '../workers/scan.worker.js';
import type { CatchUp, PageReader } from './catch-up.js';
import type { Hub, LogFollower, PublishedBatch, Removal } from './hub.js';
import {
  type EncodedRow,
  encodeEntry,
  encodeEvent,
  encodeRemoval,
  PushWriter,
} from './push-writer.js';
import type { Subscriber, SubscriptionState } from './subscriber.js';

/** The commit log as a subscription reads it. */
export interface PositionSource {
  readonly segments: PositionTask['segments'];
  /** The last position that is durable. */
  readonly frontier: number;
  readonly lane: Lane<ScanTask, ScanResult>;
}

/** What a subscription to everything asks for. */
export interface LogSubscriptionOptions {
  /** Undefined begins with what is committed next. */
  readonly afterPosition: number | undefined;
  readonly journal: Journal | null;
  readonly subscriber: Subscriber;
  readonly catchUp: CatchUp;
  readonly hub: Hub;
  /** The log as it is now. */
  readonly source: () => PositionSource;
}

type State = SubscriptionState | 'ended';

/** A subscription to everything. */
export class LogSubscription implements LogFollower, PageReader {
  readonly #options: LogSubscriptionOptions;
  readonly #writer: PushWriter;
  #state: State = 'opening';
  #position: number;
  #place: LogPlace | null = null;
  #credit: number;
  #wasLive = false;

  constructor(options: LogSubscriptionOptions) {
    const { subscriber, hub, afterPosition, source } = options;
    this.#options = options;
    this.#position = afterPosition ?? source().frontier;
    this.#credit = subscriber.credit;
    this.#writer = new PushWriter(subscriber.sink, subscriber.number, hub.counts);
  }

  get state(): State {
    return this.#state;
  }

  /**
   * Looks whether the log holds what follows.
   *
   * @throws PositionExpiredError where it does not any more
   * @throws InvalidArgumentError where the position was never given
   */
  async open(): Promise<void> {
    const { hub, source } = this.#options;
    try {
      const { frontier } = source();
      if (this.#position > frontier) {
        const why = `position ${this.#position} was never given: the last one is ${frontier}; is the directory an older copy?`;
        throw new InvalidArgumentError('afterPosition', why);
      }
      if (this.#position < frontier) await this.#scan(1);
      if (!this.#isEnded()) hub.followAll(this);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Says where it begins, and begins. */
  begin(): void {
    if (this.#state !== 'opening') return;
    this.#progress({});
    this.#goOn();
  }

  /** The subscriber takes so much more. */
  grant(credit: number): void {
    this.#credit += credit;
    if (this.#state === 'starved' && this.#credit > 0) this.#goOn();
  }

  /** Nobody listens any more. */
  close(): void {
    if (this.#isEnded()) return;
    const { hub, catchUp, subscriber } = this.#options;
    this.#state = 'ended';
    hub.unfollowAll(this);
    catchUp.remove(this);
    subscriber.onEnd();
  }

  committed(batch: PublishedBatch): void {
    if (this.#state !== 'live') return;
    const { journal, hub, subscriber } = this.#options;
    for (const one of inOrder(batch)) {
      if (journal !== null && journalOf(one) !== journal) continue;
      if (!this.#canSend()) {
        this.#writer.flush();
        return this.#goOn();
      }
      this.#send('line' in one ? liveRow(hub, one) : encodeRemoval(one), one.position);
    }
    this.#writer.flush();
    if (this.#position === batch.lastPosition) return;
    // One who does not read is told of what was left out later, and once.
    if (!subscriber.sink.hasRoom) return this.#goOn();
    this.#position = batch.lastPosition;
    this.#progress({});
  }

  async page(): Promise<void> {
    if (this.#state !== 'behind') return;
    if (this.#position === this.#options.source().frontier) return this.#join();
    try {
      const scan = await this.#scan(Math.min(this.#credit, ANSWER_FRAME_BYTES));
      if (this.#isEnded()) return;
      for (const entry of scan.entries) this.#send(this.#rowOf(entry), entry.position);
      this.#writer.flush();
      const isSkipping = this.#position !== scan.through;
      this.#position = scan.through;
      this.#place = scan.place;
      if (isSkipping) this.#progress({});
    } catch (error) {
      return this.#end(error);
    }
    this.#goOn();
  }

  /** Nothing durable was not sent: from here on it gets what is committed. */
  #join(): void {
    this.#state = 'live';
    // Segments come and go while it is live.
    this.#place = null;
    if (!this.#wasLive) this.#progress({ caughtUp: true });
    this.#wasLive = true;
  }

  async #scan(bytesMax: number): Promise<Extract<PositionScan, { kind: 'entries' }>> {
    const { source, journal } = this.#options;
    const { segments, frontier, lane } = source();
    const task = {
      segments,
      after: this.#position,
      through: frontier,
      place: this.#place,
      journal,
      bytesMax,
    };
    const done = await lane.run({ kind: 'positions', task });
    if (done.kind !== 'positions') throw new Error('the scan lane answered another task');
    if (!done.result.ok) {
      const { path, message } = done.result.failure;
      throw new StorageFailedError(`${path} cannot be read: ${message}`, 'not-committed');
    }
    const scan = done.result.value;
    switch (scan.kind) {
      case 'entries':
        return scan;
      case 'expired':
        throw new PositionExpiredError(
          scan.earliest,
          `position ${this.#position} lies before the retained log, which begins at ${scan.earliest}; read the streams, then follow from there`,
        );
      case 'gone':
        // The oldest segments go as time goes by, no other does.
        if (source().segments[0]?.path !== segments[0]?.path) return await this.#scan(bytesMax);
        throw corrupt(scan.path, 0, 'it is not there');
      case 'damaged':
        throw corrupt(scan.path, scan.offset, 'a frame that was durable is damaged');
      default:
        return scan satisfies never;
    }
  }

  #rowOf({ position, journal, id, content }: LogEntry): EncodedRow {
    if (!('line' in content)) return encodeRemoval({ position, journal, id, ...content });
    const { line, ...event } = content;
    const row = encodeEvent(event, line, this.#options.hub.counts);
    return encodeEntry({ position, journal, streamId: id }, row);
  }

  #send(row: EncodedRow, position: number): void {
    this.#writer.add(row);
    this.#credit -= row.credit;
    this.#position = position;
  }

  #goOn(): void {
    this.#state = this.#credit > 0 ? 'behind' : 'starved';
    if (this.#state === 'behind') this.#options.catchUp.add(this);
  }

  #canSend(): boolean {
    return this.#credit > 0 && this.#options.subscriber.sink.hasRoom;
  }

  #progress(more: { readonly caughtUp?: true }): void {
    const { number } = this.#options.subscriber;
    const position = this.#position;
    this.#writer.message({ type: 'progress', subscription: number, position, ...more });
  }

  #end(error: unknown): void {
    if (this.#isEnded()) return;
    const { number } = this.#options.subscriber;
    const told =
      error instanceof EventLogError
        ? error
        : new StorageFailedError(`the daemon failed: ${String(error)}`, 'not-committed');
    this.#writer.message({ type: 'ended', subscription: number, error: errorToWire(told) });
    this.close();
  }

  #isEnded(): boolean {
    return this.#state === 'ended';
  }
}

function corrupt(path: string, offset: number, why: string): LogCorruptError {
  const message = `${path}, byte ${offset}: ${why}; run 'eventlogd verify'`;
  return new LogCorruptError(path, offset, message);
}

function liveRow(hub: Hub, event: SealedEvent): EncodedRow {
  const { position, stream } = event;
  const entry = { position, journal: stream.journal, streamId: stream.id };
  return encodeEntry(entry, hub.encodedOnce(event));
}

function journalOf(one: SealedEvent | Removal): Journal {
  return 'line' in one ? one.stream.journal : one.journal;
}

/** The events and deletions of a batch in the order of their positions. */
function inOrder({ events, removals }: PublishedBatch): readonly (SealedEvent | Removal)[] {
  if (removals.length === 0) return events;
  return [...events, ...removals].sort((a, b) => a.position - b.position);
}
