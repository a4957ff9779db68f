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
import type { Stream } from '../streams/stream.js';
import type { Removal } from '../subscriptions/hub.js';
import { ackRuns } from './ack-runs.js';
import { makeRun, makeTurn } from './make-event.js';
import type {
  AppendOperation,
  AppendResult,
  Assigned,
  PreparedEvent,
  PreparedTurn,
} from './operations.js';
import type { Retries } from './retries.js';
import type { AdoptedLines, NumberedLine } from './seal-lines.js';
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
  readonly #remembered: { stream: Stream; asked: Asked; result: RememberedResult }[] = [];
  readonly #results: Map<string, RememberedResult> = new Map();
  readonly #files: Set<JournalFile> = new Set();
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
    return streams.some((stream) => this.#drafts.has(stream));
  }

  /** Whether the batch has lines for a file. */
  hasFile(file: JournalFile): boolean {
    return this.#files.has(file);
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
      this.#remembered.push({ stream, asked: { identity, key: null }, result });
    }
    return position;
  }

  /** Hands the results to those who will be asked for them again; once the batch is durable. */
  remember(): void {
    for (const { stream, asked, result } of this.#remembered) {
      this.#retries.remember({ stream: stream.name, ...asked }, result);
    }
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
    conditions: AppendOperation['conditions'],
  ): RememberedResult | undefined {
    const { identity, key } = conditions;
    for (const asked of retryKeys(stream, conditions)) {
      const inBatch = this.#results.get(asked);
      if (inBatch !== undefined) return inBatch;
    }
    const byIdentity = identity === null ? undefined : this.#retries.byIdentity(identity);
    return byIdentity ?? (key === null ? undefined : this.#retries.byKey(stream.name, key));
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
        return new InvalidArgumentError(
          'expectedSeq',
          'expectedSeq needs all events to be of one thread',
        );
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
    return conditions.unlessTerminal && turn?.journal === 'turns' ? this.#terminal(turn) : null;
  }

  #terminal(turn: PreparedTurn): TerminalRefusal | null {
    const turnId = this.#turnOf(turn);
    if (turnId === '') return null;
    const row = turn.stream.turns.terminalOf(turnId);
    if (row !== undefined) return new TerminalRefusal(turn.stream, { row });
    const sealed = this.#drafts.get(turn.stream)?.terminals.get(turnId);
    if (sealed === undefined) return null;
    const { line, seq, stream } = sealed;
    return new TerminalRefusal(turn.stream, { line, seq, generation: stream.generation });
  }

  /** The turn that a text names, or that its stream id names; `''` if a new one is to be made. */
  #turnOf(turn: PreparedTurn): string {
    if (turn.streamId === null || turn.keys.has('turn_id')) return turn.kind.turnId;
    const stream = turn.kind.streamId;
    const inBatch = this.#drafts.get(turn.stream)?.turnOfStream.get(stream);
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
    for (const sealed of this.#drafts.get(event.stream)?.kinds.values() ?? []) {
      const { kind } = sealed;
      if (kind.journal === 'runs' && kind.runId === runId && kind.eventType === eventType) {
        // It takes the row after those that are durable, once the batch is.
        const before = this.#drafts.get(event.stream)?.events.indexOf(sealed) ?? 0;
        const row = event.stream.index.length + before;
        return { kind: 'present', stream: event.stream, generation: sealed.stream.generation, row };
      }
    }
    return null;
  }

  #seal(operation: AppendOperation): AppendResult {
    const assigned: Assigned[] = [];
    const sealed: Omit<SealedEvent, 'place'>[] = [];
    for (const [at, event] of operation.events.entries()) {
      const draft = this.#draft(event.stream, this.payload.nextPosition + at);
      draft.lastSeq += 1;
      const place = { seq: draft.lastSeq, stampUs: draft.stamp(this.#nowUs) };
      const made =
        event.journal === 'turns'
          ? makeTurn(event, place, this.#turnOf(event))
          : makeRun(event, place);
      draft.lastCreatedAtUs = made.createdAtUs;
      const position = this.payload.nextPosition + at;
      const life = { ...event.stream.name, generation: draft.generation };
      sealed.push({
        ...made,
        target: event.stream,
        stream: life,
        position,
        seq: draft.lastSeq,
        fileName: event.fileName,
      });
      assigned.push({
        stream: event.stream,
        generation: draft.generation,
        seq: draft.lastSeq,
        position,
        createdAtUs: event.createdAt === null ? place.stampUs : null,
        turnId: made.chosenTurn,
      });
      // Later events of the batch see this one.
      draft.note(sealed.at(-1) as SealedEvent);
    }
    const { identity, key, fingerprint } = operation.conditions;
    const places = this.payload.append({ identity, key, fingerprint, atMs: this.nowMs }, sealed);
    for (const [at, event] of sealed.entries()) {
      const whole = Object.assign(event, { place: places[at] as readonly [number, number] });
      this.events.push(whole);
      this.#files.add(event.target.fileNamed(event.fileName));
      (this.#drafts.get(event.target) as StreamDraft).events.push(whole);
    }
    if (identity !== null || key !== null) {
      const result = { runs: ackRuns(sealed), count: 0, fingerprint, atMs: this.nowMs };
      const { stream } = operation.events[0] as PreparedEvent;
      this.#remembered.push({ stream, asked: { identity, key }, result });
      for (const asked of retryKeys(stream, operation.conditions)) this.#results.set(asked, result);
    }
    return { kind: 'appended', assigned };
  }

  /** The last seq of a stream, what the batch adds to it included. */
  lastSeq(stream: Stream): number {
    return this.#drafts.get(stream)?.lastSeq ?? stream.lastSeq;
  }

  /** Takes in lines of other programs that are numbered. */
  adopt(lines: Omit<AdoptedLines, 'events'> & { readonly events: readonly NumberedLine[] }): void {
    const { stream, events } = lines;
    const draft = this.#draft(stream, this.payload.nextPosition);
    const first = this.payload.nextPosition;
    const logged = events.map((event, at) => ({ ...event, position: first + at }));
    const places = this.payload.adoptLines(logged);
    const sealed = logged.map((event, at) => ({
      ...event,
      place: places[at] as readonly [number, number],
    }));
    for (const event of sealed) {
      draft.lastSeq = event.seq;
      draft.lastCreatedAtUs = event.createdAtUs;
      draft.note(event);
      draft.events.push(event);
    }
    this.adopted.push({ ...lines, events: sealed });
  }

  #draft(stream: Stream, position: number): StreamDraft {
    const known = this.#drafts.get(stream);
    if (known !== undefined) return known;
    const draft = new StreamDraft(stream, position);
    this.#drafts.set(stream, draft);
    return draft;
  }
}

/** What an append can be asked by when it is sent again. */
function retryKeys(stream: Stream, { identity, key }: AppendOperation['conditions']): string[] {
  return [
    ...(key === null ? [] : [`key ${stream.key}\n${key}`]),
    ...(identity === null ? [] : [`number ${identity.clientId} ${identity.number}`]),
  ];
}

function pastError({ number }: Identity): Error {
  const why = `call ${number} comes after its client has stopped waiting for it`;
  return new ProtocolError(`${why}; nothing was written now`, 'unknown');
}

/** Under what a result is remembered. */
interface Asked {
  readonly identity: Identity | null;
  readonly key: string | null;
}
