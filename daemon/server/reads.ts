/**
 * Handles reads: asks the index which rows answer, and sends their lines piece by piece.
 *
 * @module
 */
import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isId } from '../../shared/ids.js';
import type { RequestOf, WireRow } from '../../shared/protocol.js';
import type { CatalogEntry, LineRef } from '../storage/catalog-format.js';
import { type StreamName, streamFolder } from '../storage/layout.js';
import type { RunRowKind } from '../storage/line-facts.js';
import { TURN_ROW } from '../streams/assemble.js';
import { JournalFile } from '../streams/journal-file.js';
import { readLine, readLines } from '../streams/line-reader.js';
import { byCodeUnit, runFilesIn } from '../streams/load.js';
import { countRows, damageOnPage, rowsAfter, runPage, threadPage } from '../streams/queries.js';
import type { Stream } from '../streams/stream.js';
import type { Row } from '../streams/stream-index.js';
import type { AnswerWriter } from './answer-writer.js';
import { checkId } from './appends.js';
import type { ServerContext } from './context.js';

const IDS_PER_FRAME = 2_000;
const DAMAGE_PER_FRAME = 3;

/** Handles the reads of one connection. */
export class Reads {
  readonly #context: ServerContext;

  constructor(context: ServerContext) {
    this.#context = context;
  }

  async turns(request: RequestOf<'turns.read'>, answer: AnswerWriter): Promise<void> {
    const { afterSeq = 0, limit = Number.POSITIVE_INFINITY } = request;
    await this.#withStream(sessionName(request.sessionId), async (stream) => {
      const { index, generation } = stream;
      // Old lines may have seq 0, which is not after anything.
      const from = afterSeq === 0 ? 0 : index.firstAfter(afterSeq);
      const rows = rowsAfter(index, afterSeq === 0 ? -1 : afterSeq, limit);
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
    await this.#withStream(sessionName(request.sessionId), async (stream) => {
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
    const { sessionId, limit = Number.POSITIVE_INFINITY } = request;
    if (sessionId !== undefined) checkId('session', sessionId);
    const ids =
      sessionId === undefined ? await this.#context.store.sessionFiles.sessionIds() : [sessionId];
    let left = limit;
    for (const id of ids) {
      if (left <= 0) break;
      left -= await this.#pendingOf({ journal: 'turns', id }, left, answer);
    }
    answer.end();
  }

  async head(name: StreamName, answer: AnswerWriter): Promise<void> {
    await this.#withStream(name, async ({ generation, lastSeq }) => {
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
    await this.#withStream(threadName(threadId), async ({ index }) => {
      answer.end({ count: countRows(index, ({ category }) => category === 'message') });
    });
  }

  /** A session's open turns, from the catalog where its files are as it knows them. */
  async #pendingOf(name: StreamName, limit: number, answer: AnswerWriter): Promise<number> {
    const { layout, store } = this.#context;
    const { table, catalog, sessionFiles } = store;
    const entry = table.peek(name) === undefined ? catalog.get(name) : null;
    const fileNames = await sessionFiles.of(name.id);
    if (entry !== null && isUnchanged(streamFolder(layout, name), entry, fileNames)) {
      const files = entry.files.map(
        (mark, number) =>
          new JournalFile(mark.name, join(streamFolder(layout, name), mark.name), number),
      );
      const row = ({ fileName, seq, offset, length }: LineRef): Row => ({
        seq,
        file: files.findIndex((file) => file.name === fileName),
        offset,
        length,
        kind: TURN_ROW,
      });
      const turns = entry.openTurns.map(({ turnId, submitted, latest }) => ({
        turnId,
        submitted: submitted === null ? null : row(submitted),
        latest: row(latest),
      }));
      return await this.#sendPending(
        { name, generation: entry.generation, files, turns: turns.slice(0, limit) },
        answer,
      );
    }
    let sent = 0;
    await this.#withStream(name, async (stream) => {
      const open = [...stream.turns.turns]
        .filter(([, { terminals }]) => terminals.length === 0)
        .slice(0, limit);
      const turns = open.map(([turnId, { latest, submitted }]) => ({
        turnId,
        submitted: submitted === null ? null : stream.index.row(submitted),
        latest: stream.index.row(latest),
      }));
      sent = await this.#sendPending(
        { name, generation: stream.generation, files: [...stream.files], turns },
        answer,
      );
    });
    return sent;
  }

  async #sendPending(pending: PendingTurns, answer: AnswerWriter): Promise<number> {
    const { name, generation, files, turns } = pending;
    for (const { turnId, submitted, latest } of turns) {
      const about = { generation, turnId, sessionId: name.id };
      if (submitted !== null) {
        const text = await readLine(this.#context.store.files, files, submitted);
        await answer.row({ text, seq: submitted.seq, label: 'submitted', ...about });
      }
      const text = await readLine(this.#context.store.files, files, latest);
      await answer.row({ text, seq: latest.seq, label: 'latest', ...about });
    }
    return turns.length;
  }

  async #sendPage(
    threadId: string,
    answer: AnswerWriter,
    select: (stream: Stream) => readonly number[],
  ): Promise<void> {
    await this.#withStream(threadName(threadId), async (stream) => {
      await this.#sendRows(stream, select(stream), answer);
      answer.end();
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

  async #withStream(name: StreamName, step: (stream: Stream) => Promise<void>): Promise<void> {
    const { table } = this.#context.store;
    const stream = table.hold(name);
    try {
      await table.fresh(stream);
      await step(stream);
    } finally {
      table.release(stream);
    }
  }
}

/** The open turns of one session. */
interface PendingTurns {
  readonly name: StreamName;
  readonly generation: number;
  readonly files: readonly JournalFile[];
  readonly turns: readonly {
    readonly turnId: string;
    readonly submitted: Row | null;
    readonly latest: Row;
  }[];
}

/** Whether a stream's files have the lengths that the catalog knows. */
function isUnchanged(folder: string, entry: CatalogEntry, fileNames: readonly string[]): boolean {
  if (entry.behind.length > 0 || fileNames.length !== entry.files.length) return false;
  return entry.files.every(
    ({ name, length }) => statSync(join(folder, name), { throwIfNoEntry: false })?.size === length,
  );
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
