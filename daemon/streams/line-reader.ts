/**
 * Reads the lines of index rows from their files, neighbours in one read, a bounded piece at a
 * time: no answer is ever held in memory as a whole.
 *
 * @module
 */
import { read as readCallback } from 'node:fs';
import { promisify } from 'node:util';
import { StorageFailedError } from '../../shared/errors.js';
import { ANSWER_FRAME_BYTES } from '../../shared/limits.js';
import type { FileTable } from './file-table.js';
import type { JournalFile } from './journal-file.js';
import type { Row } from './stream-index.js';

const read = promisify(readCallback);
const LF = 0x0a;
/** What may be added to a last line without an LF, and change nothing of it. */
const BLANK: ReadonlySet<number> = new Set([0x20, 0x09, 0x0d]);

/** A row with its line. */
export interface RowLine {
  readonly row: Row;
  /** The exact line, without its LF. */
  readonly line: Buffer;
}

/** Rows that lie one behind the other in a file. */
interface Piece {
  readonly file: JournalFile;
  readonly rows: Row[];
  readonly from: number;
  to: number;
}

/**
 * Yields the lines of rows, in the order of the rows, in pieces of bounded size (a single line
 * may be larger).
 *
 * @param files the stream's files, as the rows number them
 */
export async function* readLines(
  table: FileTable,
  files: readonly JournalFile[],
  rows: Iterable<Row>,
): AsyncGenerator<readonly RowLine[]> {
  for (const piece of pieces(files, rows)) yield await readPiece(table, piece);
}

/** Reads the line of one row. */
export async function readLine(
  table: FileTable,
  files: readonly JournalFile[],
  row: Row,
): Promise<Buffer> {
  const file = files[row.file] as JournalFile;
  const [only] = await readPiece(table, {
    file,
    rows: [row],
    from: row.offset,
    to: row.offset + row.length,
  });
  return (only as RowLine).line;
}

function* pieces(files: readonly JournalFile[], rows: Iterable<Row>): Generator<Piece> {
  let piece: Piece | null = null;
  for (const row of rows) {
    const file = files[row.file] as JournalFile;
    const end = row.offset + row.length;
    // Lines are neighbours if nothing but the LF lies between them, and both are in the file or both
    // still on their way into it.
    const follows: boolean =
      piece !== null &&
      piece.file === file &&
      row.offset === piece.to + 1 &&
      row.offset !== file.behind?.at &&
      end - piece.from <= ANSWER_FRAME_BYTES;
    if (piece !== null && follows) {
      piece.rows.push(row);
      piece.to = end;
      continue;
    }
    if (piece !== null) yield piece;
    piece = { file, rows: [row], from: row.offset, to: end };
  }
  if (piece !== null) yield piece;
}

async function readPiece(table: FileTable, piece: Piece): Promise<readonly RowLine[]> {
  const { file, from, to, rows } = piece;
  const bytes = fromMemory(file, from, to) ?? (await fromDisk(table, piece));
  return rows.map((row) => {
    const start = row.offset - from;
    return { row, line: bytes.subarray(start, start + row.length) };
  });
}

/** Lines that are committed but not in their file yet. */
function fromMemory(file: JournalFile, from: number, to: number): Buffer | null {
  const { behind } = file;
  if (behind === null || from < behind.at) return null;
  return Buffer.from(behind.bytes.subarray(from - behind.at, to - behind.at));
}

async function fromDisk(table: FileTable, { file, rows, from, to }: Piece): Promise<Buffer> {
  // With what ends the last line, where there is something.
  const bytes = Buffer.allocUnsafe(to + 1 - from);
  let filled = 0;
  try {
    await table.reading(file, async (fd) => {
      while (filled < bytes.length) {
        const { bytesRead } = await read(fd, bytes, filled, bytes.length - filled, from + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
    });
  } catch (error) {
    throw changedWhileRead(file, (error as Error).message);
  }
  if (filled < to - from) throw changedWhileRead(file, 'the file is shorter than it was');
  const found = bytes.subarray(0, filled);
  if (rows.every(({ offset, length }) => isLineEnd(found[offset + length - from]))) return found;
  // Somebody wrote other lines over these: it is read anew before the next read.
  file.distrust();
  throw changedWhileRead(file, 'other lines are where its lines were');
}

/** Whether a line may end before this byte, or where there is none. */
function isLineEnd(byte: number | undefined): boolean {
  return byte === undefined || byte === LF || BLANK.has(byte);
}

function changedWhileRead(file: JournalFile, why: string): StorageFailedError {
  return new StorageFailedError(`${file.path} cannot be read: ${why}; try again`, 'not-committed');
}
