/**
 * What a batch adds to a stream, while the stream itself stays as it is.
 *
 * @module
 */
import { CREATED_AT_AHEAD_US } from '../../shared/limits.js';
import { rowKindKey } from '../storage/line-facts.js';
import type { LoggedEvent } from '../storage/log-records.js';
import type { Stream } from '../streams/stream.js';
import type { Row } from '../streams/stream-index.js';

/** An event that is sealed: all of it is decided. */
export interface SealedEvent extends LoggedEvent {
  readonly target: Stream;
  readonly kind: Row['kind'];
  /** As in `LineFacts`. */
  readonly createdAt: number;
  readonly createdAtUs: number;
  /** Where its line with its LF stands in the payload. */
  readonly place: readonly [number, number];
}

/** A stream as it is when the batch is durable. */
export class StreamDraft {
  readonly generation: number;
  lastSeq: number;
  lastCreatedAtUs: number;
  readonly events: SealedEvent[] = [];
  /** The batch's first terminal event of each turn. */
  readonly terminals: Map<string, SealedEvent> = new Map();
  readonly turnOfStream: Map<string, string> = new Map();
  /** The batch's first event of each kind. */
  readonly kinds: Map<string, SealedEvent> = new Map();

  /** @param position where the life begins if the stream does not exist yet */
  constructor(stream: Stream, position: number) {
    this.generation = stream.generation === 0 ? position : stream.generation;
    this.lastSeq = stream.lastSeq;
    this.lastCreatedAtUs = stream.lastCreatedAtUs;
  }

  /** The wall clock, or the stream's last stamp where that is a little ahead of it. */
  stamp(nowUs: number): number {
    const ahead = this.lastCreatedAtUs - nowUs;
    return ahead > 0 && ahead <= CREATED_AT_AHEAD_US ? this.lastCreatedAtUs : nowUs;
  }

  /** Lets later events of the batch see this one. */
  note(event: SealedEvent): void {
    const { kind } = event;
    if (kind.journal === 'runs') {
      const key = rowKindKey(kind);
      if (!this.kinds.has(key)) this.kinds.set(key, event);
      return;
    }
    const { turnId, streamId, role } = kind;
    if (turnId === '') return;
    if (streamId !== '') this.turnOfStream.set(streamId, turnId);
    if (role === 'terminal' && !this.terminals.has(turnId)) this.terminals.set(turnId, event);
  }
}
