/**
 * Folds the records of the commit log past the checkpoint into what each stream must come to:
 * which lines are due in which files, which lives began and ended, which deletions to redo.
 *
 * @module
 */

import { ackRuns } from '../commit/ack-runs.js';
import type { Retries } from '../commit/retries.js';
import type { Catalog } from '../storage/catalog.js';
import type { CatalogEntry } from '../storage/catalog-format.js';
import { type StreamName, streamKey } from '../storage/layout.js';
import { lineFacts } from '../storage/line-facts.js';
import type { Deletion, LoggedEvent, LogRecord, StreamLife } from '../storage/log-records.js';

/** What a stream must come to. */
export interface StreamReplay {
  readonly name: StreamName;
  /** What is known of the life so far; its files up to their marks are durable. */
  entry: CatalogEntry;
  /** Lines due behind the marks, by file, in seq order. */
  readonly due: Map<string, LoggedEvent[]>;
  /** Files that a deletion wrote anew: all that they hold is known. */
  readonly rewritten: Set<string>;
}

/** A deletion that may not have been carried out. */
export interface DeletionReplay extends Pick<Deletion, 'runId' | 'moved' | 'rewrites'> {
  readonly name: StreamName;
  readonly position: number;
}

/** Everything that the log says past the checkpoint. */
export class FoldedLog {
  readonly streams: Map<string, StreamReplay> = new Map();
  readonly deletions: DeletionReplay[] = [];
  readonly removed: Map<string, StreamName> = new Map();
  readonly #catalog: Catalog;
  readonly #retries: Retries;
  readonly #covered: number;

  /** @param covered the last position that the catalog covers */
  constructor(catalog: Catalog, retries: Retries, covered: number) {
    this.#catalog = catalog;
    this.#retries = retries;
    this.#covered = covered;
  }

  /** Takes in the next record. */
  add(record: LogRecord): void {
    switch (record.type) {
      case 'append':
        this.#append(record);
        return;
      case 'adoptLines':
        // They were in their file before they were adopted: a catalog that covers them marks them.
        for (const event of record.events) if (event.position > this.#covered) this.#due(event);
        return;
      case 'deleteStream':
      case 'deleteRun':
        if (record.position > this.#covered) this.#delete(record);
        return;
      case 'adoptFiles':
        if (record.position > this.#covered) this.#adopt(record);
        return;
      case 'fence': {
        if (record.position <= this.#covered) return;
        const replay = this.#stream(record.stream);
        replay.entry = { ...replay.entry, fence: record.reason };
        return;
      }
      default:
        record satisfies never;
    }
  }

  #append(record: Extract<LogRecord, { type: 'append' }>): void {
    const news = record.events.filter((event) => this.#isNews(event));
    for (const event of news) this.#due(event);
    const [first] = record.events;
    if (first === undefined || first.position <= this.#covered) return;
    const { identity, key, fingerprint, atMs } = record.retry;
    if (identity === null && key === null) return;
    const result = { runs: ackRuns(record.events), count: 0, fingerprint, atMs };
    this.#retries.remember({ stream: first.stream, identity, key }, result);
  }

  /** Past the checkpoint, or covered by it although the file had no room for the line. */
  #isNews({ position, stream, fileName }: LoggedEvent): boolean {
    if (position > this.#covered) return true;
    const entry = this.#catalog.get(stream);
    if (entry?.generation !== stream.generation) return false;
    return entry.behind.some((file) => file.fileName === fileName && position >= file.from);
  }

  #due(event: LoggedEvent): void {
    const replay = this.#stream(event.stream);
    const lines = replay.due.get(event.fileName);
    if (lines === undefined) replay.due.set(event.fileName, [event]);
    else lines.push(event);
    replay.entry = { ...replay.entry, lastSeq: Math.max(replay.entry.lastSeq, event.seq) };
  }

  #delete(record: Extract<LogRecord, { type: 'deleteStream' | 'deleteRun' }>): void {
    const { stream, position, runId, retry, count, moved, rewrites } = record;
    if (retry.identity !== null) {
      const result = { runs: [], count, fingerprint: null, atMs: retry.atMs };
      this.#retries.remember({ stream, identity: retry.identity, key: null }, result);
    }
    const name = { journal: stream.journal, id: stream.id };
    const isDone = runId !== null && moved.length === 0 && rewrites.length === 0;
    // Another program removed the run's file: what is left follows in a record of its own.
    if (!isDone) this.deletions.push({ name, position, runId, moved, rewrites });
    if (runId === null) {
      this.#end(stream);
      return;
    }
    const replay = this.#stream(stream);
    for (const name of moved) {
      replay.due.delete(name);
      replay.rewritten.delete(name);
    }
    for (const name of rewrites) {
      replay.rewritten.add(name);
      const left = replay.due.get(name)?.filter(({ line }) => runOf(line) !== runId) ?? [];
      if (left.length > 0) replay.due.set(name, left);
      else replay.due.delete(name);
    }
    const gone = new Set([...moved, ...rewrites]);
    replay.entry = {
      ...replay.entry,
      files: replay.entry.files.filter(({ name }) => !gone.has(name)),
    };
  }

  #adopt(record: Extract<LogRecord, { type: 'adoptFiles' }>): void {
    const { stream, files, ranges, lastSeq } = record;
    // Files that were cut to nothing leave the life its seqs; only its end has none.
    if (files.length === 0 && lastSeq === 0) {
      this.#end(stream);
      return;
    }
    const replay = this.#stream(stream);
    replay.due.clear();
    replay.rewritten.clear();
    replay.entry = {
      ...replay.entry,
      files,
      ranges,
      lastSeq: Math.max(lastSeq, replay.entry.lastSeq),
      // Of a stream that stays fenced the record of the fence follows.
      fence: null,
      behind: [],
    };
  }

  #end(stream: StreamName): void {
    const name = { journal: stream.journal, id: stream.id };
    this.streams.delete(streamKey(name));
    this.removed.set(streamKey(name), name);
  }

  #stream(life: StreamLife): StreamReplay {
    const key = streamKey(life);
    const known = this.streams.get(key);
    if (known !== undefined && known.entry.generation === life.generation) return known;
    const cataloged = this.removed.has(key) ? null : this.#catalog.get(life);
    const entry = cataloged?.generation === life.generation ? cataloged : newEntry(life);
    const replay = {
      name: { journal: life.journal, id: life.id },
      entry,
      due: new Map(),
      rewritten: new Set<string>(),
    };
    this.streams.set(key, replay);
    this.removed.delete(key);
    return replay;
  }
}

/** The run that a line belongs to, whatever file it lies in. */
function runOf(line: Uint8Array): string | null {
  const kind = lineFacts('runs', Buffer.from(line))?.kind;
  return kind?.journal === 'runs' ? kind.runId : null;
}

function newEntry(life: StreamLife): CatalogEntry {
  return {
    journal: life.journal,
    id: life.id,
    generation: life.generation,
    lastSeq: 0,
    lastCreatedAtUs: 0,
    files: [],
    ranges: [],
    openTurns: [],
    fence: null,
    behind: [],
  };
}
