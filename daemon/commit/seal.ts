/**
 * Sealing: gives each operation of a batch its place. Synchronous and pure but for the batch: a
 * stream is read here and changed only when the batch is durable, so a batch that fails is
 * forgotten and nothing has to be undone.
 *
 * @module
 */
import {
  IdempotencyKeyReusedError,
  InvalidArgumentError,
  ProtocolError,
  SequenceConflictError,
  StreamFencedError,
} from '../../shared/errors.js';
import type { RememberedResult } from '../storage/catalog-format.js';
import { type Identity, LogPayload } from '../storage/log-records.js';
import type { DeletionPlan } from '../streams/deletion-plan.js';
import type { JournalFile } from '../streams/journal-file.js';
import type { FileTail, Stream } from '../streams/stream.js';
import type { Removal } from '../subscriptions/hub.js';
import { ackRuns } from './ack-runs.js';
import { makeRun, makeTurn, refuseOversize } from './make-event.js';
import type { AppendOperation, AppendResult, PreparedEvent, PreparedTurn } from './operations.js';
import type { Remembered, Retries } from './retries.js';
import type { AdoptedEvent, AdoptedLines, NumberedLine } from './seal-lines.js';
import { type SealedEvent, StreamDraft } from './stream-draft.js';
import { TerminalRefusal } from './terminal-refusal.js';

/** How the sealing of an append ended. */
export type Sealing =
  | { readonly kind: 'sealed'; readonly result: AppendResult }
  | { readonly kind: 'answered'; readonly result: AppendResult }
  | { readonly kind: 'refused'; readonly error: Error };

/** A batch while it is being sealed, and until it is durable. */
export class Batch {
  readonly payload: LogPayload;
  readonly events: SealedEvent[] = [];
  readonly removals: Removal[] = [];
  readonly adopted: AdoptedLines[] = [];
  readonly #drafts: Map<Stream, StreamDraft> = new Map();
  readonly #remembered: Remembered[] = [];
  /** The batch's results by client and number, and by stream and key. */
  readonly #byNumber: Map<string, Map<number, RememberedResult>> = new Map();
  readonly #byKey: Map<string, RememberedResult> = new Map();
  readonly #lines: Map<JournalFile, [SealedEvent, ...SealedEvent[]]> = new Map();
  readonly #retries: Retries;
  readonly #nowUs: number;

  /**
   * @param firstPosition the position that the batch's first event takes
   * @param nowUs the wall clock, in microseconds since 1970
   */
  constructor(firstPosition: number, retries: Retries, nowUs: number) {
    this.payload = new LogPayload(firstPosition);
    this.#retries = retries;
    this.#nowUs = nowUs;
  }

  get nowMs(): number {
    return Math.floor(this.#nowUs / 1000);
  }

  /** The streams that the batch adds events to. */
  get streams(): Iterable<Stream> {
    return this.#drafts.keys();
  }

  /** Whether an answer about these streams rests on what the batch has not made durable yet. */
  touches(streams: readonly Stream[]): boolean {
    for (const stream of streams) if (this.#drafts.has(stream)) return true;
    return false;
  }

  /** The batch's lines by file. */
  get lines(): ReadonlyMap<JournalFile, readonly [SealedEvent, ...SealedEvent[]]> {
    return this.#lines;
  }

  /** How a deletion was answered before, or why it comes too late; null for a new one. */
  knownDeletion(
    identity: Identity | null,
    stream: Stream,
  ): { readonly count: number } | { readonly error: Error } | null {
    if (identity === null) return null;
    const known = this.#retries.byIdentity(identity);
    if (known !== undefined) return { count: known.count };
    if (this.#retries.isPast(identity)) return { error: pastError(identity) };
    // What its client did behind it is not for it to delete.
    return this.#retries.isOvertaken(identity, stream.name) ? { count: 0 } : null;
  }

  /** Seals a deletion; returns its position. */
  delete(
    stream: Stream,
    deleted: DeletionPlan & {
      readonly runId: string | null;
      readonly identity: Identity | null;
      readonly count: number;
    },
  ): number {
    const position = this.payload.nextPosition;
    const { runId, identity, count, moved, rewrites } = deleted;
    const retry = { identity, key: null, fingerprint: null, atMs: this.nowMs };
    this.payload.deletion(stream.life, { retry, count, runId, moved, rewrites });
    this.removals.push({ ...stream.name, position, runId });
    if (identity !== null) {
      const result = { runs: [], count, fingerprint: null, atMs: this.nowMs };
      this.#remembered.push({ asked: { stream: stream.name, identity, key: null }, result });
    }
    return position;
  }

  /** Hands the results to those who will be asked for them again; once the batch is durable. */
  remember(): void {
    for (const { asked, result } of this.#remembered) this.#retries.remember(asked, result);
  }

  /** How an append that came before is answered again; null for a new one. */
  knownAppend({ events, conditions }: AppendOperation): Sealing | null {
    const { identity, key, fingerprint } = conditions;
    const known = this.#firstResult((events[0] as PreparedEvent).stream, conditions);
    if (known === undefined) {
      if (identity === null || !this.#retries.isPast(identity)) return null;
      return { kind: 'refused', error: pastError(identity) };
    }
    if (
      known.fingerprint !== null &&
      fingerprint !== null &&
      Buffer.compare(known.fingerprint, fingerprint) !== 0
    ) {
      return {
        kind: 'refused',
        error: new IdempotencyKeyReusedError(
          `idempotency key ${JSON.stringify(key)} was used before with other content`,
        ),
      };
    }
    return { kind: 'answered', result: { kind: 'duplicate', runs: known.runs } };
  }

  /** Seals an append that is new, or says why not. */
  append(operation: AppendOperation): Sealing {
    const { conditions } = operation;
    const first = operation.events[0] as PreparedEvent;
    const refusal = this.#refusal(operation);
    if (refusal !== null) return { kind: 'refused', error: refusal };
    const present = conditions.ifAbsent ? this.#present(first) : null;
    if (present !== null) return { kind: 'answered', result: present };
    return { kind: 'sealed', result: this.#seal(operation) };
  }

  #firstResult(
    stream: Stream,
    { identity, key }: AppendOperation['conditions'],
  ): RememberedResult | undefined {
    if (identity !== null) {
      const inBatch = this.#byNumber.get(identity.clientId)?.get(identity.number);
      const known = inBatch ?? this.#retries.byIdentity(identity);
      if (known !== undefined) return known;
    }
    if (key === null) return undefined;
    return this.#byKey.get(keyIn(stream, key)) ?? this.#retries.byKey(stream.name, key);
  }

  #refusal(operation: AppendOperation): Error | null {
    const { conditions, streams, events } = operation;
    for (const stream of streams) {
      if (stream.fence !== null) {
        return new StreamFencedError(
          stream.fence,
          `${stream.key} is fenced: ${stream.fence}; reads go on, 'eventlog repair ${stream.name.journal} ${stream.name.id} --apply' lifts it`,
        );
      }
    }
    if (conditions.expectedSeq !== null) {
      const [stream] = streams;
      if (stream === undefined || streams.length > 1) {
        const why = 'expectedSeq needs all events to be of one thread';
        return new InvalidArgumentError('expectedSeq', why);
      }
      const actual = this.lastSeq(stream);
      if (actual !== conditions.expectedSeq) {
        return new SequenceConflictError(
          actual,
          `expected seq ${conditions.expectedSeq} in ${stream.key}, but the last one is ${actual}`,
        );
      }
    }
    const turn = events[0];
    if (turn?.journal !== 'turns') return null;
    const turnId = this.#turnOf(turn);
    const tooLarge = refuseOversize(turn, turnId);
    return tooLarge ?? (conditions.unlessTerminal ? this.#terminal(turn, turnId) : null);
  }

  #terminal(turn: PreparedTurn, turnId: string): TerminalRefusal | null {
    if (turnId === '') return null;
    const row = turn.stream.turns.terminalOf(turnId);
    if (row !== undefined) return new TerminalRefusal(turn.stream, { row });
    const sealed = this.#drafts.get(turn.stream)?.terminalOf(turnId);
    if (sealed === undefined) return null;
    const { line, seq, stream } = sealed;
    return new TerminalRefusal(turn.stream, { line, seq, generation: stream.generation });
  }

  /** The turn that a text names, or that its stream id names; `''` if a new one is to be made. */
  #turnOf(turn: PreparedTurn): string {
    if (turn.streamId === null || turn.keys.has('turn_id')) return turn.kind.turnId;
    const stream = turn.kind.streamId;
    const inBatch = this.#drafts.get(turn.stream)?.turnOfStream(stream);
    return inBatch ?? turn.stream.turns.turnOfStream(stream) ?? '';
  }

  #present(event: PreparedEvent): AppendResult | null {
    if (event.journal !== 'runs') return null;
    const { runId, eventType } = event.kind;
    for (const { kind, firstRow, count } of event.stream.index.kinds) {
      if (
        count > 0 &&
        kind.journal === 'runs' &&
        kind.runId === runId &&
        kind.eventType === eventType
      ) {
        return {
          kind: 'present',
          stream: event.stream,
          generation: event.stream.generation,
          row: firstRow,
        };
      }
    }
    const draft = this.#drafts.get(event.stream);
    const before = draft?.firstOf(runId, eventType);
    if (draft === undefined || before === undefined) return null;
    // It takes the row after those that are durable, once the batch is.
    const row = event.stream.index.length + before;
    return { kind: 'present', stream: event.stream, generation: draft.life.generation, row };
  }

  #seal({ events, conditions }: AppendOperation): AppendResult {
    const first = this.payload.nextPosition;
    const sealed = events.map((event, at) => this.#sealEvent(event, first + at));
    const { identity, key, fingerprint } = conditions;
    this.payload.append({ identity, key, fingerprint, atMs: this.nowMs }, sealed);
    if (identity !== null || key !== null) {
      const { stream } = events[0] as PreparedEvent;
      const result = { runs: ackRuns(sealed), count: 0, fingerprint, atMs: this.nowMs };
      this.#noteResult({ asked: { stream: stream.name, identity, key }, result }, stream);
    }
    return { kind: 'appended', events: sealed };
  }

  #sealEvent(event: PreparedEvent, position: number): SealedEvent {
    const { stream, fileName } = event;
    const draft = this.#draft(stream, position);
    const place = { seq: draft.lastSeq + 1, stampUs: draft.stamp(this.#nowUs) };
    const made =
      event.journal === 'turns'
        ? makeTurn(event, place, this.#turnOf(event))
        : makeRun(event, place);
    const sealed: SealedEvent = {
      target: stream,
      stream: draft.life,
      file: stream.fileNamed(fileName),
      fileName,
      position,
      seq: place.seq,
      line: made.line,
      length: made.line.length,
      kind: made.kind,
      createdAt: made.createdAt,
      createdAtUs: made.createdAtUs,
      stampUs: event.createdAt === null ? place.stampUs : null,
      chosenTurn: made.chosenTurn,
      start: 0,
      offset: 0,
    };
    draft.add(sealed);
    this.events.push(sealed);
    const lines = this.#lines.get(sealed.file);
    if (lines === undefined) this.#lines.set(sealed.file, [sealed]);
    else lines.push(sealed);
    return sealed;
  }

  /** Whoever asks again is answered so, already while the batch is under way. */
  #noteResult(remembered: Remembered, stream: Stream): void {
    const { asked, result } = remembered;
    const { identity, key } = asked;
    this.#remembered.push(remembered);
    if (identity !== null) {
      const numbers = this.#byNumber.get(identity.clientId);
      if (numbers !== undefined) numbers.set(identity.number, result);
      else this.#byNumber.set(identity.clientId, new Map([[identity.number, result]]));
    }
    if (key !== null) this.#byKey.set(keyIn(stream, key), result);
  }

  /** The last seq of a stream, what the batch adds to it included. */
  lastSeq(stream: Stream): number {
    return this.#drafts.get(stream)?.lastSeq ?? stream.lastSeq;
  }

  /** Takes in lines of other programs that are numbered. */
  adopt(stream: Stream, tails: readonly FileTail[], lines: readonly NumberedLine[]): void {
    const first = this.payload.nextPosition;
    const draft = this.#draft(stream, first);
    const events = lines.map((numbered, at): AdoptedEvent => {
      const { seq, file, line, kind, createdAt, createdAtUs, offset, isNumbered } = numbered;
      return {
        target: stream,
        stream: draft.life,
        file,
        fileName: file.name,
        position: first + at,
        seq,
        line,
        length: line.length,
        kind,
        createdAt,
        createdAtUs,
        stampUs: null,
        chosenTurn: null,
        start: 0,
        offset,
        isNumbered,
      };
    });
    this.payload.adoptLines(events);
    for (const event of events) draft.add(event);
    this.adopted.push({ stream, tails, events });
  }

  #draft(stream: Stream, position: number): StreamDraft {
    const known = this.#drafts.get(stream);
    if (known !== undefined) return known;
    const draft = new StreamDraft(stream, position);
    this.#drafts.set(stream, draft);
    return draft;
  }
}

function keyIn(stream: Stream, key: string): string {
  return `${stream.key}\n${key}`;
}

function pastError({ number }: Identity): Error {
  const why = `call ${number} comes after its client has stopped waiting for it`;
  return new ProtocolError(`${why}; nothing was written now`, 'unknown');
}
