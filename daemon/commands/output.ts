/**
 * Output of the daemon's commands: tables for people, JSON lines for programs.
 *
 * @module
 */
import Table from 'cli-table3';

/** Whether a person reads: a terminal, and no `--json`. */
export function isForPeople(json: boolean): boolean {
  return !json && process.stdout.isTTY === true;
}

/** Prints one record. */
export function printRecord(record: Readonly<Record<string, unknown>>, json: boolean): void {
  if (!isForPeople(json)) {
    console.log(JSON.stringify(record));
    return;
  }
  const table = new Table({ style: { head: [] } });
  for (const [key, value] of Object.entries(record)) table.push({ [key]: cell(value) });
  console.log(table.toString());
}

/** Prints rows, each an object with the columns as keys. */
export function printRows(
  columns: readonly string[],
  rows: readonly Readonly<Record<string, unknown>>[],
  json: boolean,
): void {
  if (!isForPeople(json)) {
    for (const row of rows) console.log(JSON.stringify(row));
    return;
  }
  const table = new Table({ head: [...columns], style: { head: [] }, wordWrap: true });
  for (const row of rows) table.push(columns.map((column) => cell(row[column])));
  console.log(table.toString());
}

function cell(value: unknown): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
