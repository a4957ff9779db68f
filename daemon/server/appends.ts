/**
 * Handles appends: checks the texts, hands the operation to the committer in the order of the
 * client's calls, and answers with what the daemon assigned.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { EventTooLargeError, InvalidIdError, OverloadedError } from '../../shared/errors.js';
import { describeIdProblem, type IdKind, isId, isNewId } from '../../shared/ids.js';
import { type JsonScan, scanObject } from '../../shared/json-scan.js';
import {
  CLIENT_RESULTS_MAX,
  INLINE_VALIDATION_BYTES_MAX,
  JSON_DEPTH_MAX,
  JSON_MEMBERS_MAX,
} from '../../shared/limits.js';
import type { RequestOf } from '../../shared/protocol.js';
import type { AppendConditions, AppendResult, PreparedEvent } from '../commit/operations.js';
import { TerminalRefusal } from '../commit/terminal-refusal.js';
import { journalFileName } from '../storage/layout.js';
import type { Identity } from '../storage/log-records.js';
import type { Stream } from '../streams/stream.js';
import type { AnswerWriter } from './answer-writer.js';
import {
  answerAppend,
  foundPresent,
  type SettledAppend,
  terminalRefusal,
} from './append-answers.js';
import type { ServerContext } from './context.js';
import { boundedText, checkText, prepareRun, prepareTurn } from './prepare-event.js';

/** What an event may add to its text in the log: ids, stamp, seq and the record's own fields. */
const EVENT_OVERHEAD_BYTES = 1_024;

/** Handles the appends of one connection. */
export class Appends {
  readonly #context: ServerContext;
  readonly #clientId: string;
  /** What has to be finished before the next operation may be handed over, or null. */
  #before: Promise<unknown> | null = null;

  constructor(context: ServerContext, clientId: string) {
    this.#context = context;
    this.#clientId = clientId;
  }

  async turn(request: RequestOf<'turns.append'>, answer: AnswerWriter): Promise<void> {
    const { sessionId, streamId = null } = request;
    checkId('session', sessionId);
    checkNumber(request);
    const texts = [this.#bounded(request.text)];
    const result = await this.#inOrder(texts, (scans) => {
      const checked = checkText(texts[0] as Uint8Array, scans[0] as JsonScan, 'turn');
      const parts = prepareTurn(checked, sessionId, streamId);
      const fileName = journalFileName(sessionId);
      const stream = this.#context.store.table.hold({ journal: 'turns', id: sessionId });
      const bytesMax = this.#context.limits.eventBytesMax;
      const event: PreparedEvent = { ...parts, journal: 'turns', stream, fileName, bytesMax };
      const kind = `turn ${sessionId} ${streamId ?? ''}`;
      return {
        events: [event],
        conditions: this.#conditions(request, {
          kind,
          texts,
          unlessTerminal: request.unlessTerminal === true,
        }),
      };
    });
    await answerAppend(this.#context, result, answer);
  }

  async runs(request: RequestOf<'runs.put'>, answer: AnswerWriter): Promise<void> {
    const { limits } = this.#context;
    checkNumber(request);
    const texts = request.texts.map((text) => this.#bounded(text));
    const bytes = texts.reduce((sum, { length }) => sum + length, 0);
    if (bytes > limits.batchBytesMax) {
      throw new EventTooLargeError(
        limits.batchBytesMax,
        `the batch has ${bytes} bytes, the limit is ${limits.batchBytesMax}: send smaller batches`,
      );
    }
    const result = await this.#inOrder(texts, (scans) => {
      // The batch is checked whole before a stream is touched.
      const parts = scans.map((scan, at) =>
        prepareRun(checkText(texts[at] as Uint8Array, scan, 'run')),
      );
      for (const { threadId, runId } of parts) {
        checkId('thread', threadId);
        checkId('run', runId);
      }
      const held = new Map<string, Stream>();
      const events = parts.map((part): PreparedEvent => {
        const { threadId, runId, ...rest } = part;
        let stream = held.get(threadId);
        if (stream === undefined) {
          stream = this.#context.store.table.hold({ journal: 'runs', id: threadId });
          held.set(threadId, stream);
        }
        return { ...rest, journal: 'runs', stream, fileName: journalFileName(runId) };
      });
      const kind = request.ifAbsent === true ? 'putIfAbsent' : 'put';
      return {
        events,
        conditions: this.#conditions(request, { kind, texts, ifAbsent: request.ifAbsent === true }),
      };
    });
    await answerAppend(this.#context, result, answer);
  }

  /** Hands a deletion over after all operations before it. */
  async delete(name: Stream['name'], runId: string | null, identity: Numbered): Promise<number> {
    checkNumber(identity);
    // Waiting for nothing would let the next append of the client overtake.
    if (this.#before !== null) await this.#before;
    const { table, committer } = this.#context.store;
    const stream = table.hold(name);
    try {
      return await new Promise<number>((resolve, reject) => {
        committer.enqueue({
          kind: 'delete',
          streams: [stream],
          runId,
          identity: this.#identity(identity),
          settle: { resolve, reject },
        });
      });
    } finally {
      table.release(stream);
    }
  }

  /**
   * Prepares an append and enqueues it. What takes time before that holds up the operations
   * that the client called later, so they are sealed in call order.
   */
  async #inOrder(
    texts: readonly Uint8Array[],
    prepare: (scans: readonly JsonScan[]) => Prepared,
  ): Promise<SettledAppend> {
    const isLarge = texts.some(({ length }) => length > INLINE_VALIDATION_BYTES_MAX);
    if (this.#before === null && !isLarge) {
      const prepared = prepare(texts.map(scanInline));
      if (!needsLook(prepared)) return await this.#enqueue(prepared);
      return await this.#later(async () => prepared);
    }
    return await this.#later(async () => prepare(await this.#scanAll(texts)));
  }

  async #later(prepare: () => Promise<Prepared>): Promise<SettledAppend> {
    const before = this.#before;
    const turn = (async (): Promise<{ readonly done: Promise<SettledAppend> }> => {
      await before;
      const prepared = await prepare();
      await this.#checkNewIds(prepared);
      const done = this.#enqueue(prepared);
      // Wrapped, so that the next operation waits for the hand-over and not for the answer.
      return { done };
    })();
    const handedOver = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#before = handedOver;
    void handedOver.then(() => {
      if (this.#before === handedOver) this.#before = null;
    });
    return await (await turn).done;
  }

  async #enqueue(prepared: Prepared): Promise<SettledAppend> {
    const { table } = this.#context.store;
    const streams = [...new Set(prepared.events.map(({ stream }) => stream))];
    try {
      for (;;) {
        const settled = await this.#attempt(prepared, streams);
        if (settled !== null) return settled;
      }
    } finally {
      for (const stream of streams) table.release(stream);
    }
  }

  /** Null where what stood in the way was deleted before it could be shown: it is tried anew. */
  async #attempt(
    { events, conditions }: Prepared,
    streams: readonly Stream[],
  ): Promise<SettledAppend | null> {
    const { table, committer } = this.#context.store;
    try {
      const result = await new Promise<AppendResult>((resolve, reject) => {
        committer.enqueue({
          kind: 'append',
          streams,
          events,
          conditions,
          bytes: bytesOf(events),
          takenMs: performance.now(),
          settle: { resolve, reject },
        });
      });
      return result.kind === 'present' ? await foundPresent(table, result) : result;
    } catch (error) {
      if (!(error instanceof TerminalRefusal)) throw error;
      const refusal = await terminalRefusal(table, error);
      if (refusal === null) return null;
      throw refusal;
    }
  }

  #scanAll(texts: readonly Uint8Array[]): Promise<readonly JsonScan[]> {
    return Promise.all(
      texts.map(async (text) => {
        if (text.length <= INLINE_VALIDATION_BYTES_MAX) return scanInline(text);
        const result = await this.#context.store.scanLane.run({ kind: 'text', text });
        if (result.kind !== 'text') throw new Error('the scan lane answered another task');
        return result.scan;
      }),
    );
  }

  /** An id that is too long to be new is appended to only where it exists. */
  async #checkNewIds({ events }: Prepared): Promise<void> {
    const { table } = this.#context.store;
    try {
      for (const { stream, fileName } of events) {
        const { name } = stream;
        await table.ready(stream);
        const kind = name.journal === 'turns' ? 'session' : 'thread';
        if (!isNewId(kind, name.id) && stream.files.length === 0)
          throw new InvalidIdError(describeIdProblem(kind, name.id));
        const runId = fileName.slice(0, -'.jsonl'.length);
        if (
          name.journal === 'runs' &&
          !isNewId('run', runId) &&
          stream.file(fileName) === undefined
        ) {
          throw new InvalidIdError(describeIdProblem('run', runId));
        }
      }
    } catch (error) {
      for (const stream of new Set(events.map(({ stream }) => stream))) table.release(stream);
      throw error;
    }
  }

  #bounded(text: Uint8Array): Uint8Array {
    return boundedText(text, this.#context.limits.eventBytesMax);
  }

  #conditions(
    request: Numbered & { expectedSeq?: number; idempotencyKey?: string },
    more: {
      readonly kind: string;
      readonly texts: readonly Uint8Array[];
      readonly unlessTerminal?: boolean;
      readonly ifAbsent?: boolean;
    },
  ): AppendConditions {
    const key = request.idempotencyKey ?? null;
    return {
      expectedSeq: request.expectedSeq ?? null,
      unlessTerminal: more.unlessTerminal ?? false,
      ifAbsent: more.ifAbsent ?? false,
      identity: this.#identity(request),
      key,
      fingerprint: key === null ? null : fingerprint(more.kind, more.texts),
    };
  }

  #identity({ number, lowest }: Numbered): Identity | null {
    return number === undefined
      ? null
      : { clientId: this.#clientId, number, lowest: lowest ?? number };
  }
}

/** A request with its client's number for it. */
interface Numbered {
  readonly number?: number;
  readonly lowest?: number;
}

interface Prepared {
  readonly events: readonly PreparedEvent[];
  readonly conditions: AppendConditions;
}

function scanInline(text: Uint8Array): JsonScan {
  return scanObject(text, { depthMax: JSON_DEPTH_MAX, membersMax: JSON_MEMBERS_MAX });
}

/** Whether an id is too long to be created, so that it has to be looked up first. */
function needsLook({ events }: Prepared): boolean {
  return events.some(({ stream: { name }, fileName }) =>
    name.journal === 'turns'
      ? !isNewId('session', name.id)
      : !isNewId('thread', name.id) || !isNewId('run', fileName.slice(0, -'.jsonl'.length)),
  );
}

/** Sixteen bytes that stand for what was asked. */
function fingerprint(kind: string, texts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash('sha256').update(kind);
  for (const text of texts) hash.update(`\n${text.length}\n`).update(text);
  return Uint8Array.from(hash.digest().subarray(0, 16));
}

function bytesOf(events: readonly PreparedEvent[]): number {
  return events.reduce(
    (sum, event) =>
      sum + (event.journal === 'turns' ? event.text : event.head).length + EVENT_OVERHEAD_BYTES,
    0,
  );
}

/** @throws InvalidIdError when `id` cannot name anything */
export function checkId(kind: IdKind, id: string): void {
  if (!isId(kind, id)) throw new InvalidIdError(describeIdProblem(kind, id));
}

/** @throws OverloadedError when the results of too many calls would have to be kept */
function checkNumber({ number = 0, lowest = number }: Numbered): void {
  if (number - lowest < CLIENT_RESULTS_MAX) return;
  const problem = `call ${number} is too far above call ${lowest}, which is still awaited`;
  throw new OverloadedError(`${problem}: at most ${CLIENT_RESULTS_MAX} results are kept`);
}
