/**
 * What a batch adds to a stream, while the stream itself stays as it is.
 *
 * @module
 */
import { CREATED_AT_AHEAD_US } from '../../shared/limits.js';
import type { LoggedEvent, PlacedInPayload, StreamLife } from '../storage/log-records.js';
import type { JournalFile } from '../streams/journal-file.js';
import type { Stream } from '../streams/stream.js';
import type { Row } from '../streams/stream-index.js';

/** An event that is sealed: all of it is decided, save where it comes to lie. */
export interface SealedEvent extends LoggedEvent, PlacedInPayload {
  readonly target: Stream;
  readonly file: JournalFile;
  /** Of the line without its LF. */
  readonly length: number;
  readonly kind: Row['kind'];
  /** As in `LineFacts`. */
  readonly createdAt: number;
  readonly createdAtUs: number;
  /** The daemon's stamp in microseconds since 1970, or null where the event has its own. */
  readonly stampUs: number | null;
  /** The turn that the daemon chose, or null. */
  readonly chosenTurn: string | null;
  /** Where its line begins in its file; 0 until it is written. */
  offset: number;
}

/** A stream as it is when the batch is durable. */
export class StreamDraft {
  readonly life: StreamLife;
  lastSeq: number;
  lastCreatedAtUs: number;
  readonly events: SealedEvent[] = [];
  // Most batches ask for none of these, so they are made when they are needed.
  #terminals: Map<string, SealedEvent> | null = null;
  #turnOfStream: Map<string, string> | null = null;
  #firstOfType: Map<string, number> | null = null;
  /** Events that `#firstOfType` knows. */
  #typed = 0;

  /** @param position where the life begins if the stream does not exist yet */
  constructor(stream: Stream, position: number) {
    const { journal, id } = stream.name;
    const generation = stream.generation === 0 ? position : stream.generation;
    this.life = { journal, id, generation };
    this.lastSeq = stream.lastSeq;
    this.lastCreatedAtUs = stream.lastCreatedAtUs;
  }

  /** The wall clock, or the stream's last stamp where that is a little ahead of it. */
  stamp(nowUs: number): number {
    const ahead = this.lastCreatedAtUs - nowUs;
    return ahead > 0 && ahead <= CREATED_AT_AHEAD_US ? this.lastCreatedAtUs : nowUs;
  }

  /** The batch's first terminal event of a turn, or undefined. */
  terminalOf(turnId: string): SealedEvent | undefined {
    return this.#terminals?.get(turnId);
  }

  /** The turn of the batch's last event with this stream id, or undefined. */
  turnOfStream(streamId: string): string | undefined {
    return this.#turnOfStream?.get(streamId);
  }

  /** The place among `events` of the first one of a run and type, or undefined. */
  firstOf(runId: string, eventType: string): number | undefined {
    this.#firstOfType ??= new Map();
    for (; this.#typed < this.events.length; this.#typed += 1) {
      const { kind } = this.events[this.#typed] as SealedEvent;
      const key = kind.journal === 'runs' ? typeKey(kind.runId, kind.eventType) : '';
      if (!this.#firstOfType.has(key)) this.#firstOfType.set(key, this.#typed);
    }
    return this.#firstOfType.get(typeKey(runId, eventType));
  }

  /** Takes in an event; later ones of the batch see it. */
  add(event: SealedEvent): void {
    this.events.push(event);
    this.lastSeq = event.seq;
    // Lines of other programs may have no stamp.
    if (event.createdAtUs > 0) this.lastCreatedAtUs = event.createdAtUs;
    const { kind } = event;
    if (kind.journal === 'runs' || kind.turnId === '') return;
    if (kind.streamId !== '') {
      this.#turnOfStream ??= new Map();
      this.#turnOfStream.set(kind.streamId, kind.turnId);
    }
    if (kind.role !== 'terminal') return;
    this.#terminals ??= new Map();
    if (!this.#terminals.has(kind.turnId)) this.#terminals.set(kind.turnId, event);
  }
}

function typeKey(runId: string, eventType: string): string {
  // No run id holds a line feed.
  return `${runId}\n${eventType}`;
}
