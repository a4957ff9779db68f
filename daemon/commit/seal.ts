/**
 * Sealing: gives each operation of a batch its place. Synchronous and pure but for the batch: a
 * stream is read here and changed only when the batch is durable, so a batch that fails is
 * forgotten and nothing has to be undone.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import {
  IdempotencyKeyReusedError,
  InvalidArgumentError,
  SequenceConflictError,
  StreamFencedError,
} from '../../shared/errors.js';
import { CREATED_AT_AHEAD_US } from '../../shared/limits.js';
import { composeRunLine, composeTurnLine } from '../../shared/lines.js';
import type { AckRun, RememberedResult } from '../storage/catalog-format.js';
import { rowKindKey, type TurnRowKind } from '../storage/line-facts.js';
import { type Identity, type LoggedEvent, LogPayload } from '../storage/log-records.js';
import type { DeletionPlan } from '../streams/deletion-plan.js';
import type { JournalFile } from '../streams/journal-file.js';
import type { Stream } from '../streams/stream.js';
import type { Row } from '../streams/stream-index.js';
import type {
  AppendOperation,
  AppendResult,
  Assigned,
  PreparedEvent,
  PreparedTurn,
} from './operations.js';
import type { Retries } from './retries.js';

/** An event that is sealed: all of it is decided. */
export interface SealedEvent extends LoggedEvent {
  readonly target: Stream;
  readonly kind: Row['kind'];
  readonly createdAt: number;
  readonly createdAtUs: number;
  /** Where its line with its LF stands in the payload. */
  readonly place: readonly [number, number];
}

/** A refusal that shows an event of the turn: where its line is to be read. */
export class TerminalRefusal extends Error {
  readonly stream: Stream;
  /** Row of the index, or the event of this very batch. */
  readonly terminal: { readonly row: number } | { readonly line: Uint8Array; readonly seq: number };

  constructor(stream: Stream, terminal: TerminalRefusal['terminal']) {
    super('the turn has a terminal event');
    this.stream = stream;
    this.terminal = terminal;
  }
}

/** How the sealing of an append ended. */
export type Sealing =
  | { readonly kind: 'sealed'; readonly result: AppendResult }
  | { readonly kind: 'answered'; readonly result: AppendResult }
  | { readonly kind: 'refused'; readonly error: Error };

/** What the batch adds to a stream. */
interface StreamDraft {
  generation: number;
  lastSeq: number;
  lastCreatedAtUs: number;
  readonly events: SealedEvent[];
  readonly terminals: Map<string, SealedEvent>;
  readonly turnOfStream: Map<string, string>;
  /** The batch's first event of each kind. */
  readonly kinds: Map<string, SealedEvent>;
}

/** A batch while it is being sealed, and until it is durable. */
export class Batch {
  readonly payload: LogPayload;
  readonly events: SealedEvent[] = [];
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

  /** The count that a deletion was answered with before, if it was. */
  firstDeletion(identity: Identity | null): number | undefined {
    return identity === null ? undefined : this.#retries.byIdentity(identity)?.count;
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

  /** Seals an append, or says why not. */
  append(operation: AppendOperation): Sealing {
    const { conditions } = operation;
    const first = operation.events[0] as PreparedEvent;
    const known = this.#firstResult(first.stream, conditions);
    if (known !== undefined) {
      if (
        known.fingerprint !== null &&
        conditions.fingerprint !== null &&
        conditions.key !== null &&
        Buffer.compare(known.fingerprint, conditions.fingerprint) !== 0
      ) {
        return {
          kind: 'refused',
          error: new IdempotencyKeyReusedError(
            `idempotency key ${JSON.stringify(conditions.key)} was used before with other content`,
          ),
        };
      }
      return { kind: 'answered', result: { kind: 'duplicate', runs: known.runs } };
    }
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
          `${stream.key} is fenced: ${stream.fence}; reads go on, run 'eventlog repair' to lift it`,
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
      const actual = this.#drafts.get(stream)?.lastSeq ?? stream.lastSeq;
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
    return sealed === undefined
      ? null
      : new TerminalRefusal(turn.stream, { line: sealed.line, seq: sealed.seq });
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
      const stamp = this.#stamp(draft);
      const made =
        event.journal === 'turns'
          ? this.#turn(event, draft, stamp)
          : runEvent(event, draft.lastSeq, stamp);
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
        createdAtUs: event.createdAt === null ? stamp : null,
        turnId: made.chosenTurn,
      });
      // Later events of the batch see this one.
      this.#note(draft, sealed.at(-1) as SealedEvent);
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

  #turn(event: PreparedTurn, draft: StreamDraft, stamp: number): MadeEvent {
    const chosen = event.keys.has('turn_id') ? null : this.#turnOf(event) || newTurnId(this.nowMs);
    const line = composeTurnLine(event.text, event, {
      sessionId: event.stream.name.id,
      streamId: event.streamId ?? undefined,
      turnId: chosen ?? undefined,
      createdAtUs: event.createdAt === null ? stamp : undefined,
      seq: draft.lastSeq,
    });
    const kind: TurnRowKind = chosen === null ? event.kind : { ...event.kind, turnId: chosen };
    const createdAt = event.createdAt ?? stamp / 1_000_000;
    return {
      line,
      kind,
      createdAt,
      createdAtUs: Math.floor(createdAt * 1_000_000),
      chosenTurn: chosen,
    };
  }

  #note(draft: StreamDraft, event: SealedEvent): void {
    const { kind } = event;
    if (kind.journal === 'turns') {
      if (kind.turnId === '') return;
      if (kind.streamId !== '') draft.turnOfStream.set(kind.streamId, kind.turnId);
      if (kind.role === 'terminal' && !draft.terminals.has(kind.turnId))
        draft.terminals.set(kind.turnId, event);
    } else {
      const key = rowKindKey(kind);
      if (!draft.kinds.has(key)) draft.kinds.set(key, event);
    }
  }

  /** The wall clock, or the stream's last stamp where that is a little ahead of it. */
  #stamp(draft: StreamDraft): number {
    const ahead = draft.lastCreatedAtUs - this.#nowUs;
    return ahead > 0 && ahead <= CREATED_AT_AHEAD_US ? draft.lastCreatedAtUs : this.#nowUs;
  }

  #draft(stream: Stream, position: number): StreamDraft {
    const known = this.#drafts.get(stream);
    if (known !== undefined) return known;
    const draft: StreamDraft = {
      generation: stream.generation === 0 ? position : stream.generation,
      lastSeq: stream.lastSeq,
      lastCreatedAtUs: stream.lastCreatedAtUs,
      events: [],
      terminals: new Map(),
      turnOfStream: new Map(),
      kinds: new Map(),
    };
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

/** Under what a result is remembered. */
interface Asked {
  readonly identity: Identity | null;
  readonly key: string | null;
}

interface MadeEvent {
  readonly line: Uint8Array;
  readonly kind: Row['kind'];
  readonly createdAt: number;
  readonly createdAtUs: number;
  readonly chosenTurn: string | null;
}

function runEvent(
  event: Extract<PreparedEvent, { journal: 'runs' }>,
  seq: number,
  stamp: number,
): MadeEvent {
  const createdAtUs = event.createdAt?.us ?? stamp;
  const line = composeRunLine(event.head, seq, event.createdAt?.text ?? stamp);
  return { line, kind: event.kind, createdAt: createdAtUs, createdAtUs, chosenTurn: null };
}

/** A new turn id: UTC time and 48 random bits, as the old library makes them. */
function newTurnId(nowMs: number): string {
  const time = new Date(nowMs).toISOString().replace(/[-:]/g, '').slice(0, 15);
  return `${time}Z-${randomBytes(6).toString('hex')}`;
}

/** Joins the events that follow one another in one stream. */
export function ackRuns(events: readonly LoggedEvent[]): AckRun[] {
  const runs: AckRun[] = [];
  for (const { stream, seq, position } of events) {
    const last = runs.at(-1);
    const follows =
      last !== undefined &&
      last.journal === stream.journal &&
      last.id === stream.id &&
      last.generation === stream.generation &&
      last.firstSeq + last.count === seq &&
      last.firstPosition + last.count === position;
    if (follows) runs[runs.length - 1] = { ...last, count: last.count + 1 };
    else runs.push({ ...stream, firstSeq: seq, firstPosition: position, count: 1 });
  }
  return runs;
}
