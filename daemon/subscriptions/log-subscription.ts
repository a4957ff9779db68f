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
import {
  InvalidArgumentError,
  LogCorruptError,
  PositionExpiredError,
  StorageFailedError,
} from '../../shared/errors.js';
import type { Journal } from '../../shared/events.js';
import type { Lane } from '../commit/lanes.js';
import type { SealedEvent } from '../commit/stream-draft.js';
import type { LogEntry, LogPlace, PositionScan, PositionTask } from '../storage/position-scan.js';
import type { ScanResult, ScanTask } from '../workers/scan.worker.js';
import { Delivery, type DeliveryOptions, type DeliveryOwner } from './delivery.js';
import type { Hub, LogFollower, PublishedBatch, Removal } from './hub.js';
import { type EncodedRow, encodeEntry, encodeEvent, encodeRemoval } from './push-writer.js';

/** The commit log as a subscription reads it. */
export interface PositionSource {
  readonly segments: PositionTask['segments'];
  /** The last position that is durable. */
  readonly frontier: number;
  readonly lane: Lane<ScanTask, ScanResult>;
}

/** What a subscription to everything asks for. */
export interface LogSubscriptionOptions extends DeliveryOptions {
  /** Undefined begins with what is committed next. */
  readonly afterPosition: number | undefined;
  readonly journal: Journal | null;
  /** The log as it is now. */
  readonly source: () => PositionSource;
}

/** A subscription to everything. */
export class LogSubscription implements LogFollower, DeliveryOwner {
  readonly delivery: Delivery;
  readonly #options: LogSubscriptionOptions;
  #position: number;
  #place: LogPlace | null = null;

  constructor(options: LogSubscriptionOptions) {
    const { afterPosition, source } = options;
    this.#options = options;
    this.#position = afterPosition ?? source().frontier;
    this.delivery = new Delivery(options, this);
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
      if (!this.delivery.isOver) hub.followAll(this);
    } catch (error) {
      this.delivery.close();
      throw error;
    }
  }

  /** Says where it begins, and begins. */
  begin(): void {
    if (this.delivery.state !== 'opening') return;
    this.#progress();
    this.delivery.goOn();
  }

  left(): void {
    this.#options.hub.unfollowAll(this);
  }

  committed(batch: PublishedBatch): void {
    if (this.delivery.state !== 'live') return;
    const { journal, hub } = this.#options;
    for (const one of inOrder(batch)) {
      if (journal !== null && journalOf(one) !== journal) continue;
      if (!this.delivery.canSend) {
        this.delivery.flush();
        return this.delivery.goOn();
      }
      this.#send('line' in one ? liveRow(hub, one) : encodeRemoval(one), one.position);
    }
    this.delivery.flush();
    if (this.#position === batch.lastPosition) return;
    // One who does not read is told of what was left out later, and once.
    if (!this.delivery.hasRoom) return this.delivery.goOn();
    this.#position = batch.lastPosition;
    this.#progress();
  }

  async page(): Promise<void> {
    if (this.delivery.state !== 'behind') return;
    if (this.#position === this.#options.source().frontier) return this.#join();
    try {
      const scan = await this.#scan(this.delivery.pageBytesMax);
      if (this.delivery.isOver) return;
      for (const entry of scan.entries) this.#send(this.#rowOf(entry), entry.position);
      this.delivery.flush();
      const isSkipping = this.#position !== scan.through;
      this.#position = scan.through;
      this.#place = scan.place;
      if (isSkipping) this.#progress();
    } catch (error) {
      return this.delivery.end(error);
    }
    this.delivery.goOn();
  }

  /** Nothing durable was not sent: from here on it gets what is committed. */
  #join(): void {
    // Segments come and go while it is live.
    this.#place = null;
    if (this.delivery.join()) this.#progress({ caughtUp: true });
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
    this.delivery.send(row);
    this.#position = position;
  }

  #progress(more: { readonly caughtUp?: true } = {}): void {
    this.delivery.progress({ position: this.#position }, more);
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
