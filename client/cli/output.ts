/**
 * What the `eventlog` program writes: tables for a terminal, NDJSON for everything else.
 *
 * @module
 */
import { once } from 'node:events';
import { clearScreenDown, cursorTo } from 'node:readline';
import type { Writable } from 'node:stream';
import Table from 'cli-table3';
import { EXIT } from './exit-codes.js';

/** How results are shown. */
export type OutputFormat = 'table' | 'ndjson';

const CELL_WIDTH_MAX = 100;

/** Standard output in one of its formats. */
export class Output {
  readonly format: OutputFormat;
  readonly #stream: Writable;

  constructor(stream: Writable & { readonly isTTY?: boolean }, isJson: boolean) {
    this.#stream = stream;
    this.format = isJson || stream.isTTY !== true ? 'ndjson' : 'table';
  }

  /** Writes one line, as slowly as its reader takes it. */
  async line(text: string): Promise<void> {
    if (!this.#stream.write(`${text}\n`)) await once(this.#stream, 'drain');
  }

  /** Writes one row that is no part of a table. */
  async cells(cells: readonly string[]): Promise<void> {
    await this.line(cells.map(cellOf).join('  ').trimEnd());
  }

  /** Writes rows as a table in place of all that the terminal shows. */
  async screen(head: readonly string[], rows: readonly (readonly string[])[]): Promise<void> {
    cursorTo(this.#stream, 0, 0);
    clearScreenDown(this.#stream);
    await this.table(head, rows);
  }

  /** Writes rows as a table. */
  async table(head: readonly string[], rows: readonly (readonly string[])[]): Promise<void> {
    const table = new Table({ head: [...head], chars: PLAIN, style: STYLE });
    for (const row of rows) table.push(row.map(cellOf));
    await this.line(table.toString());
  }
}

/** A reader of standard output that went away ends the program quietly, as it does elsewhere. */
export function exitWhenOutputFails(stream: Writable): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok);
    process.stderr.write(`eventlog: cannot write the result: ${error.message}\n`);
    process.exit(EXIT.inputOutput);
  });
}

/** A value of an event in a cell: a string as it is, everything else as JSON. */
export function showValue(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined) return '';
  return JSON.stringify(value, (_key, member: unknown) => {
    if (typeof member === 'bigint') return String(member);
    return typeof member === 'number' && !Number.isFinite(member) ? String(member) : member;
  });
}

/** Control characters of an event must not reach the terminal, and one event is one line. */
function cellOf(text: string): string {
  const clean = text.replaceAll(/\p{Cc}/gu, ' ');
  return clean.length > CELL_WIDTH_MAX ? `${clean.slice(0, CELL_WIDTH_MAX - 1)}…` : clean;
}

const STYLE = { head: [], border: [], 'padding-left': 0, 'padding-right': 0 };
const PLAIN = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '  ',
};
