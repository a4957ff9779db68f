/**
 * The hub: where what was committed meets those who follow it. Everything here is durable and
 * stands in its stream when it is told, and all is told synchronously.
 *
 * @module
 */
import type { Journal } from '../../shared/events.js';
import type { SealedEvent } from '../commit/stream-draft.js';
import type { StreamName } from '../storage/layout.js';
import { streamKey } from '../storage/layout.js';
import type { Stream } from '../streams/stream.js';
import { type EncodedRow, encodeEvent, type PushCounts } from './push-writer.js';

/** A deletion, as those see it who follow everything. */
export interface Removal {
  readonly position: number;
  readonly journal: Journal;
  readonly id: string;
  /** The run, or null for the whole stream. */
  readonly runId: string | null;
}

/** A durable batch: its events and deletions, each in the order of their positions. */
export interface PublishedBatch {
  readonly events: readonly SealedEvent[];
  readonly removals: readonly Removal[];
  readonly lastPosition: number;
}

/** Follows one stream. */
export interface StreamFollower {
  /** Events were committed to the stream. */
  published(events: readonly SealedEvent[]): void;
  /** The stream was read anew: its rows may be others than they were. */
  reread(): void;
  /** A life of the stream ended. */
  ended(life: { readonly generation: number; readonly lastSeq: number }): void;
}

/** Follows everything. */
export interface LogFollower {
  committed(batch: PublishedBatch): void;
}

/** All who follow, by what they follow. */
export class Hub {
  readonly #byStream: Map<string, Set<StreamFollower>> = new Map();
  readonly #everything: Set<LogFollower> = new Set();
  /** Rows of committed events, so that each is encoded once however many follow it. */
  readonly #encoded: WeakMap<SealedEvent, EncodedRow> = new WeakMap();
  /** Subscriptions that are open, of whatever kind. */
  subscriptions = 0;
  /** The characters of their filters. */
  filtersLength = 0;
  readonly counts: PushCounts = { encoded: 0, sent: 0 };

  /** Adds one who follows a stream, whether it exists or not. */
  follow(name: StreamName, follower: StreamFollower): void {
    const key = streamKey(name);
    const followers = this.#byStream.get(key);
    if (followers === undefined) this.#byStream.set(key, new Set([follower]));
    else followers.add(follower);
  }

  unfollow(name: StreamName, follower: StreamFollower): void {
    const key = streamKey(name);
    const followers = this.#byStream.get(key);
    if (followers?.delete(follower) === true && followers.size === 0) this.#byStream.delete(key);
  }

  followAll(follower: LogFollower): void {
    this.#everything.add(follower);
  }

  unfollowAll(follower: LogFollower): void {
    this.#everything.delete(follower);
  }

  /** A committed event as a row; it is encoded for the first who asks. */
  encodedOnce(event: SealedEvent): EncodedRow {
    const known = this.#encoded.get(event);
    if (known !== undefined) return known;
    const { seq, stream, line } = event;
    const row = encodeEvent({ seq, generation: stream.generation }, line, this.counts);
    this.#encoded.set(event, row);
    return row;
  }

  /** A batch is durable and in its streams. */
  publish(batch: PublishedBatch): void {
    for (const [key, events] of byStream(batch.events, this.#byStream)) {
      for (const follower of this.#byStream.get(key) ?? []) follower.published(events);
    }
    for (const follower of this.#everything) follower.committed(batch);
  }

  /** A stream was read anew from its files. */
  reread(stream: Stream): void {
    for (const follower of this.#byStream.get(stream.key) ?? []) follower.reread();
  }

  /** A life of a stream ended. */
  ended(stream: Stream, life: { readonly generation: number; readonly lastSeq: number }): void {
    for (const follower of this.#byStream.get(stream.key) ?? []) follower.ended(life);
  }
}

/** The events of the streams that somebody follows. */
function byStream(
  events: readonly SealedEvent[],
  followed: ReadonlyMap<string, unknown>,
): ReadonlyMap<string, readonly SealedEvent[]> {
  const groups = new Map<string, SealedEvent[]>();
  if (followed.size === 0) return groups;
  for (const event of events) {
    const { key } = event.target;
    if (!followed.has(key)) continue;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [event]);
    else group.push(event);
  }
  return groups;
}
