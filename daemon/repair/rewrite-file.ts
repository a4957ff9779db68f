/**
 * Writes a journal file anew beside the old one: without its malformed lines, which go to
 * quarantine, and with the seqs that its events are to have. All else is copied byte by byte.
 *
 * @module
 */
import { fchmodSync, fchownSync, fstatSync } from 'node:fs';
import type { Journal } from '../../shared/events.js';
import { closeFile, openFile, syncFile, writeFully } from '../storage/disk.js';
import { eachLine, isBlank } from '../storage/file-scan.js';
import type { Layout } from '../storage/layout.js';
import { lineFacts } from '../storage/line-facts.js';
import type { NumberedRange } from '../storage/log-records.js';
import { keepAside } from '../storage/quarantine.js';
import { addToRanges } from '../streams/numbering.js';
import { during } from '../workers/failure.js';
import { withSeq } from './seq-bytes.js';

const LF = Buffer.of(0x0a);
const WRITE_BYTES = 1024 * 1024;

export interface FileRewrite {
  readonly journal: Journal;
  readonly path: string;
  readonly fileName: string;
  readonly target: string;
  /** The seqs that lines are to have, by offset. */
  readonly seqs: ReadonlyMap<number, number>;
  /** Whether lines without a seq get one of their own; else where they lie is noted. */
  readonly addKeys: boolean;
}

/** Writes it, durably; returns the places of lines that have no seq of their own. */
export function rewriteFile(layout: Layout, rewrite: FileRewrite): readonly NumberedRange[] {
  const { journal, path, fileName, target, seqs, addKeys } = rewrite;
  const ranges: NumberedRange[] = [];
  const from = openFile(path, 'read');
  const to = openFile(target, 'create');
  const output = new Output(to, target);
  try {
    const stat = fstatSync(from);
    eachLine(from, 0, stat.size, (line, offset, terminated) => {
      const facts = isBlank(line) ? undefined : lineFacts(journal, line);
      if (facts === null) {
        keepAside(layout, { path, offset }, line);
        return;
      }
      const seq = seqs.get(offset);
      const own = facts?.seq ?? -1;
      let written = line;
      if (facts !== undefined && seq !== undefined && seq !== own) {
        if (own >= 0 || addKeys) written = withSeq(journal, line, seq);
        else addToRanges(ranges, { fileName, offset: output.length, seq });
      }
      output.write(written);
      if (terminated) output.write(LF);
    });
    output.flush();
    during('write', target, () => copyRights(stat, to));
    syncFile(to, target);
    return ranges;
  } finally {
    closeFile(from);
    closeFile(to);
  }
}

/** The daemon must be able to open the new file as it was able to open the old one. */
function copyRights(stat: { mode: number; uid: number; gid: number }, fd: number): void {
  const { uid, gid } = fstatSync(fd);
  if (uid !== stat.uid || gid !== stat.gid) fchownSync(fd, stat.uid, stat.gid);
  fchmodSync(fd, stat.mode & 0o777);
}

/** Gathers lines, for each write costs a system call. */
class Output {
  readonly #fd: number;
  readonly #path: string;
  #parts: Buffer[] = [];
  #gathered = 0;
  #length = 0;

  constructor(fd: number, path: string) {
    this.#fd = fd;
    this.#path = path;
  }

  get length(): number {
    return this.#length;
  }

  /** Takes bytes that are valid only now. */
  write(bytes: Buffer): void {
    this.#parts.push(Buffer.from(bytes));
    this.#gathered += bytes.length;
    this.#length += bytes.length;
    if (this.#gathered >= WRITE_BYTES) this.flush();
  }

  flush(): void {
    writeFully(this.#fd, Buffer.concat(this.#parts), null, this.#path);
    this.#parts = [];
    this.#gathered = 0;
  }
}
