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
import { errorToWire } from '../../shared/error-wire.js';
import {
  CursorExpiredError,
  EventLogError,
  StorageFailedError,
  StreamDeletedError,
} from '../../shared/errors.js';
import { ANSWER_FRAME_BYTES } from '../../shared/limits.js';
import type { WireAfter, WireCursor } from '../../shared/protocol.js';
import type { SealedEvent } from '../commit/stream-draft.js';
import type { StreamName } from '../storage/layout.js';
import type { FileTable } from '../streams/file-table.js';
import { readLines } from '../streams/line-reader.js';
import { type KindFilter, subscriptionPage } from '../streams/queries.js';
import type { Stream } from '../streams/stream.js';
import type { Row } from '../streams/stream-index.js';
import type { StreamTable } from '../streams/stream-table.js';
import type { CatchUp, PageReader } from './catch-up.js';
import type { Hub, StreamFollower } from './hub.js';
import { encodeEvent, PushWriter } from './push-writer.js';
import type { Subscriber } from './subscriber.js';

/** What a subscription to a stream asks for. */
export interface StreamSubscriptionOptions {
  readonly name: StreamName;
  readonly after: WireAfter;
  readonly filter: KindFilter | undefined;
  readonly subscriber: Subscriber;
  readonly catchUp: CatchUp;
  readonly hub: Hub;
  readonly table: StreamTable;
  readonly files: FileTable;
}

/**
 * `behind`: waits for its turn or reads a page; `starved`: has no credit; `live`: gets what is
 * committed.
 */
type State = 'opening' | 'behind' | 'starved' | 'live' | 'ended';

/** Rows of old lines without a usable seq have seq 0: only what is below it is before them. */
const BEFORE_ALL = -1;

/** A subscription to one stream. */
export class StreamSubscription implements StreamFollower, PageReader {
  readonly #options: StreamSubscriptionOptions;
  readonly #writer: PushWriter;
  #state: State = 'opening';
  #stream: Stream | null = null;
  /** The life that is followed; 0 while there is none. */
  #generation = 0;
  #seq = BEFORE_ALL;
  #credit: number;
  /** Counts what made a page that is being read worthless. */
  #version = 0;
  #wasLive = false;
  #hasFailed = false;

  constructor(options: StreamSubscriptionOptions) {
    const { subscriber, hub } = options;
    this.#options = options;
    this.#credit = subscriber.credit;
    this.#writer = new PushWriter(subscriber.sink, subscriber.number, hub.counts);
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
      if (this.#isEnded()) return;
      this.#seq = this.#startIn(stream);
      this.#generation = stream.generation;
      hub.follow(name, this);
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
    const { name, hub, table, catchUp } = this.#options;
    this.#state = 'ended';
    this.#version += 1;
    hub.unfollow(name, this);
    catchUp.remove(this);
    if (this.#stream !== null) table.release(this.#stream);
    this.#options.subscriber.onEnd();
  }

  published(events: readonly SealedEvent[]): void {
    if (this.#state !== 'live') return;
    const { filter, hub, subscriber } = this.#options;
    let through = this.#seq;
    for (const event of events) {
      this.#generation = event.stream.generation;
      // A number that was asked for may lie ahead of the stream.
      if (event.seq <= through) continue;
      through = event.seq;
      if (event.kind.journal === 'runs' && filter?.(event.kind) === false) continue;
      if (!this.#canSend()) {
        this.#writer.flush();
        return this.#goOn();
      }
      const row = hub.encodedOnce(event);
      this.#writer.add(row);
      this.#credit -= row.credit;
      this.#seq = event.seq;
    }
    this.#writer.flush();
    if (this.#seq === through) return;
    // What was skipped is not told to a client that does not read.
    if (!subscriber.sink.hasRoom) return this.#goOn();
    this.#seq = through;
    this.#progress({});
  }

  reread(): void {
    this.#version += 1;
    if (this.#state === 'live') this.#goOn();
  }

  ended({ generation, lastSeq }: { generation: number; lastSeq: number }): void {
    // A life that began and ended unseen is one whose events were missed.
    if (this.#generation !== 0 && this.#generation !== generation) return;
    const cursor = { generation, seq: lastSeq };
    const { key } = this.#stream as Stream;
    this.#end(new StreamDeletedError(cursor, `${key} was deleted`));
  }

  async page(): Promise<void> {
    const { table } = this.#options;
    const stream = this.#stream as Stream;
    if (this.#state !== 'behind') return;
    if (stream.state.kind !== 'ready') {
      // The others take their turns while it is read.
      table.ready(stream).then(
        () => this.#takeTurn(),
        (error: unknown) => this.#end(error),
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
    if (this.#state === 'behind') this.#goOn();
  }

  async #sendPage(stream: Stream, version: number): Promise<void> {
    const { files, filter, hub } = this.#options;
    if (this.#generation === 0) this.#generation = stream.generation;
    if (this.#generation !== stream.generation) {
      const cursor = { generation: this.#generation, seq: Math.max(this.#seq, 0) };
      return this.#end(new StreamDeletedError(cursor, `${stream.key} was deleted`));
    }
    const { index } = stream;
    const bytesMax = Math.min(this.#credit, ANSWER_FRAME_BYTES);
    const page = subscriptionPage(index, this.#seq, bytesMax, filter);
    if (page.isLast && page.rows.length === 0) return this.#join(page.through);
    const rows = page.rows.map((at) => index.row(at));
    let next = 0;
    for await (const piece of readLines(files, [...stream.files], rows)) {
      if (this.#version !== version) return;
      for (const { row, line } of piece) {
        const at = page.rows[next] as number;
        next += 1;
        const isShared = at + 1 < index.length && index.seqAt(at + 1) === row.seq;
        const encoded = encodeEvent(this.#eventOf(row, isShared), line, hub.counts);
        this.#writer.add(encoded);
        this.#credit -= encoded.credit;
      }
    }
    if (this.#version !== version) return;
    this.#writer.flush();
    const isSkipping = rows.at(-1)?.seq !== page.through;
    this.#seq = page.through;
    if (isSkipping) this.#progress({});
  }

  #eventOf({ seq }: Row, isShared: boolean): Parameters<typeof encodeEvent>[0] {
    const event = { seq, generation: this.#generation };
    return isShared ? { ...event, sameSeqFollows: true } : event;
  }

  /** There is nothing on disk that was not sent: from here on it gets what is committed. */
  #join(through: number): void {
    const isFurther = this.#seq !== through;
    this.#seq = through;
    this.#state = 'live';
    if (!this.#wasLive) this.#progress({ caughtUp: true });
    else if (isFurther) this.#progress({});
    this.#wasLive = true;
  }

  /** Files that were moved or written anew are met again when the stream is. */
  async #readFailed(stream: Stream, error: unknown, version: number): Promise<void> {
    if (this.#isEnded()) return;
    if (this.#hasFailed || !(error instanceof StorageFailedError)) return this.#end(error);
    this.#hasFailed = version === this.#version;
    try {
      await this.#options.table.fresh(stream);
    } catch (again) {
      this.#end(again);
    }
  }

  #goOn(): void {
    this.#state = this.#credit > 0 ? 'behind' : 'starved';
    this.#takeTurn();
  }

  #takeTurn(): void {
    if (this.#state === 'behind') this.#options.catchUp.add(this);
  }

  #canSend(): boolean {
    return this.#credit > 0 && this.#options.subscriber.sink.hasRoom;
  }

  #progress(more: { readonly caughtUp?: true }): void {
    const { number } = this.#options.subscriber;
    const { lastSeq } = this.#stream as Stream;
    const seq = Math.max(0, Math.min(this.#seq, lastSeq));
    const cursor = { generation: this.#generation, seq };
    this.#writer.message({ type: 'progress', subscription: number, cursor, ...more });
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
