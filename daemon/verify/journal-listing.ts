/**
 * Which journal files a directory holds, by stream, and the names among them that are none.
 *
 * @module
 */
import { lstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isId } from '../../shared/ids.js';
import {
  type Layout,
  runOfFile,
  type StreamName,
  sessionOfFile,
  streamFolder,
} from '../storage/layout.js';
import { byCodeUnit } from '../streams/load.js';
import { during } from '../workers/failure.js';

/** A stream and its files, in the order in which old readers merge them. */
export interface ListedStream {
  readonly name: StreamName;
  readonly folder: string;
  readonly files: readonly { readonly name: string; readonly size: number }[];
}

export interface JournalListing {
  readonly streams: readonly ListedStream[];
  /** Paths of what the daemon ignores. */
  readonly ignored: readonly string[];
  readonly bytes: number;
}

/**
 * Lists both journals.
 *
 * @throws FailureError for a folder that cannot be read
 */
export function listJournals(layout: Layout): JournalListing {
  const ignored: string[] = [];
  const streams = [...listTurns(layout, ignored), ...listRuns(layout, ignored)];
  let bytes = 0;
  for (const { files } of streams) for (const { size } of files) bytes += size;
  return { streams, ignored, bytes };
}

function listTurns(layout: Layout, ignored: string[]): ListedStream[] {
  const sessions = new Map<string, { readonly name: string; readonly size: number }[]>();
  for (const name of namesIn(layout.turns)) {
    const session = sessionOfFile(name);
    if (session === null) {
      ignored.push(join(layout.turns, name));
      continue;
    }
    const file = { name, size: sizeOfPath(join(layout.turns, name)) };
    const files = sessions.get(session.id);
    if (files === undefined) sessions.set(session.id, [file]);
    else files.push(file);
  }
  return [...sessions].map(([id, files]) => ({
    name: { journal: 'turns', id },
    folder: layout.turns,
    files,
  }));
}

function listRuns(layout: Layout, ignored: string[]): ListedStream[] {
  const streams: ListedStream[] = [];
  for (const id of namesIn(layout.threads)) {
    const folder = streamFolder(layout, { journal: 'runs', id });
    if (!isId('thread', id) || !isFolder(join(layout.threads, id))) {
      ignored.push(join(layout.threads, id));
      continue;
    }
    const files: { readonly name: string; readonly size: number }[] = [];
    for (const name of namesIn(folder)) {
      if (runOfFile(name) === null) ignored.push(join(folder, name));
      else files.push({ name, size: sizeOfPath(join(folder, name)) });
    }
    if (files.length > 0) streams.push({ name: { journal: 'runs', id }, folder, files });
  }
  return streams;
}

/** Lists one stream; it has no files where it does not exist. */
export function listStream(layout: Layout, name: StreamName): ListedStream {
  const folder = streamFolder(layout, name);
  const isOfStream = (fileName: string): boolean =>
    name.journal === 'turns'
      ? sessionOfFile(fileName)?.id === name.id
      : runOfFile(fileName) !== null;
  const files = namesIn(folder)
    .filter(isOfStream)
    .map((fileName) => ({ name: fileName, size: sizeOfPath(join(folder, fileName)) }));
  return { name, folder, files };
}

/** The names in a folder, sorted; none where there is no folder. */
export function namesIn(folder: string): string[] {
  return during('read', folder, () => {
    try {
      return readdirSync(folder).sort(byCodeUnit);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  });
}

/** Links to folders are followed, as by the daemon. */
function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

function sizeOfPath(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isFile() === true ? stat.size : 0;
}
