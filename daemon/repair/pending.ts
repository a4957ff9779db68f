/**
 * The durable plan of a repair that replaces journal files: with it the files that were prepared
 * are put in place however often the repair is killed; without it they are nothing.
 *
 * @module
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { makeFolder, replaceFile, syncFolder } from '../storage/disk.js';
import { type Layout, repairFolder, type StreamName } from '../storage/layout.js';
import type { NumberedRange } from '../storage/log-records.js';
import { during } from '../workers/failure.js';

/** A file that is ready to take the place of another. */
export interface PendingFile {
  readonly name: string;
  /** Its name in the folder that it was prepared in. */
  readonly staged: string;
  /** SHA-256 of the file that it replaces: if that has changed since, it is left alone. */
  readonly replaces: string;
}

/** A stream on its way to being repaired. */
export interface PendingStream extends StreamName {
  readonly lastSeq: number;
  readonly ranges: readonly NumberedRange[];
  readonly fileNames: readonly string[];
  readonly files: readonly PendingFile[];
}

/** The plan of an unfinished repair, or null. */
export function readPending(layout: Layout): readonly PendingStream[] | null {
  const { plan } = repairFolder(layout);
  if (!existsSync(plan)) return null;
  const text = during('read', plan, () => readFileSync(plan, 'utf8'));
  return (JSON.parse(text) as { readonly streams: readonly PendingStream[] }).streams;
}

/** Makes an empty folder for files to be prepared in. */
export function beginPending(layout: Layout): string {
  const { folder } = repairFolder(layout);
  during('write', folder, () => rmSync(folder, { recursive: true, force: true }));
  makeFolder(folder, 0o700);
  syncFolder(layout.control);
  return folder;
}

/** From here on the repair is certain: all files it names are durable. */
export function commitPending(layout: Layout, streams: readonly PendingStream[]): void {
  const { folder, plan } = repairFolder(layout);
  syncFolder(folder);
  replaceFile(plan, Buffer.from(JSON.stringify({ streams })), 0o600);
}

/** The repair is done. The plan goes first: a folder without one is nothing. */
export function endPending(layout: Layout): void {
  const { folder, plan } = repairFolder(layout);
  during('write', plan, () => rmSync(plan, { force: true }));
  if (existsSync(folder)) syncFolder(folder);
  during('write', folder, () => rmSync(folder, { recursive: true, force: true }));
  syncFolder(layout.control);
}
