/**
 * The turns without a terminal event, of one session or of all: from the catalog where a
 * session's files are as it knows them, else from the session itself.
 *
 * @module
 */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { ANSWER_FRAME_BYTES } from '../../shared/limits.js';
import type { RequestOf, WireRow } from '../../shared/protocol.js';
import type { CatalogEntry, LineRef } from '../storage/catalog-format.js';
import { type StreamName, streamFolder } from '../storage/layout.js';
import { TURN_ROW } from '../streams/assemble.js';
import { JournalFile } from '../streams/journal-file.js';
import { readLine } from '../streams/line-reader.js';
import { byCodeUnit } from '../streams/load.js';
import type { Row } from '../streams/stream-index.js';
import type { AnswerWriter } from './answer-writer.js';
import type { ServerContext } from './context.js';

/** Sessions that are looked at, and lines that are read, at the same time. */
const PARALLEL = 64;

/** A line of a pending turn, still to be read. */
interface PendingLine {
  readonly files: readonly JournalFile[];
  readonly row: Row;
  readonly about: Omit<WireRow, 'text'> & { readonly sessionId: string };
}

/** One open turn: its first `submitted`, if there is one, and its latest event. */
type PendingTurn = readonly PendingLine[];

export async function sendPending(
  context: ServerContext,
  { sessionId, limit = Number.POSITIVE_INFINITY }: RequestOf<'turns.pending'>,
  answer: AnswerWriter,
): Promise<void> {
  const files = await context.store.sessionFiles.all();
  const ids = sessionId === undefined ? [...files.keys()].sort(byCodeUnit) : [sessionId];
  let left = limit;
  for (let at = 0; at < ids.length && left > 0; at += PARALLEL) {
    const some = ids.slice(at, at + PARALLEL);
    const turns = await Promise.all(some.map((id) => turnsOf(context, id, files.get(id) ?? [])));
    const wanted = turns.flat().slice(0, left);
    left -= wanted.length;
    await sendLines(context, wanted.flat(), answer);
  }
  answer.end();
}

async function turnsOf(
  { layout, store }: ServerContext,
  id: string,
  fileNames: readonly string[],
): Promise<PendingTurn[]> {
  const name: StreamName = { journal: 'turns', id };
  const entry = store.table.peek(name) === undefined ? store.catalog.get(name) : null;
  const folder = streamFolder(layout, name);
  if (entry !== null && isUnchanged(folder, entry, fileNames)) return fromCatalog(folder, entry);
  return await store.table.read(name, async ({ generation, index, files, turns }) => {
    const all = [...files];
    return [...turns.turns]
      .filter(([, { terminals }]) => terminals.length === 0)
      .map(([turnId, { latest, submitted }]) => {
        const rows = {
          latest: index.row(latest),
          submitted: submitted === null ? null : index.row(submitted),
        };
        return linesOf(all, rows, { generation, turnId, sessionId: id });
      });
  });
}

function fromCatalog(folder: string, entry: CatalogEntry): PendingTurn[] {
  const files = entry.files.map(
    ({ name }, number) => new JournalFile(name, join(folder, name), number),
  );
  const row = ({ fileName, seq, offset, length }: LineRef): Row => ({
    seq,
    file: files.findIndex(({ name }) => name === fileName),
    offset,
    length,
    kind: TURN_ROW,
  });
  return entry.openTurns.map(({ turnId, submitted, latest }) => {
    const rows = { latest: row(latest), submitted: submitted === null ? null : row(submitted) };
    return linesOf(files, rows, { generation: entry.generation, turnId, sessionId: entry.id });
  });
}

function linesOf(
  files: readonly JournalFile[],
  rows: { readonly latest: Row; readonly submitted: Row | null },
  of: Pick<PendingLine['about'], 'generation' | 'turnId' | 'sessionId'>,
): PendingTurn {
  const line = (row: Row, label: 'submitted' | 'latest'): PendingLine => ({
    files,
    row,
    about: { ...of, seq: row.seq, label },
  });
  const { latest, submitted } = rows;
  return [...(submitted === null ? [] : [line(submitted, 'submitted')]), line(latest, 'latest')];
}

/** Sends the lines in their order; several are read at once, as long as they are short. */
async function sendLines(
  context: ServerContext,
  lines: readonly PendingLine[],
  answer: AnswerWriter,
): Promise<void> {
  for (let at = 0; at < lines.length; ) {
    let bytes = 0;
    let end = at;
    while (
      end < lines.length &&
      end - at < PARALLEL &&
      (end === at || bytes < ANSWER_FRAME_BYTES)
    ) {
      bytes += (lines[end] as PendingLine).row.length;
      end += 1;
    }
    const some = lines.slice(at, end);
    const texts = await Promise.all(some.map((line) => textOf(context, line)));
    for (const [index, { about }] of some.entries()) {
      const text = texts[index] ?? null;
      if (text !== null) await answer.row({ ...about, text });
    }
    at = end;
  }
}

/** The text of a line; null where its session was deleted meanwhile, and the turn with it. */
async function textOf(
  { store }: ServerContext,
  { files, row, about }: PendingLine,
): Promise<Buffer | null> {
  try {
    return await readLine(store.files, files, row);
  } catch (error) {
    const name: StreamName = { journal: 'turns', id: about.sessionId };
    const present = await store.table.read(name, async ({ generation }) => generation);
    if (present === about.generation) throw error;
    return null;
  }
}

/** Whether a session's files have the lengths that the catalog knows. */
function isUnchanged(folder: string, entry: CatalogEntry, fileNames: readonly string[]): boolean {
  if (entry.behind.length > 0 || fileNames.length !== entry.files.length) return false;
  return entry.files.every(
    ({ name, length }) => statSync(join(folder, name), { throwIfNoEntry: false })?.size === length,
  );
}
