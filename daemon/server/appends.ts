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
import type { AppendConditions, PreparedEvent } from '../commit/operations.js';
import { journalFileName } from '../storage/layout.js';
import type { Identity } from '../storage/log-records.js';
import type { Stream } from '../streams/stream.js';
import type { AnswerWriter } from './answer-writer.js';
import type { ServerContext } from './context.js';
import { PendingAppend, type Prepared, streamsOf } from './pending-append.js';
import { boundedText, checkText, prepareRun, prepareTurn } from './prepare-event.js';

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

  turn(request: RequestOf<'turns.append'>, answer: AnswerWriter): void {
    checkId('session', request.sessionId);
    checkNumber(request);
    const texts = [this.#bounded(request.text)];
    this.#inOrder(answer, texts, (scans) => this.#prepareTurn(request, texts, scans));
  }

  #prepareTurn(
    request: RequestOf<'turns.append'>,
    texts: readonly Uint8Array[],
    scans: readonly JsonScan[],
  ): Prepared {
    const { sessionId, streamId = null, unlessTerminal = false } = request;
    const checked = checkText(texts[0] as Uint8Array, scans[0] as JsonScan, 'turn');
    const parts = prepareTurn(checked, sessionId, streamId);
    const kind = `turn ${sessionId} ${streamId ?? ''}`;
    const conditions = this.#conditions(request, { kind, texts, unlessTerminal, ifAbsent: false });
    const stream = this.#context.store.table.hold({ journal: 'turns', id: sessionId });
    const bytesMax = this.#context.limits.eventBytesMax;
    const event = { ...parts, stream, fileName: journalFileName(sessionId), bytesMax };
    return { events: [event], conditions };
  }

  runs(request: RequestOf<'runs.put'>, answer: AnswerWriter): void {
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
    this.#inOrder(answer, texts, (scans) => this.#prepareRuns(request, texts, scans));
  }

  #prepareRuns(
    request: RequestOf<'runs.put'>,
    texts: readonly Uint8Array[],
    scans: readonly JsonScan[],
  ): Prepared {
    // The batch is checked whole before a stream is touched.
    const parts = scans.map((scan, at) =>
      prepareRun(checkText(texts[at] as Uint8Array, scan, 'run')),
    );
    for (const { threadId, runId } of parts) {
      checkId('thread', threadId);
      checkId('run', runId);
    }
    const { ifAbsent = false } = request;
    const kind = ifAbsent ? 'putIfAbsent' : 'put';
    const conditions = this.#conditions(request, { kind, texts, unlessTerminal: false, ifAbsent });
    const held = new Map<string, Stream>();
    const events = parts.map((part): PreparedEvent => {
      const { threadId, runId, head, kind: row, createdAt } = part;
      let stream = held.get(threadId);
      if (stream === undefined) {
        stream = this.#context.store.table.hold({ journal: 'runs', id: threadId });
        held.set(threadId, stream);
      }
      const fileName = journalFileName(runId);
      return { journal: 'runs', stream, fileName, head, kind: row, createdAt };
    });
    return { events, conditions };
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
  #inOrder(
    answer: AnswerWriter,
    texts: readonly Uint8Array[],
    prepare: (scans: readonly JsonScan[]) => Prepared,
  ): void {
    const isLarge = texts.some(({ length }) => length > INLINE_VALIDATION_BYTES_MAX);
    if (this.#before !== null || isLarge) {
      this.#later(answer, async () => prepare(await this.#scanAll(texts)));
      return;
    }
    const prepared = prepare(texts.map(scanInline));
    if (needsLook(prepared)) this.#later(answer, async () => prepared);
    else this.#enqueue(prepared, answer);
  }

  #later(answer: AnswerWriter, prepare: () => Promise<Prepared>): void {
    const before = this.#before;
    const handOver = async (): Promise<void> => {
      try {
        await before;
        const prepared = await prepare();
        await this.#checkNewIds(prepared);
        this.#enqueue(prepared, answer);
      } catch (error) {
        answer.fail(error);
      }
    };
    const handedOver = handOver();
    this.#before = handedOver;
    void handedOver.then(() => {
      if (this.#before === handedOver) this.#before = null;
    });
  }

  #enqueue(prepared: Prepared, answer: AnswerWriter): void {
    new PendingAppend(this.#context.store, prepared, answer).enqueue();
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
  async #checkNewIds(prepared: Prepared): Promise<void> {
    const { table } = this.#context.store;
    try {
      for (const { stream, fileName } of prepared.events) {
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
      for (const stream of streamsOf(prepared)) table.release(stream);
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
      readonly unlessTerminal: boolean;
      readonly ifAbsent: boolean;
    },
  ): AppendConditions {
    const key = request.idempotencyKey ?? null;
    return {
      expectedSeq: request.expectedSeq ?? null,
      unlessTerminal: more.unlessTerminal,
      ifAbsent: more.ifAbsent,
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
