/**
 * Checks the files of one stream line by line, and the seqs of all of them together. Never holds
 * a file in memory.
 *
 * What the daemon has accounted for (it lies before a file's mark in the catalog) may have gaps:
 * runs were deleted, or old files had them when they were adopted. There they are told, not found
 * fault with.
 *
 * @module
 */
import { fstatSync, lstatSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { StreamFacts } from '../recovery/survey-storage.js';
import type { CatalogEntry } from '../storage/catalog-format.js';
import { closeFile, openFile } from '../storage/disk.js';
import { damaged, eachLine, isBlank, matchesMark } from '../storage/file-scan.js';
import { lineFacts } from '../storage/line-facts.js';
import { rangeReader } from '../streams/numbering.js';
import { during, FailureError } from '../workers/failure.js';
import type { Finding, OnFinding } from './findings.js';
import type { ListedStream } from './journal-listing.js';
import { SeqColumns, type SeqRow } from './seq-columns.js';

/** Seq problems that are told one by one; the rest of a stream are counted. */
const TOLD_PER_KIND_MAX = 1_000;
const PROGRESS_BYTES = 1024 * 1024;

/** What is wrong with a stream, in the terms of what would put it right. */
export interface StreamCheck {
  /** What the daemon knows of the life that the files belong to, or null. */
  readonly entry: CatalogEntry | null;
  readonly fence: string | null;
  readonly lines: number;
  readonly events: number;
  readonly malformed: number;
  /** Events whose seq another event has, or that no longer has its place. */
  readonly repeats: number;
  readonly clashes: number;
  /** Whether a file is not what the catalog says. */
  readonly isChanged: boolean;
  /** Whether there are gaps or an order that the daemon has not accounted for. */
  readonly isUnaccounted: boolean;
  /** Files that could not be read. */
  readonly unreadable: number;
}

export interface StreamCheckTask {
  readonly dir: string;
  readonly stream: ListedStream;
  readonly facts: StreamFacts;
  readonly onFinding: OnFinding;
  readonly onProgress?: (path: string, bytes: number) => void;
}

/** Checks one stream. */
export function checkStream(task: StreamCheckTask): StreamCheck {
  return new StreamChecker(task).run();
}

type Problem = Pick<Finding, 'level' | 'kind' | 'detail'> & Partial<Finding>;

class StreamChecker {
  readonly #task: StreamCheckTask;
  readonly #entry: CatalogEntry | null;
  readonly #seqs = new SeqColumns();
  readonly #told: Map<string, number> = new Map();
  #check = {
    lines: 0,
    events: 0,
    malformed: 0,
    repeats: 0,
    clashes: 0,
    isChanged: false,
    isUnaccounted: false,
    unreadable: 0,
  };

  constructor(task: StreamCheckTask) {
    this.#task = task;
    // A life ends with its last file: what lies there then is another one.
    const { entry } = task.facts;
    const names = new Set(task.stream.files.map(({ name }) => name));
    const isAlive =
      entry !== null &&
      (entry.files.length === 0 || entry.files.some(({ name }) => names.has(name)));
    this.#entry = isAlive ? entry : null;
  }

  run(): StreamCheck {
    const { files } = this.#task.stream;
    const fence = this.#entry?.fence ?? null;
    if (fence !== null) {
      const detail = `appends are refused: ${fence}`;
      this.#find(files[0]?.name ?? '', { level: 'finding', kind: 'fenced', detail });
    }
    for (const [file, { name }] of files.entries()) this.#checkFile(file, name);
    this.#removedFiles();
    this.#checkSeqs();
    this.#tellCounts();
    return { ...this.#check, entry: this.#entry, fence };
  }

  #checkFile(file: number, name: string): void {
    const path = join(this.#task.stream.folder, name);
    try {
      const stat = during('open', path, () => lstatSync(path));
      if (!stat.isFile()) return this.#unreadable(name, 'it is no regular file');
      const fd = openFile(path, 'read');
      try {
        during('read', path, () => this.#checkOpen(fd, file, name));
      } finally {
        closeFile(fd);
      }
    } catch (error) {
      if (!(error instanceof FailureError)) throw error;
      if (error.failure.code !== 'ENOENT') this.#unreadable(name, error.failure.message);
    }
  }

  #unreadable(name: string, why: string): void {
    this.#check.unreadable += 1;
    this.#find(name, { level: 'finding', kind: 'unreadable', detail: why });
  }

  #checkOpen(fd: number, file: number, name: string): void {
    const { stream, facts, onProgress } = this.#task;
    const { journal } = stream.name;
    const { size } = fstatSync(fd);
    const knownLength = this.#knownLength(fd, name, size);
    const nextInRange = this.#numbersGiven(name, knownLength);
    const due = facts.due.get(name);
    let line = 0;
    let told = 0;
    let last = 0;
    eachLine(fd, 0, size, (bytes, offset, terminated) => {
      line += 1;
      if (offset - told >= PROGRESS_BYTES) {
        onProgress?.(name, offset - told);
        told = offset;
      }
      if (isBlank(bytes)) return;
      const found = lineFacts(journal, bytes);
      if (found === null) {
        this.#malformed(name, damaged(bytes, line, offset, !terminated));
        return;
      }
      this.#check.events += 1;
      const own = found.seq ?? -1;
      // A turn without a seq has the one that the daemon gave it, if it did; a run's counts as 0.
      const given = own < 0 && journal === 'turns' ? nextInRange(offset) : 0;
      if (own < 0 && journal === 'turns' && given === 0) return;
      const seq = own < 0 ? given : own;
      const isKnown = offset < knownLength || due?.has(seq) === true;
      this.#seqs.add({ seq, file, line, offset, isKnown });
      if (seq < last) this.#order(name, { seq, line, offset, isKnown, file }, last);
      last = Math.max(last, seq);
    });
    this.#check.lines += line;
    onProgress?.(name, size - told);
  }

  /** How much of the file the daemon has accounted for. */
  #knownLength(fd: number, name: string, size: number): number {
    const mark = this.#entry?.files.find((one) => one.name === name);
    if (mark === undefined) return 0;
    if (matchesMark(fd, mark)) return mark.length;
    this.#check.isChanged = true;
    const detail =
      size < mark.length
        ? `it has ${size} bytes, but ${mark.length} were accounted for: it was cut or replaced`
        : `it has another last line at byte ${mark.length} than was accounted for: it was replaced`;
    this.#find(name, { level: 'finding', kind: 'file-changed', detail });
    // That says it all: its lines are not measured by what was there before.
    return Number.POSITIVE_INFINITY;
  }

  /** The seqs that the daemon gave to lines without one; 0 where it gave none. */
  #numbersGiven(name: string, knownLength: number): (offset: number) => number {
    if (knownLength === Number.POSITIVE_INFINITY) return () => 0;
    const ranges = this.#entry?.ranges.filter(({ fileName }) => fileName === name) ?? [];
    const next = rangeReader(ranges);
    return (offset) => (offset < knownLength ? next(offset) : 0);
  }

  #malformed(name: string, damage: ReturnType<typeof damaged>): void {
    this.#check.malformed += 1;
    const { line, offset, length, raw, torn } = damage;
    const shown = Buffer.byteLength(raw) < length ? { rawBytes: length } : {};
    const detail = torn ? 'a last line that is no whole event' : 'a line that is no JSON object';
    const kind = torn ? 'torn' : 'malformed';
    this.#find(name, { level: 'finding', kind, line, offset, raw, ...shown, detail });
  }

  #removedFiles(): void {
    const names = new Set(this.#task.stream.files.map(({ name }) => name));
    for (const { name } of this.#entry?.files ?? []) {
      if (names.has(name)) continue;
      const detail = 'it was removed by another program; its events are gone with it';
      this.#find(name, { level: 'info', kind: 'file-removed', detail });
    }
  }

  #order(name: string, row: SeqRow, last: number): void {
    if (!row.isKnown) this.#check.isUnaccounted = true;
    const detail = `seq ${row.seq} stands behind seq ${last}`;
    this.#tellRow(name, row, {
      level: row.isKnown ? 'info' : 'finding',
      kind: 'seq-order',
      detail,
    });
  }

  #checkSeqs(): void {
    const { files } = this.#task.stream;
    const lastSeq = this.#entry?.lastSeq ?? 0;
    let before: SeqRow | null = null;
    for (const row of this.#seqs.inSeqOrder()) {
      const name = files[row.file]?.name ?? '';
      if (before !== null && row.seq === before.seq) {
        this.#check.repeats += 1;
        const other = `${files[before.file]?.name ?? ''} line ${before.line}`;
        const detail = `seq ${row.seq} is that of ${other} too`;
        this.#tellRow(name, row, { level: 'finding', kind: 'seq-repeat', detail });
      } else if (!row.isKnown && this.#entry !== null && row.seq <= lastSeq) {
        this.#check.clashes += 1;
        const detail = `seq ${row.seq} of another program is not above ${lastSeq}`;
        this.#tellRow(name, row, { level: 'finding', kind: 'seq-clash', detail });
      } else if (before !== null && row.seq > before.seq + 1) {
        this.#gap(name, row, before);
      }
      before = row;
    }
  }

  #gap(name: string, row: SeqRow, before: SeqRow): void {
    const isKnown = row.isKnown && before.isKnown;
    if (!isKnown) this.#check.isUnaccounted = true;
    const first = before.seq + 1;
    const missing =
      first === row.seq - 1 ? `seq ${first} is` : `seqs ${first} to ${row.seq - 1} are`;
    const why = isKnown ? '; the daemon has accounted for that' : '';
    const detail = `${missing} missing before it${why}`;
    this.#tellRow(name, row, { level: isKnown ? 'info' : 'finding', kind: 'seq-gap', detail });
  }

  /** Tells of a line, unless there were too many of the kind. */
  #tellRow(name: string, { line, offset }: SeqRow, problem: Problem): void {
    const told = this.#told.get(problem.kind) ?? 0;
    this.#told.set(problem.kind, told + 1);
    if (told < TOLD_PER_KIND_MAX) this.#find(name, { ...problem, line, offset });
  }

  #tellCounts(): void {
    for (const [kind, count] of this.#told) {
      if (count <= TOLD_PER_KIND_MAX) continue;
      const detail = `${count - TOLD_PER_KIND_MAX} more of this kind in this stream`;
      const first = this.#task.stream.files[0]?.name ?? '';
      this.#find(first, { level: 'info', kind: kind as Finding['kind'], detail });
    }
  }

  #find(fileName: string, problem: Problem): void {
    const { dir, stream, onFinding } = this.#task;
    const { level, kind, detail, ...place } = problem;
    const { journal, id } = stream.name;
    const file = relative(dir, join(stream.folder, fileName));
    onFinding({ level, kind, journal, stream: id, file, ...place, detail });
  }
}
