/**
 * What the daemon knows of one journal file: how far it is accounted for, its descriptor, and
 * the lines that are committed but had no room in it yet.
 *
 * @module
 */
import type { FileMark } from '../storage/log-records.js';

/** Lines that are in the commit log but not in their file. */
export interface LinesBehind {
  /** Where they are taken to begin in the file. */
  readonly at: number;
  readonly bytes: Uint8Array;
  readonly lineCount: number;
  readonly lastLine: { readonly length: number; readonly checksum: number };
}

/** A journal file of an open stream. */
export class JournalFile {
  readonly name: string;
  readonly path: string;
  /** Its number in the stream's index. */
  number: number;
  /** Its size when the daemon last looked or wrote. */
  size = 0;
  endsWithLf = true;
  mark: FileMark;
  identity: { readonly dev: number; readonly ino: number } | null = null;
  /** Open for writing, or null. */
  fd: number | null = null;
  /** Whether something was written that no checkpoint has synced. */
  dirty = false;
  /** Whether lines of ours are being written: the worker looks for others' bytes around them. */
  writing = false;
  /** Counts writes, so that a checkpoint knows whether there was one since it began. */
  writes = 0;
  behind: LinesBehind | null = null;
  /** The position of the first line that the mark does not cover, or null. */
  unmarkedFrom: number | null = null;
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

  /** Takes in lines that were written at the end of what is known. */
  extend(written: {
    readonly at: number;
    readonly length: number;
    readonly lineCount: number;
    readonly lastLine: { readonly length: number; readonly checksum: number };
  }): void {
    // An LF that fences off a torn end ends that line.
    const fenced = this.endsWithLf ? 0 : 1;
    this.size = written.at + written.length;
    this.endsWithLf = true;
    this.mark = {
      name: this.name,
      length: this.size,
      lines: this.mark.lines + fenced + written.lineCount,
      lastLineLength: written.lastLine.length,
      lastLineChecksum: written.lastLine.checksum,
    };
  }
}
