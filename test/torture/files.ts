/** Journal files and pages as the oracle compares them. */
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { crc32 } from 'node:zlib';
import { detailsOf, type EventLog, type RunEvent, type TurnEvent } from '../../client/index.js';
import { journalPaths } from '../support/journal-files.js';
import type { HeldRow, HeldStream } from './held.js';

/** A line that is no event. */
export interface Malformed {
  /** In the directory. */
  readonly file: string;
  readonly raw: string;
}

export interface Held {
  readonly held: readonly HeldStream[];
  readonly malformed: readonly Malformed[];
}

/** What the journal files of a directory hold, read as any program reads them. */
export function heldByFiles(dir: string): Held {
  const streams = new Map<string, HeldRow[]>();
  const malformed: Malformed[] = [];
  for (const file of journalPaths(dir)) {
    const stream = streamOf(file);
    const rows = streams.get(stream) ?? [];
    streams.set(stream, rows);
    for (const raw of linesOf(readFileSync(join(dir, file)))) {
      const row = rowOf(raw);
      if (row === null) malformed.push({ file, raw });
      else rows.push(row);
    }
  }
  const held = [...streams].map(([stream, rows]) => ({
    stream,
    generation: 0,
    rows: rows.every(({ seq }) => seq > 0) ? rows.sort((a, b) => a.seq - b.seq) : rows,
  }));
  return { held, malformed };
}

/** What the daemon answers of one stream, in one answer. */
export async function heldByDaemon(
  log: EventLog,
  stream: string,
): Promise<HeldStream & { readonly malformed: number }> {
  const id = stream.slice(stream.indexOf('/') + 1);
  if (stream.startsWith('runs/')) {
    const events = await log.runs.listMessages(id, { limit: 10_000_000 });
    return { ...heldOf(stream, events), malformed: 0 };
  }
  const { events, generation, malformed } = await log.turns.read(id);
  return { ...heldOf(stream, events), generation, malformed: malformed.length };
}

/** Every stream that the daemon knows. */
export async function streamsOf(log: EventLog): Promise<string[]> {
  const [sessions, threads] = await Promise.all([log.turns.sessionIds(), log.runs.threadIds()]);
  return [...sessions.map((id) => `turns/${id}`), ...threads.map((id) => `runs/${id}`)];
}

function heldOf(stream: string, events: readonly (TurnEvent | RunEvent)[]): HeldStream {
  const rows = events.map((event) => {
    const { cursor, text } = detailsOf(event);
    return { ...recordRow(event as unknown as Fields, crc32(text ?? '')), seq: cursor.seq };
  });
  const [first] = events;
  const generation = first === undefined ? 0 : detailsOf(first).cursor.generation;
  return { stream, generation, rows };
}

/** `turns/<session>` or `runs/<thread>`. */
function streamOf(file: string): string {
  return file.startsWith('threads')
    ? `runs/${basename(dirname(dirname(file)))}`
    : `turns/${basename(file, '.jsonl')}`;
}

function linesOf(bytes: Buffer): string[] {
  return bytes
    .toString()
    .split('\n')
    .filter((line) => line.trim() !== '');
}

interface Fields {
  readonly seq?: unknown;
  readonly content?: unknown;
  readonly run_id?: string;
  readonly event?: string;
  readonly event_type?: string;
  readonly turn_id?: string;
  readonly stream_id?: string;
  readonly created_at?: string | number;
}

function rowOf(raw: string): HeldRow | null {
  let fields: unknown;
  try {
    fields = JSON.parse(raw);
  } catch {
    return null;
  }
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) return null;
  return recordRow(fields as Fields, crc32(raw));
}

function recordRow(fields: Fields, checksum: number): HeldRow {
  return {
    id: String(fields.content),
    seq: Number(fields.seq ?? 0),
    checksum,
    run: fields.run_id ?? null,
    type: fields.event ?? fields.event_type ?? '',
    turn: fields.turn_id ?? null,
    by: fields.stream_id ?? null,
    stamp: stampOf(fields.created_at),
  };
}

/** Turns have seconds, runs a text; to the microsecond. */
function stampOf(created: string | number | undefined): number | null {
  if (typeof created !== 'string') return created ?? null;
  return Date.parse(created) / 1000 + Number(created.slice(23, 26)) / 1e6;
}
