/**
 * What the daemon knows of one journal file: how far it is accounted for, its descriptor, and
 * the lines that are committed but had no room in it yet.
 *
 * Invariant: all before the mark is accounted for; our own lines behind it are in `own`; what
 * else lies between the mark and the file's end is other programs' and not taken in yet.
 *
 * @module
 */
import type { FileMark } from '../storage/log-records.js';
import type { FileIdentity } from '../watch/change-table.js';

/** A line of ours. */
export interface OwnLine {
  readonly position: number;
  readonly seq: number;
  readonly offset: number;
  /** With its LF. */
  readonly length: number;
  readonly checksum: number;
}

/** Lines that are in the commit log but not in their file. */
export interface LinesBehind {
  /** Where they are taken to begin in the file. */
  readonly at: number;
  readonly bytes: Uint8Array;
  /** Each with its offset in `bytes`. */
  readonly lines: readonly OwnLine[];
}

/** How far a file was read, and what of it is accounted for by that. */
export interface AccountedPart {
  readonly mark: FileMark;
  /** Whether the byte before the mark is an LF. */
  readonly endsWithLf: boolean;
  /** How far all was looked at: behind the mark where the file ends within a line. */
  readonly scannedTo: number;
}

/** What no file is. */
const NO_FILE: FileIdentity = { dev: -1, ino: -1 };

/** A journal file of an open stream. */
export class JournalFile {
  readonly name: string;
  readonly path: string;
  /** Its number in the stream's index. */
  number: number;
  /** Where the next append is expected to begin, an LF that is added first not counted. */
  size = 0;
  endsWithLf = true;
  /** How far all of it was written by us or looked at. */
  scanned = 0;
  mark: FileMark;
  identity: FileIdentity | null = null;
  /** Open for writing, or null. */
  fd: number | null = null;
  /** Whether something was written that no checkpoint has synced. */
  dirty = false;
  /** Whether lines of ours are being written: the worker looks for others' bytes around them. */
  writing = false;
  /** Counts writes, so that a checkpoint knows whether there was one since it began. */
  writes = 0;
  behind: LinesBehind | null = null;
  /** Our own lines behind the mark, in file order: foreign content lies before or among them. */
  own: readonly OwnLine[] = [];
  /** The adoption that an append to it waits for, by its number in the stream; see `Sealer`. */
  awaitedPass: number | null = null;
  /** Folders that were created for it and are to be removed if nothing is written. */
  createdFolders: readonly string[] = [];
  created = false;
  /** Why it could not be opened; the append that waited for it is told. */
  openError: Error | null = null;

  constructor(name: string, path: string, number: number) {
    this.name = name;
    this.path = path;
    this.number = number;
    this.mark = { name, length: 0, lines: 0, lastLineLength: 0, lastLineChecksum: 0 };
  }

  /** Whether the next append must put an LF before its first line. */
  get needsLf(): boolean {
    return !this.endsWithLf;
  }

  /** The position of the first line that the mark does not cover, or null. */
  get unmarkedFrom(): number | null {
    return this.own[0]?.position ?? this.behind?.lines[0]?.position ?? null;
  }

  /** Whether what is written at its end follows on what is accounted for. */
  get isAccounted(): boolean {
    return this.scanned === this.size && this.own.length === 0;
  }

  /** It is no longer the file that is known, whatever its size: it will be met as another one. */
  distrust(): void {
    this.identity = NO_FILE;
  }

  /** Takes in lines of ours that were written at the end of what is accounted for. */
  extend(written: {
    readonly at: number;
    readonly length: number;
    readonly lineCount: number;
    readonly lastLine: { readonly length: number; readonly checksum: number };
  }): void {
    // An LF that fences off a torn end ends that line.
    const fenced = this.endsWithLf ? 0 : 1;
    this.size = written.at + written.length;
    this.scanned = this.size;
    this.endsWithLf = true;
    this.mark = {
      name: this.name,
      length: this.size,
      lines: this.mark.lines + fenced + written.lineCount,
      lastLineLength: written.lastLine.length,
      lastLineChecksum: written.lastLine.checksum,
    };
  }

  /** Takes in lines of ours that were written behind what is not accounted for yet. */
  extendApart(at: number, lines: readonly OwnLine[]): void {
    this.own = [...this.own, ...lines.map((line) => ({ ...line, offset: at + line.offset }))];
    const last = this.own.at(-1) as OwnLine;
    this.size = last.offset + last.length;
    this.endsWithLf = true;
  }

  /** Takes in what was read from the mark on: the foreign lines of it are in the stream. */
  account({ mark, endsWithLf, scannedTo }: AccountedPart): void {
    if (mark.length > this.mark.length) this.mark = mark;
    this.scanned = Math.max(this.scanned, scannedTo);
    if (mark.length >= this.size) {
      this.size = mark.length;
      this.endsWithLf = endsWithLf;
    }
    this.#absorbOwn();
  }

  /** Our own lines that follow on the mark are covered by it. */
  #absorbOwn(): void {
    let { length, lines, lastLineLength, lastLineChecksum } = this.mark;
    let covered = 0;
    for (const line of this.own) {
      if (line.offset > length) break;
      covered += 1;
      if (line.offset < length) continue;
      length += line.length;
      lines += 1;
      lastLineLength = line.length;
      lastLineChecksum = line.checksum;
    }
    if (covered === 0) return;
    this.own = this.own.slice(covered);
    this.mark = { name: this.name, length, lines, lastLineLength, lastLineChecksum };
    this.scanned = Math.max(this.scanned, length);
  }
}
