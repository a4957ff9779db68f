/**
 * Handles reads: asks the index which rows answer, and sends their lines piece by piece.
 *
 * @module
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import pLimit, { type LimitFunction } from 'p-limit';
import { isId } from '../../shared/ids.js';
import { CONNECTION_READS_MAX } from '../../shared/limits.js';
import type { RequestOf, WireRow } from '../../shared/protocol.js';
import type { StreamName } from '../storage/layout.js';
import type { RunRowKind } from '../storage/line-facts.js';
import { readLines } from '../streams/line-reader.js';
import { byCodeUnit, runFilesIn } from '../streams/load.js';
import { countRows, damageOnPage, rowsAfter, runPage, threadPage } from '../streams/queries.js';
import type { Stream } from '../streams/stream.js';
import type { Row } from '../streams/stream-index.js';
import type { AnswerWriter } from './answer-writer.js';
import { checkId } from './appends.js';
import type { ServerContext } from './context.js';
import { sendPending } from './pending.js';

const IDS_PER_FRAME = 2_000;
const DAMAGE_PER_FRAME = 3;

/** Handles the reads of one connection. */
export class Reads {
  readonly #context: ServerContext;
  readonly #atOnce: LimitFunction = pLimit(CONNECTION_READS_MAX);

  constructor(context: ServerContext) {
    this.#context = context;
  }

  async turns(request: RequestOf<'turns.read'>, answer: AnswerWriter): Promise<void> {
    const { afterSeq = 0, limit = Number.POSITIVE_INFINITY } = request;
    await this.#read(sessionName(request.sessionId), answer, async (stream) => {
      const { index, generation } = stream;
      // Without a cursor old lines of seq 0 are read too.
      const after = afterSeq === 0 ? -1 : afterSeq;
      const from = index.firstAfter(after);
      const rows = rowsAfter(index, after, limit);
      const to = from + rows.length;
      const damage = damageOnPage(stream, { from, to });
      await this.#sendRows(stream, rows, answer);
      for (let at = 0; at < damage.length; at += DAMAGE_PER_FRAME) {
        const malformed = damage.slice(at, at + DAMAGE_PER_FRAME);
        await answer.part({
          malformed: malformed.map(({ file: _file, offset: _offset, ...line }) => line),
        });
      }
      answer.end({ head: { generation, seq: stream.lastSeq } });
    });
  }

  async states(request: RequestOf<'turns.states'>, answer: AnswerWriter): Promise<void> {
    await this.#read(sessionName(request.sessionId), answer, async (stream) => {
      const { index, generation } = stream;
      const turns = [...stream.turns.turns];
      const latest = turns.map(([turnId, { latest: row }]) => ({
        row,
        label: { label: 'state' as const, turnId },
      }));
      const collisions = turns.flatMap(([turnId, { terminals }]) =>
        terminals.length < 2
          ? []
          : [...terminals]
              .sort((a, b) => a.createdAt - b.createdAt)
              .map(({ row }) => ({ row, label: { label: 'collision' as const, turnId } })),
      );
      const wanted = [...latest, ...collisions];
      let at = 0;
      for await (const piece of readLines(
        this.#context.store.files,
        [...stream.files],
        wanted.map(({ row }) => index.row(row)),
      )) {
        for (const { row, line } of piece) {
          const label = wanted[at]?.label ?? {};
          at += 1;
          await answer.row({ text: line, seq: row.seq, generation, ...label });
        }
      }
      answer.end({ head: { generation, seq: stream.lastSeq } });
    });
  }

  async pending(request: RequestOf<'turns.pending'>, answer: AnswerWriter): Promise<void> {
    if (request.sessionId !== undefined) checkId('session', request.sessionId);
    await sendPending(this.#context, request, answer);
  }

  async head(name: StreamName, answer: AnswerWriter): Promise<void> {
    await this.#read(name, answer, async ({ generation, lastSeq }) => {
      answer.end({ head: { generation, seq: generation === 0 ? 0 : lastSeq } });
    });
  }

  async sessionIds(answer: AnswerWriter): Promise<void> {
    await sendIds(await this.#context.store.sessionFiles.sessionIds(), answer);
  }

  async threadIds(answer: AnswerWriter): Promise<void> {
    const { threads } = this.#context.layout;
    const names = await readdir(threads).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    const ids = names.filter(
      (name) => isId('thread', name) && hasRuns(join(threads, name, 'runs')),
    );
    await sendIds(ids.sort(byCodeUnit), answer);
  }

  async listMessages(request: RequestOf<'runs.listMessages'>, answer: AnswerWriter): Promise<void> {
    await this.#sendPage(request.threadId, answer, (stream) =>
      threadPage(stream.index, request, ({ category }) => category === 'message'),
    );
  }

  async listEvents(request: RequestOf<'runs.listEvents'>, answer: AnswerWriter): Promise<void> {
    const { runId, eventTypes, taskId, afterSeq = -1, limit } = request;
    checkId('run', runId);
    const types = eventTypes === undefined ? null : new Set(eventTypes);
    const filter = (kind: RunRowKind): boolean =>
      kind.runId === runId &&
      (types === null || types.has(kind.eventType)) &&
      (taskId === undefined || kind.taskId === taskId);
    await this.#sendPage(request.threadId, answer, (stream) =>
      rowsAfter(stream.index, afterSeq, limit, filter),
    );
  }

  async listMessagesByRun(
    request: RequestOf<'runs.listMessagesByRun'>,
    answer: AnswerWriter,
  ): Promise<void> {
    const { runId } = request;
    checkId('run', runId);
    await this.#sendPage(request.threadId, answer, (stream) =>
      runPage(stream.index, request, (kind) => kind.runId === runId && kind.category === 'message'),
    );
  }

  async countMessages(threadId: string, answer: AnswerWriter): Promise<void> {
    await this.#read(threadName(threadId), answer, async ({ index }) => {
      answer.end({ count: countRows(index, ({ category }) => category === 'message') });
    });
  }

  async #sendPage(
    threadId: string,
    answer: AnswerWriter,
    select: (stream: Stream) => readonly number[],
  ): Promise<void> {
    await this.#read(threadName(threadId), answer, async (stream) => {
      await this.#sendRows(stream, select(stream), answer);
      answer.end();
    });
  }

  /** Reads a stream; what a client does not take waits as a request, and not as lines. */
  async #read(
    name: StreamName,
    answer: AnswerWriter,
    step: (stream: Stream) => Promise<void>,
  ): Promise<void> {
    await this.#atOnce(async () => {
      await answer.ready();
      await this.#context.store.table.read(name, step, () => answer.restart());
    });
  }

  async #sendRows(stream: Stream, rows: readonly number[], answer: AnswerWriter): Promise<void> {
    const { index, generation } = stream;
    for await (const piece of readLines(
      this.#context.store.files,
      [...stream.files],
      rowsOf(index, rows),
    )) {
      for (const { row, line } of piece) {
        const wire: WireRow = { text: line, seq: row.seq, generation };
        await answer.row(wire);
      }
    }
  }
}

export function sessionName(sessionId: string): StreamName {
  checkId('session', sessionId);
  return { journal: 'turns', id: sessionId };
}

export function threadName(threadId: string): StreamName {
  checkId('thread', threadId);
  return { journal: 'runs', id: threadId };
}

function* rowsOf(index: Stream['index'], rows: readonly number[]): Generator<Row> {
  for (const row of rows) yield index.row(row);
}

function hasRuns(folder: string): boolean {
  try {
    return runFilesIn(folder).length > 0;
  } catch {
    // What cannot be read holds no run that could be served.
    return false;
  }
}

async function sendIds(ids: readonly string[], answer: AnswerWriter): Promise<void> {
  for (let at = 0; at < ids.length; at += IDS_PER_FRAME)
    await answer.part({ ids: ids.slice(at, at + IDS_PER_FRAME) });
  answer.end();
}
