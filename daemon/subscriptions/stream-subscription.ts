/**
 * A subscription to one stream: first what lies on disk behind its cursor, a page at a time, then
 * what is committed, as it is committed.
 *
 * Invariants: every row up to `#seq` was sent or is not asked for, and none above it. It is `live`
 * only where the stream had no row above `#seq` when it joined, which is decided and done in one
 * synchronous step; so nothing lies between disk and live. Without credit or room in the socket
 * it is behind again, and costs no more than its place.
 *
 * @module
 */
import { CursorExpiredError, StorageFailedError, StreamDeletedError } from '../../shared/errors.js';
import type { WireAfter, WireCursor } from '../../shared/protocol.js';
import type { SealedEvent } from '../commit/stream-draft.js';
import type { StreamName } from '../storage/layout.js';
import type { FileTable } from '../streams/file-table.js';
import { readLines } from '../streams/line-reader.js';
import { type KindFilter, subscriptionPage } from '../streams/queries.js';
import type { Stream } from '../streams/stream.js';
import type { Row } from '../streams/stream-index.js';
import type { StreamTable } from '../streams/stream-table.js';
import { Delivery, type DeliveryOptions, type DeliveryOwner } from './delivery.js';
import type { StreamFollower } from './hub.js';
import { encodeEvent } from './push-writer.js';

/** What a subscription to a stream asks for. */
export interface StreamSubscriptionOptions extends DeliveryOptions {
  readonly name: StreamName;
  readonly after: WireAfter;
  readonly filter: KindFilter | undefined;
  readonly table: StreamTable;
  readonly files: FileTable;
}

/** Rows of old lines without a usable seq have seq 0: only what is below it is before them. */
const BEFORE_ALL = -1;

/** A subscription to one stream. */
export class StreamSubscription implements StreamFollower, DeliveryOwner {
  readonly delivery: Delivery;
  readonly #options: StreamSubscriptionOptions;
  #stream: Stream | null = null;
  /** The life that is followed; 0 while there is none. */
  #generation = 0;
  #seq = BEFORE_ALL;
  /** Counts what made a page that is being read worthless. */
  #version = 0;
  #hasFailed = false;

  constructor(options: StreamSubscriptionOptions) {
    this.#options = options;
    this.delivery = new Delivery(options, this);
  }

  /**
   * Finds out where it begins.
   *
   * @throws CursorExpiredError where the cursor is of another life
   */
  async open(): Promise<void> {
    const { name, table, hub } = this.#options;
    const stream = table.hold(name);
    this.#stream = stream;
    try {
      await table.fresh(stream);
      if (this.delivery.isOver) return;
      this.#seq = this.#startIn(stream);
      this.#generation = stream.generation;
      hub.follow(name, this);
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
    const { name, hub, table } = this.#options;
    this.#version += 1;
    hub.unfollow(name, this);
    if (this.#stream !== null) table.release(this.#stream);
  }

  published(events: readonly SealedEvent[]): void {
    if (this.delivery.state !== 'live') return;
    const { filter, hub } = this.#options;
    // A number that was asked for may lie ahead of the stream.
    let through = this.#seq;
    for (const event of events) {
      this.#generation = event.stream.generation;
      if (event.seq <= through) continue;
      through = event.seq;
      if (event.kind.journal === 'runs' && filter?.(event.kind) === false) continue;
      if (!this.delivery.canSend) {
        this.delivery.flush();
        return this.delivery.goOn();
      }
      this.delivery.send(hub.encodedOnce(event));
      this.#seq = event.seq;
    }
    this.delivery.flush();
    if (through === this.#seq) return;
    // One who does not read is told of what was left out later, and once.
    if (!this.delivery.hasRoom) return this.delivery.goOn();
    this.#seq = through;
    this.#progress();
  }

  reread(): void {
    this.#version += 1;
    if (this.delivery.state === 'live') this.delivery.goOn();
  }

  ended({ generation, lastSeq }: { generation: number; lastSeq: number }): void {
    // A life that began and ended unseen is one whose events were missed.
    if (this.#generation !== 0 && this.#generation !== generation) return;
    const cursor = { generation, seq: lastSeq };
    const { key } = this.#stream as Stream;
    this.delivery.end(new StreamDeletedError(cursor, `${key} was deleted`));
  }

  async page(): Promise<void> {
    const { table } = this.#options;
    const stream = this.#stream as Stream;
    if (this.delivery.state !== 'behind') return;
    if (stream.state.kind !== 'ready') {
      // The others take their turns while it is read.
      table.ready(stream).then(
        () => this.delivery.takeTurn(),
        (error: unknown) => this.delivery.end(error),
      );
      return;
    }
    const version = this.#version;
    try {
      await this.#sendPage(stream, version);
      this.#hasFailed = false;
    } catch (error) {
      await this.#readFailed(stream, error, version);
    }
    if (this.delivery.state === 'behind') this.delivery.goOn();
  }

  async #sendPage(stream: Stream, version: number): Promise<void> {
    const { files, filter, hub } = this.#options;
    if (this.#generation === 0) this.#generation = stream.generation;
    if (this.#generation !== stream.generation) {
      const cursor = { generation: this.#generation, seq: Math.max(this.#seq, 0) };
      return this.delivery.end(new StreamDeletedError(cursor, `${stream.key} was deleted`));
    }
    const { index } = stream;
    const page = subscriptionPage(index, this.#seq, this.delivery.pageBytesMax, filter);
    if (page.isLast && page.rows.length === 0) return this.#join(page.through);
    const rows = page.rows.map((at) => index.row(at));
    const isSkipping = rows.at(-1)?.seq !== page.through;
    let next = 0;
    for await (const piece of readLines(files, [...stream.files], rows)) {
      if (this.#version !== version) return;
      for (const { row, line } of piece) {
        next += 1;
        const isShared = rows[next]?.seq === row.seq;
        this.delivery.send(encodeEvent(this.#eventOf(row, isShared), line, hub.counts));
        // What was sent stays sent, also where the rest of the page cannot be read.
        if (!isShared) this.#seq = row.seq;
      }
    }
    if (this.#version !== version) return;
    this.delivery.flush();
    this.#seq = page.through;
    if (isSkipping) this.#progress();
  }

  #eventOf({ seq }: Row, isShared: boolean): Parameters<typeof encodeEvent>[0] {
    const event = { seq, generation: this.#generation };
    return isShared ? { ...event, sameSeqFollows: true } : event;
  }

  /** There is nothing on disk that was not sent: from here on it gets what is committed. */
  #join(through: number): void {
    const isFurther = this.#seq !== through;
    this.#seq = through;
    if (this.delivery.join()) this.#progress({ caughtUp: true });
    else if (isFurther) this.#progress();
  }

  /** Files that were moved or written anew are met again when the stream is. */
  async #readFailed(stream: Stream, error: unknown, version: number): Promise<void> {
    if (this.delivery.isOver) return;
    if (this.#hasFailed || !(error instanceof StorageFailedError)) return this.delivery.end(error);
    this.#hasFailed = version === this.#version;
    try {
      await this.#options.table.fresh(stream);
    } catch (again) {
      this.delivery.end(again);
    }
  }

  #progress(more: { readonly caughtUp?: true } = {}): void {
    const { lastSeq } = this.#stream as Stream;
    const seq = Math.max(0, Math.min(this.#seq, lastSeq));
    this.delivery.progress({ cursor: { generation: this.#generation, seq } }, more);
  }

  /** The seq that it begins behind. */
  #startIn({ generation, lastSeq, key }: Stream): number {
    const { after } = this.#options;
    if (after === 'start') return BEFORE_ALL;
    if (after === 'now') return generation === 0 ? BEFORE_ALL : lastSeq;
    if (typeof after === 'number') return after === 0 ? BEFORE_ALL : after;
    return cursorIn(after, { generation, lastSeq, key });
  }
}

function cursorIn(
  cursor: WireCursor,
  { generation, lastSeq, key }: Pick<Stream, 'generation' | 'lastSeq' | 'key'>,
): number {
  const { seq } = cursor;
  if (cursor.generation === 0 && seq === 0) return BEFORE_ALL;
  if (generation === 0 || cursor.generation !== generation) {
    const there = generation === 0 ? 'it does not exist now' : `its present life is ${generation}`;
    throw new CursorExpiredError(
      generation,
      `cursor ${cursor.generation}-${seq} is of another life of ${key}: ${there}; begin at its start`,
    );
  }
  if (seq > lastSeq) {
    throw new CursorExpiredError(
      generation,
      `cursor ${cursor.generation}-${seq} lies behind the last event of ${key}, ${lastSeq}: the directory is an older copy; begin at its start`,
    );
  }
  return seq === 0 ? BEFORE_ALL : seq;
}
