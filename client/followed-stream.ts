/**
 * Following one stream: its place is a cursor.
 *
 * @module
 */
import type { Cursor } from '../shared/cursor.js';
import { CursorExpiredError, ProtocolError, StreamDeletedError } from '../shared/errors.js';
import type { WireAfter, WireEvent } from '../shared/protocol.js';
import type { ReadLine } from './answer.js';
import type { Asked, Followed, Progress, PushRow, ReceivedRow } from './followed.js';

/** What a subscription to a stream asks for. */
export type AskedStream = Exclude<Asked, { readonly type: 'subscribeAll' }>;

/**
 * Invariants: `#place` is of the life that the daemon named, and behind it came exactly `#behind`
 * rows: those of one seq that is not complete, and those of seq 0, before which there is no cursor.
 */
export class FollowedStream<Event> implements Followed<Event, Cursor> {
  readonly #asked: AskedStream;
  readonly #readLine: ReadLine;
  #place: Cursor | null = null;
  #behind = 0;
  /** Rows to come that came on an earlier connection. */
  #repeated = 0;

  /** @param readLine makes an `Event` of a line */
  constructor(asked: AskedStream, readLine: ReadLine) {
    this.#asked = asked;
    this.#readLine = readLine;
  }

  ask(): Asked {
    this.#repeated = this.#behind;
    return { ...this.#asked, after: this.#after() };
  }

  receive(row: PushRow, text: string | null): ReceivedRow<Event, Cursor> | null {
    if ('streamId' in row || text === null) {
      throw new ProtocolError('a row of the subscription is no event', 'unknown');
    }
    if (this.#repeated > 0) {
      this.#repeated -= 1;
      return null;
    }
    const { seq, generation } = row;
    // A number may lie ahead of the stream, where no cursor can.
    if (typeof this.#asked.after === 'number' && seq <= this.#asked.after) {
      this.#advance(row);
      return null;
    }
    return {
      read: () => this.#readLine(text, { seq, generation }) as Event,
      place: this.#advance(row),
    };
  }

  progress({ cursor }: Progress): Cursor {
    if (cursor === undefined) throw new ProtocolError('progress has no cursor', 'unknown');
    const { generation, seq } = cursor;
    const place = { generation, seq };
    if (isBehind(this.#place, place)) this.#moveTo(place);
    return place;
  }

  /**
   * A cursor that the daemon itself gave expires with the stream's life. In the same life it does
   * only where the directory is an older copy, and then that is said.
   */
  refusal(error: Error): Error {
    const place = this.#place;
    if (!(error instanceof CursorExpiredError) || place === null) return error;
    if (place.generation === 0 || place.generation === error.generation) return error;
    const problem = 'the stream was deleted while the connection was lost';
    return new StreamDeletedError(place, `${problem}: ${error.message}`);
  }

  #after(): WireAfter | undefined {
    if (this.#hasLife()) return this.#place as Cursor;
    // A stream that did not exist has begun since, if it exists: nothing of it may be left out.
    const { after } = this.#asked;
    return this.#place !== null && after === 'now' ? 'start' : after;
  }

  #hasLife(): boolean {
    return this.#place !== null && this.#place.generation > 0;
  }

  /** The place behind a row; null if the row does not move it. */
  #advance({ seq, generation, sameSeqFollows }: WireEvent): Cursor | null {
    if (this.#place?.generation !== generation) this.#moveTo({ generation, seq: 0 });
    this.#behind += 1;
    if (sameSeqFollows === true) return null;
    const place = { generation, seq };
    if (isBehind(this.#place, place)) this.#moveTo(place);
    return place;
  }

  #moveTo(place: Cursor): void {
    this.#place = place;
    this.#behind = 0;
    this.#repeated = 0;
  }
}

/** Whether a place lies behind another one, or in a life that is new. */
function isBehind(place: Cursor | null, next: Cursor): boolean {
  return place === null || place.generation !== next.generation || place.seq < next.seq;
}
