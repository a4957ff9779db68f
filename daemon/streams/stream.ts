/**
 * A stream that is open: its life, its index and turn states, its files. The committer reads it
 * to seal and changes it only when a batch is durable, so what stands here is always committed.
 *
 * Invariants: `lastSeq` never decreases within a life; every row of the index lies in a file of
 * `files`; a stream that is not `ready` is neither sealed into nor read.
 *
 * @module
 */
import { join } from 'node:path';
import type { CatalogEntry, LineRef, OpenTurn } from '../storage/catalog-format.js';
import type { FileScan } from '../storage/file-scan.js';
import { type StreamName, streamKey } from '../storage/layout.js';
import type { TurnRowKind } from '../storage/line-facts.js';
import type { NumberedRange, StreamLife } from '../storage/log-records.js';
import { type Damage, damageOf, type KnownLine, TURN_ROW } from './assemble.js';
import { JournalFile } from './journal-file.js';
import type { LoadedStream } from './load.js';
import { type Row, StreamIndex } from './stream-index.js';
import type { Tail } from './tail.js';
import { TurnStates } from './turn-states.js';

const LF = 0x0a;
/** What a stream takes besides its index and turns, and each of its files: measured, 10,000 short ones. */
const STREAM_BYTES = 6_000;
const FILE_BYTES = 500;

/** What a stream is doing. Only `ready` takes appends and reads. */
export type StreamState =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready' }
  | { readonly kind: 'deleting' }
  | { readonly kind: 'repairing' }
  | { readonly kind: 'failed'; readonly error: Error };

/** A committed event on its way into the stream. */
export interface CommittedEvent {
  readonly seq: number;
  readonly file: JournalFile;
  readonly offset: number;
  readonly length: number;
  readonly kind: Row['kind'];
  /** As in `LineFacts`. */
  readonly createdAt: number;
  readonly createdAtUs: number;
}

/** What was read of one of a stream's files behind its mark. */
export interface FileTail extends Omit<Tail, 'identity' | 'more'> {
  readonly file: JournalFile;
}

/** An open stream. */
export class Stream {
  readonly name: StreamName;
  readonly key: string;
  readonly folder: string;
  /** The folders that may have to be created for its files, outermost first. */
  readonly folders: readonly string[];
  state: StreamState = { kind: 'loading' };
  /** The position at which this life began; 0 while the stream does not exist. */
  generation = 0;
  lastSeq = 0;
  lastCreatedAtUs = 0;
  fence: string | null = null;
  index: StreamIndex = new StreamIndex();
  turns: TurnStates = new TurnStates();
  ranges: NumberedRange[] = [];
  damage: readonly Damage[] = [];
  readonly files: JournalFile[] = [];
  readonly #filesByName: Map<string, JournalFile> = new Map();
  /** Files that were seen to change, by name: each is looked at until it is as it is known. */
  readonly suspects: Set<string> = new Set();
  /** Whether a change was seen while the stream could not be looked at. */
  isSuspect = false;
  /** When the stream's folder last changed, as far as was looked, in milliseconds. */
  folderChangedMs = 0;
  /** Whether a batch with events of the stream is on its way: what is read meanwhile lacks them. */
  inFlight = false;
  /** Whether the stream is to be read anew once that batch has landed. */
  reloadsNext = false;
  /** The adoptions that are done. */
  passes = 0;
  /** Calls that hold the stream open. */
  pins = 0;

  /** @param folders the folders down to the one that holds the stream's files */
  constructor(name: StreamName, folders: readonly string[]) {
    this.name = name;
    this.key = streamKey(name);
    this.folders = folders;
    this.folder = folders.at(-1) as string;
  }

  get life(): StreamLife {
    return { ...this.name, generation: this.generation };
  }

  /** Memory that the stream takes, roughly, in bytes. */
  get bytes(): number {
    return STREAM_BYTES + this.index.bytes + this.turns.bytes + this.files.length * FILE_BYTES;
  }

  file(name: string): JournalFile | undefined {
    return this.#filesByName.get(name);
  }

  /** The file of this name, known from now on. */
  fileNamed(name: string): JournalFile {
    const known = this.file(name);
    if (known !== undefined) return known;
    const file = new JournalFile(name, join(this.folder, name), this.files.length);
    this.files.push(file);
    this.#filesByName.set(name, file);
    return file;
  }

  /** These files, or the folder, were seen to change. */
  suspect(files: readonly JournalFile[]): void {
    for (const { name } of files) this.suspects.add(name);
    this.isSuspect = true;
  }

  /** Takes over what was read from the files. */
  fill(loaded: LoadedStream, generation: number): void {
    const { content, identities } = loaded;
    this.generation = generation;
    this.lastSeq = content.lastSeq;
    this.lastCreatedAtUs = content.lastCreatedAtUs;
    this.fence = content.fence;
    this.index = new StreamIndex(content.index);
    this.turns = new TurnStates(content.turns);
    this.ranges = [...content.ranges];
    this.damage = content.damage;
    this.#forgetFiles();
    for (const [at, { mark, size, endsWithLf }] of content.files.entries()) {
      const file = this.fileNamed(mark.name);
      file.mark = mark;
      file.size = size;
      file.scanned = size;
      file.endsWithLf = endsWithLf;
      file.identity = identities[at] ?? null;
    }
  }

  /** Takes in a committed event. */
  add(event: CommittedEvent): void {
    const { seq, file, offset, length, kind, createdAt } = event;
    const isTurn = kind.journal === 'turns';
    const row = this.index.add({
      seq,
      file: file.number,
      offset,
      length,
      kind: isTurn ? TURN_ROW : kind,
    });
    if (isTurn) this.turns.add(row, kind as TurnRowKind, createdAt);
    this.lastSeq = Math.max(this.lastSeq, seq);
    // Lines of other programs may have no stamp.
    if (event.createdAtUs > 0) this.lastCreatedAtUs = event.createdAtUs;
  }

  /** Takes in what was read of a file, once the foreign events in it are in the stream. */
  account(tail: FileTail): void {
    const { file, scan } = tail;
    const known = file.mark.length;
    const ours = new Set(file.own.map(({ offset }) => offset));
    const found = scan.damage.filter(({ offset }) => offset >= known && !ours.has(offset));
    const isOld = (one: Damage): boolean => one.file !== file.number || one.offset < known;
    if (found.length > 0 || !this.damage.every(isOld)) {
      const more = found.map((one) => damageOf(one, file.number, this.files));
      this.damage = [...this.damage.filter(isOld), ...more];
    }
    const last = tail.bytes.at(-1);
    const endsWithLf = last === undefined ? file.endsWithLf : last === LF;
    file.account({ mark: scan.mark, endsWithLf, scannedTo: tail.scannedTo });
  }

  /** Takes in an event that recovery found no room for; others of a later seq may be there. */
  insert(event: CommittedEvent): void {
    const { seq, file, offset, length, kind, createdAt } = event;
    const at = this.index.firstAfter(seq);
    if (at === this.index.length) return this.add(event);
    const old = this.index;
    const isTurn = kind.journal === 'turns';
    const row = { seq, file: file.number, offset, length, kind: isTurn ? TURN_ROW : kind };
    this.index = new StreamIndex();
    for (let before = 0; before < at; before += 1) this.index.add(old.row(before));
    this.index.add(row);
    for (let after = at; after < old.length; after += 1) this.index.add(old.row(after));
    if (isTurn) this.turns.insert(at, kind as TurnRowKind, createdAt);
    this.lastCreatedAtUs = Math.max(this.lastCreatedAtUs, event.createdAtUs);
  }

  /** The number of events of a run, wherever they lie. */
  rowsOfRun(runId: string): number {
    return this.index.kinds
      .filter(({ kind }) => kind.journal === 'runs' && kind.runId === runId)
      .reduce((sum, { count }) => sum + count, 0);
  }

  /**
   * Takes a run's events out of the stream. Their seqs stay taken.
   *
   * @param moved names of the files that are gone
   * @param rewritten what the files hold that were left with other runs' lines
   */
  removeRun(runId: string, moved: ReadonlySet<string>, rewritten: readonly FileScan[]): void {
    const old = { index: this.index, files: [...this.files], damage: this.damage };
    const scans = new Map(rewritten.map((scan) => [scan.mark.name, scan]));
    const keeps = (kind: Row['kind']): boolean => kind.journal !== 'runs' || kind.runId !== runId;
    const offsets = movedOffsets(old, scans, keeps);
    this.#forgetFiles();
    for (const file of old.files) {
      if (!moved.has(file.name)) this.#keepFile(file, scans.get(file.name));
    }
    this.index = new StreamIndex();
    for (let at = 0; at < old.index.length; at += 1) {
      const row = old.index.row(at);
      if (!keeps(row.kind)) continue;
      const file = this.file((old.files[row.file] as JournalFile).name) as JournalFile;
      const offset = offsets.get(row.file)?.get(row.offset) ?? row.offset;
      this.index.add({ ...row, file: file.number, offset });
    }
    this.damage = old.damage.flatMap((damage) => {
      const { name } = old.files[damage.file] as JournalFile;
      const file = this.file(name);
      return file === undefined || scans.has(name) ? [] : [{ ...damage, file: file.number }];
    });
  }

  /** Ends the life: what follows is another stream of the same name. */
  end(): void {
    this.generation = 0;
    this.lastSeq = 0;
    this.lastCreatedAtUs = 0;
    this.fence = null;
    this.index = new StreamIndex();
    this.turns = new TurnStates();
    this.ranges = [];
    this.damage = [];
    this.#forgetFiles();
  }

  /** Lines of ours that the files' marks do not cover. */
  unmarkedLines(): readonly KnownLine[] {
    return this.files.flatMap(({ name, own }) =>
      own.map(({ offset, seq }) => ({ fileName: name, offset, seq })),
    );
  }

  /** What the catalog keeps of it; null while it does not exist. */
  entry(): CatalogEntry | null {
    if (this.generation === 0) return null;
    const behind = this.files.flatMap(({ name, unmarkedFrom: from }) =>
      from === null ? [] : [{ fileName: name, from }],
    );
    return {
      ...this.name,
      generation: this.generation,
      lastSeq: this.lastSeq,
      lastCreatedAtUs: this.lastCreatedAtUs,
      // A file that was opened but never written is not the stream's.
      files: this.files.filter(({ mark }) => mark.length > 0).map(({ mark }) => mark),
      ranges: this.ranges,
      openTurns: this.openTurns(),
      fence: this.fence,
      behind,
    };
  }

  /** The turns without a terminal event, in the order of their first event. */
  openTurns(): OpenTurn[] {
    const open: OpenTurn[] = [];
    for (const [turnId, { latest, submitted, terminals }] of this.turns.turns) {
      if (terminals.length > 0) continue;
      open.push({
        turnId,
        submitted: submitted === null ? null : this.#ref(submitted),
        latest: this.#ref(latest),
      });
    }
    return open;
  }

  /** A file that stays, as it was or as it was written anew. */
  #keepFile(old: JournalFile, scan: FileScan | undefined): void {
    if (scan === undefined) {
      old.number = this.files.length;
      this.files.push(old);
      this.#filesByName.set(old.name, old);
      return;
    }
    const file = this.fileNamed(old.name);
    file.mark = scan.mark;
    file.size = scan.size;
    file.scanned = scan.size;
    file.endsWithLf = scan.endsWithLf;
  }

  #forgetFiles(): void {
    this.files.length = 0;
    this.#filesByName.clear();
  }

  #ref(at: number): LineRef {
    const { seq, file, offset, length } = this.index.row(at);
    return { fileName: (this.files[file] as JournalFile).name, offset, length, seq };
  }
}

/** Where the lines that stayed in rewritten files went: by file number, from old to new offset. */
function movedOffsets(
  old: { readonly index: StreamIndex; readonly files: readonly JournalFile[] },
  scans: ReadonlyMap<string, FileScan>,
  keeps: (kind: Row['kind']) => boolean,
): ReadonlyMap<number, ReadonlyMap<number, number>> {
  const kept = new Map<number, number[]>();
  for (let at = 0; at < old.index.length; at += 1) {
    const { file, offset, kind } = old.index.row(at);
    if (!keeps(kind) || !scans.has((old.files[file] as JournalFile).name)) continue;
    const list = kept.get(file);
    if (list === undefined) kept.set(file, [offset]);
    else list.push(offset);
  }
  const moved = new Map<number, ReadonlyMap<number, number>>();
  for (const [file, before] of kept) {
    const { rows } = scans.get((old.files[file] as JournalFile).name) as FileScan;
    before.sort((a, b) => a - b);
    moved.set(file, new Map(before.map((offset, nth) => [offset, rows.offsets[nth] ?? offset])));
  }
  return moved;
}
