/**
 * Whether a stream's files are still what the daemon last wrote or read: size and identity are
 * compared before each read, so that growth by another program is scanned and never taken for
 * the daemon's own.
 *
 * @module
 */
import { readdirSync, statSync } from 'node:fs';
import { runOfFile } from '../storage/layout.js';
import type { Stream } from './stream.js';

/** Files whose state is checked before a read; the newest ones of a stream with more. */
const FILES_CHECKED_MAX = 256;

/** Whether what is known of a ready stream still holds on disk. */
export function isFresh(stream: Stream): boolean {
  return stream.files.slice(-FILES_CHECKED_MAX).every(isUnchanged) && !hasNewRun(stream);
}

function isUnchanged(file: Stream['files'][number]): boolean {
  // Its size is ours and on the move; the writer looks itself whether others wrote too.
  if (file.writing) return true;
  const stat = statSync(file.path, { throwIfNoEntry: false });
  if (stat === undefined) return file.mark.length === 0 && file.size === 0;
  const isSame =
    file.identity === null || (stat.ino === file.identity.ino && stat.dev === file.identity.dev);
  return isSame && stat.size === file.size;
}

/** A run file that another program created. */
function hasNewRun(stream: Stream): boolean {
  if (stream.name.journal !== 'runs') return false;
  const changedMs = statSync(stream.folder, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (changedMs === stream.folderChangedMs) return false;
  stream.folderChangedMs = changedMs;
  if (changedMs === 0) return false;
  return readdirSync(stream.folder).some(
    (name) => runOfFile(name) !== null && stream.file(name) === undefined,
  );
}
