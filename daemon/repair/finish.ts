/**
 * Puts prepared files in place and makes the catalog say what they hold. Killed at any instant
 * and done again, it ends the same.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LogCorruptError } from '../../shared/errors.js';
import { Retries } from '../commit/retries.js';
import { Catalog } from '../storage/catalog.js';
import { type CatalogEnd, readCatalog, writeCatalogAnew } from '../storage/catalog-file.js';
import { type CatalogEntry, encodeCatalogFrame } from '../storage/catalog-format.js';
import { moveFile, syncFolder } from '../storage/disk.js';
import { encodeFrameOnDisk, type FrameHeader } from '../storage/frame-format.js';
import { type Layout, repairFolder, streamFolder } from '../storage/layout.js';
import { digestOfFile } from '../storage/quarantine.js';
import { endPending, type PendingStream, readPending } from './pending.js';
import { settledEntry } from './settle.js';

/** Finishes the repair that was planned durably; the log must be recovered. */
export function finishRepair(layout: Layout): void {
  const streams = readPending(layout);
  if (streams !== null) {
    const { folder } = repairFolder(layout);
    const done = streams.filter((stream) => putInPlace(layout, stream, folder));
    writeEntries(layout, done);
  }
  if (existsSync(repairFolder(layout).folder)) endPending(layout);
}

/**
 * Puts the files of a stream in place.
 *
 * @param staging the folder that they were prepared in
 * @returns false where a file has changed since: then all are left as they are, for another repair
 */
export function putInPlace(layout: Layout, stream: PendingStream, staging: string): boolean {
  const folder = streamFolder(layout, stream);
  const from = (staged: string): string => join(staging, staged);
  const left = stream.files.filter(({ staged }) => existsSync(from(staged)));
  const isAsPlanned = left.every(({ name, replaces }) => {
    const path = join(folder, name);
    return existsSync(path) && digestOfFile(path) === replaces;
  });
  if (!isAsPlanned) return false;
  for (const { name, staged } of left) moveFile(from(staged), join(folder, name));
  if (stream.files.length > 0) syncFolder(folder);
  return true;
}

function writeEntries(layout: Layout, streams: readonly PendingStream[]): void {
  if (streams.length === 0) return;
  const catalog = new Catalog();
  const retries = new Retries();
  const known = readState(layout, catalog, retries);
  let nextPosition = known.header.firstPosition;
  for (const stream of streams) {
    const { journal, id, lastSeq, ranges, fileNames } = stream;
    const entry = lifeOf(catalog.get(stream), fileNames);
    // A stream that no daemon has touched begins its life here; the position is passed over.
    const generation = entry?.generation ?? nextPosition++;
    const settled = settledEntry(
      layout,
      {
        journal,
        id,
        generation,
        lastSeq: Math.max(lastSeq, entry?.lastSeq ?? 0),
        lastCreatedAtUs: entry?.lastCreatedAtUs ?? 0,
        ranges,
      },
      fileNames,
    );
    if (settled === null) catalog.remove(stream);
    else catalog.set(settled);
  }
  const header = { ...known.header, firstPosition: nextPosition };
  const content = { cleanStop: true, entries: catalog.all(), removed: [], ...retries.all() };
  const frame = encodeFrameOnDisk(header, encodeCatalogFrame(content));
  writeCatalogAnew(layout, known.end.number + 1, frame, header.epoch);
}

/** A life ends with its last file: what lies there then is another one. */
function lifeOf(entry: CatalogEntry | null, fileNames: readonly string[]): CatalogEntry | null {
  const isAlive =
    entry !== null &&
    (entry.files.length === 0 || entry.files.some(({ name }) => fileNames.includes(name)));
  return isAlive ? entry : null;
}

function readState(
  layout: Layout,
  catalog: Catalog,
  retries: Retries,
): { readonly header: FrameHeader; readonly end: CatalogEnd } {
  const read = readCatalog(layout);
  if (read.kind === 'corrupt') throw new LogCorruptError(read.file, read.offset, read.reason);
  if (read.kind === 'none') {
    const header = { epoch: 1, firstPosition: 1, lastPosition: 0, frontier: 0 };
    return { header, end: { number: 0, path: '', cursor: 0 } };
  }
  for (const { content } of read.frames) {
    catalog.restore(content);
    retries.restore(content);
  }
  const last = read.frames.at(-1);
  if (last === undefined) throw new Error('a catalog that was read holds no frame');
  return { header: last.header, end: read.end };
}
