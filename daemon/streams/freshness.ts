/**
 * Whether a stream's files are still what the daemon last wrote or read: size and identity are
 * compared before each read, so that growth by another program is scanned and never taken for
 * the daemon's own.
 *
 * @module
 */
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { journalFileName, runOfFile } from '../storage/layout.js';
import { type ChangeAction, classifyFile } from '../watch/change-table.js';
import type { JournalFile } from './journal-file.js';
import type { Stream } from './stream.js';

/** Files whose state is checked before a read; the newest ones of a stream with more. */
const FILES_CHECKED_MAX = 256;
/** Changes of a folder within this time of reading it may leave its time stamp as it is. */
const TIMESTAMP_GRAIN_MS = 20;

/** What a look at a stream's files found. */
export interface Look {
  readonly action: ChangeAction;
  /** The files with more in them, and how far they go. */
  readonly grown: readonly { readonly file: JournalFile; readonly size: number }[];
}

/** Looks at the files of a ready stream: the newest, and those that were seen to change. */
export function lookAt(stream: Stream): Look {
  try {
    return compare(stream);
  } catch {
    // What cannot be looked at, such as a file below what is no folder: who reads it says why.
    return { action: 'reload', grown: [] };
  }
}

function compare(stream: Stream): Look {
  if (stream.name.journal === 'runs') meetNewRuns(stream);
  else if (stream.files.length === 0) stream.fileNamed(journalFileName(stream.name.id));
  const files = new Set(stream.files.slice(-FILES_CHECKED_MAX));
  for (const name of stream.suspects) {
    const file = stream.file(name);
    if (file === undefined) stream.suspects.delete(name);
    else files.add(file);
  }
  const grown: { file: JournalFile; size: number }[] = [];
  let action: ChangeAction = 'none';
  stream.isSuspect = false;
  for (const one of files) {
    // A link is no journal file, whatever it leads to: nobody opens it.
    const found = lstatSync(one.path, { throwIfNoEntry: false });
    const isFile = found?.isFile() === true;
    const row = classifyFile(one, isFile ? found : null);
    if (row.action === 'none' && !one.writing) stream.suspects.delete(one.name);
    // It is looked at once more when it is written.
    if (one.writing && stream.suspects.has(one.name)) stream.isSuspect = true;
    // What is being written is on the move, but it only grows.
    if (row.action === 'reload' && !one.writing) action = 'reload';
    if (row.action !== 'adopt') continue;
    grown.push({ file: one, size: found?.size ?? 0 });
    if (action === 'none' && !one.writing) action = 'adopt';
  }
  return { action, grown };
}

/** Run files that another program created are the stream's from here on. */
function meetNewRuns(stream: Stream): void {
  const changedMs = statSync(stream.folder, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (changedMs === stream.folderChangedMs) return;
  if (Date.now() - changedMs > TIMESTAMP_GRAIN_MS) stream.folderChangedMs = changedMs;
  if (changedMs === 0) return;
  for (const name of readdirSync(stream.folder)) {
    if (runOfFile(name) !== null) stream.fileNamed(name);
  }
}
