/**
 * What became of a journal file, and what is to be done about it. Pure: from what the daemon
 * knows of the file and what it finds at its path, to a decision. Reads, the sealer and the
 * watcher all ask here.
 *
 * A change that leaves size and identity as they were cannot be told from none.
 *
 * @module
 */

/** What identifies a file while it exists. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

/** What is known of a file. */
export interface KnownFile {
  /** Null where the file was not met yet. */
  readonly identity: FileIdentity | null;
  /** The end of what the daemon has written or read last. */
  readonly size: number;
  /** How far all of it has been looked at. */
  readonly scanned: number;
}

/** What lies at a file's path; null where there is none. */
export type FoundFile = (FileIdentity & { readonly size: number }) | null;

/** What a file is compared by. */
export interface FileState {
  /** `none`: the stream has no content in such a file. */
  readonly known: 'none' | 'some';
  readonly found: 'none' | 'same' | 'other';
  /** Of what is found against what is known. */
  readonly size: 'smaller' | 'equal' | 'larger';
}

type FileChange = 'unchanged' | 'grown' | 'new' | 'shrunk' | 'replaced' | 'removed';

/** `adopt` takes in what is new alone; `reload` reads the whole stream anew, which decides. */
export type ChangeAction = 'none' | 'adopt' | 'reload';

/** A row fits where each of its columns is `any` or the state's. The first that fits decides. */
export interface ChangeRow {
  readonly name: string;
  readonly known: FileState['known'];
  readonly found: FileState['found'] | 'any';
  readonly size: FileState['size'] | 'any';
  readonly change: FileChange;
  readonly action: ChangeAction;
}

/** The decision table of foreign changes. Each row's name is a test's. */
export const CHANGE_TABLE: readonly ChangeRow[] = [
  {
    name: 'a file that nobody has written yet: nothing to do',
    known: 'none',
    found: 'none',
    size: 'any',
    change: 'unchanged',
    action: 'none',
  },
  {
    name: 'an empty file of ours, or of another program: nothing to do',
    known: 'none',
    found: 'any',
    size: 'equal',
    change: 'unchanged',
    action: 'none',
  },
  {
    name: 'a file with content where none was: its content is taken in',
    known: 'none',
    found: 'any',
    size: 'any',
    change: 'new',
    action: 'adopt',
  },
  {
    name: 'a file that is gone: the stream is read anew, its life ends with its last file',
    known: 'some',
    found: 'none',
    size: 'any',
    change: 'removed',
    action: 'reload',
  },
  {
    name: 'another file in its place: the stream is read anew, and fenced if the file is not a copy',
    known: 'some',
    found: 'other',
    size: 'any',
    change: 'replaced',
    action: 'reload',
  },
  {
    name: 'a shorter file: the stream is read anew, and fenced',
    known: 'some',
    found: 'same',
    size: 'smaller',
    change: 'shrunk',
    action: 'reload',
  },
  {
    name: 'the same file with more in it: what is new is taken in',
    known: 'some',
    found: 'same',
    size: 'larger',
    change: 'grown',
    action: 'adopt',
  },
  {
    name: 'the same file of the same size: nothing to do',
    known: 'some',
    found: 'same',
    size: 'equal',
    change: 'unchanged',
    action: 'none',
  },
];

/** What became of a file. */
export function classifyFile(known: KnownFile, found: FoundFile): ChangeRow {
  return rowFor({
    known: known.size === 0 && known.scanned === 0 ? 'none' : 'some',
    found: found === null ? 'none' : isSame(known.identity, found) ? 'same' : 'other',
    size: sizeOf(known, found?.size ?? 0),
  });
}

/** The row that decides on a state. */
export function rowFor(state: FileState): ChangeRow {
  const row = CHANGE_TABLE.find(
    ({ known, found, size }) =>
      known === state.known &&
      (found === 'any' || found === state.found) &&
      (size === 'any' || size === state.size),
  );
  if (row === undefined) throw new Error(`no row for ${JSON.stringify(state)}`);
  return row;
}

function isSame(known: FileIdentity | null, found: FileIdentity): boolean {
  return known === null || (known.dev === found.dev && known.ino === found.ino);
}

function sizeOf({ size, scanned }: KnownFile, found: number): FileState['size'] {
  if (found < Math.max(size, scanned)) return 'smaller';
  return found > scanned ? 'larger' : 'equal';
}
