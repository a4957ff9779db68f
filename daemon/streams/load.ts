/**
 * Reads a stream from its files. Runs on a worker thread.
 *
 * @module
 */
import { fstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { CatalogEntry } from '../storage/catalog-format.js';
import { closeFile, openFile, syncFile, syncFolder } from '../storage/disk.js';
import { matchesMark, scanFile } from '../storage/file-scan.js';
import { runOfFile, type StreamName } from '../storage/layout.js';
import { during, FailureError } from '../workers/failure.js';
import {
  type AssembledStream,
  assembleStream,
  type KnownLine,
  type ScannedFile,
} from './assemble.js';

/** What to load. */
export interface LoadTask {
  readonly name: StreamName;
  readonly folder: string;
  /** The stream's files, or null to take what the folder holds. */
  readonly fileNames: readonly string[] | null;
  readonly entry: CatalogEntry | null;
  /** Lines beyond the entry's marks that the daemon itself wrote. */
  readonly known: readonly KnownLine[];
}

/** What was loaded, with the identity of each file. */
export interface LoadedStream {
  readonly content: AssembledStream;
  readonly identities: readonly { readonly dev: number; readonly ino: number }[];
  /** The fsyncs that made foreign content durable. */
  readonly syncs: { readonly files: number; readonly directories: number };
}

/** Scans a stream's files; what is foreign in them is synced, for it is about to be shown. */
export function loadStream(task: LoadTask): LoadedStream {
  const { name, folder, entry } = task;
  const fileNames = [...(task.fileNames ?? runFilesIn(folder))].sort(byCodeUnit);
  const marks = new Map((entry?.files ?? []).map((mark) => [mark.name, mark]));
  const files: ScannedFile[] = [];
  const identities: { readonly dev: number; readonly ino: number }[] = [];
  for (const fileName of fileNames) {
    withFile(join(folder, fileName), (fd, path) => {
      const mark = marks.get(fileName);
      const intact = during('read', path, () => mark === undefined || matchesMark(fd, mark));
      const start = { offset: 0, lines: 0 };
      const scan = during('read', path, () => scanFile(fd, name.journal, fileName, start));
      const { dev, ino } = fstatSync(fd);
      files.push({ name: fileName, scan, intact });
      identities.push({ dev, ino });
    });
  }
  const content = assembleStream(name.journal, entry, { files, known: task.known });
  // The marks that adoption records hold for all files, so all of them are made durable first.
  const synced = content.foreign ? files : [];
  for (const file of synced) withFile(join(folder, file.name), (fd, path) => syncFile(fd, path));
  if (synced.length > 0) syncFolder(folder);
  const syncs = { files: synced.length, directories: synced.length > 0 ? 1 : 0 };
  return { content, identities, syncs };
}

/** The run files of a thread's folder; none where there is no folder. */
export function runFilesIn(folder: string): string[] {
  try {
    return during('open', folder, () => readdirSync(folder)).filter(
      (name) => runOfFile(name) !== null,
    );
  } catch (error) {
    if (error instanceof FailureError && error.failure.code === 'ENOENT') return [];
    throw error;
  }
}

/** Opens a file for reading while a step runs; a file that is gone is passed over. */
function withFile(path: string, step: (fd: number, path: string) => void): void {
  let fd: number;
  try {
    fd = openFile(path, 'read');
  } catch (error) {
    if (error instanceof FailureError && error.failure.code === 'ENOENT') return;
    throw error;
  }
  try {
    step(fd, path);
  } finally {
    closeFile(fd);
  }
}

/** The order in which the old libraries merge files. */
export function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
