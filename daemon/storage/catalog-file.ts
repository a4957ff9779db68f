/**
 * The catalog on disk: a file of frames that grows by what changed and is replaced by a smaller
 * one now and then. Used on worker threads.
 *
 * A frame that was cut while it was written is no loss: the log is kept until the frame after it
 * is durable. Some zero-filled room is kept behind the last frame, so that a checkpoint, and with
 * it a deletion, works on a full disk.
 *
 * @module
 */
import { readdirSync, readFileSync, unlinkSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { asResult, during, FailureError, isNoRoom } from '../workers/failure.js';
import { type CatalogFrame, decodeCatalogFrame } from './catalog-format.js';
import {
  closeFile,
  cutFile,
  openFile,
  replaceFile,
  sizeOf,
  syncData,
  writeFully,
  writeZeros,
} from './disk.js';
import {
  decodeFileHeader,
  encodeFileHeader,
  FILE_HEADER_BYTES,
  type FrameHeader,
  frameAt,
  nextWholeFrame,
} from './frame-format.js';
import { catalogNumber, catalogPath, FORMAT_VERSION, type Layout } from './layout.js';

const RESERVE_BYTES = 256 * 1024;

/** Where the catalog file ends. */
export interface CatalogEnd {
  /** 0 when there is no file yet. */
  readonly number: number;
  readonly path: string;
  /** Where the next frame goes. */
  readonly cursor: number;
}

/** What a catalog file holds. */
export type CatalogRead =
  | {
      readonly kind: 'read';
      readonly end: CatalogEnd;
      readonly frames: readonly { readonly header: FrameHeader; readonly content: CatalogFrame }[];
      /** Where a frame was cut while it was written, or null. */
      readonly tornAt: number | null;
    }
  | { readonly kind: 'none' }
  | {
      readonly kind: 'corrupt';
      readonly file: string;
      readonly offset: number;
      readonly reason: string;
    };

/** The number of the newest catalog file; null where there is none. */
export function newestCatalog(layout: Layout): number | null {
  const names = during('read', layout.control, () => readdirSync(layout.control));
  const numbers = names.flatMap((name) => catalogNumber(name) ?? []);
  return numbers.length === 0 ? null : Math.max(...numbers);
}

/** Reads the newest catalog file. */
export function readCatalog(layout: Layout): CatalogRead {
  const number = newestCatalog(layout);
  if (number === null) return { kind: 'none' };
  const path = catalogPath(layout, number);
  const bytes = during('read', path, () => readFileSync(path));
  if (decodeFileHeader(bytes)?.kind !== 'EVLOGCAT') {
    return { kind: 'corrupt', file: path, offset: 0, reason: 'the file header is damaged' };
  }
  const frames: { header: FrameHeader; content: CatalogFrame }[] = [];
  let at = FILE_HEADER_BYTES;
  for (;;) {
    const found = frameAt(bytes, at);
    if (found.kind === 'frame') {
      frames.push({ header: found.header, content: decodeCatalogFrame(found.payload) });
      at = found.end;
      continue;
    }
    const later = found.kind === 'bad' ? nextWholeFrame(bytes, at) : null;
    if (later !== null || frames.length === 0) {
      const reason = found.kind === 'bad' ? found.reason : 'it holds no frame';
      return { kind: 'corrupt', file: path, offset: at, reason };
    }
    return {
      kind: 'read',
      end: { number, path, cursor: at },
      frames,
      tornAt: found.kind === 'bad' ? at : null,
    };
  }
}

/** Starts a new catalog file with a frame that holds everything, and deletes the older ones. */
export function writeCatalogAnew(
  layout: Layout,
  number: number,
  frame: Uint8Array,
  epoch: number,
): CatalogEnd {
  const path = catalogPath(layout, number);
  const header = encodeFileHeader({
    kind: 'EVLOGCAT',
    format: FORMAT_VERSION,
    number,
    firstPosition: 0,
    epoch,
    follows: 0,
  });
  replaceFile(path, Buffer.concat([header, frame, Buffer.alloc(RESERVE_BYTES)]), 0o600);
  for (const name of readdirSync(dirname(path))) {
    const other = catalogNumber(name);
    if (other !== null && other < number) {
      during('write', name, () => unlinkSync(catalogPath(layout, other)));
    }
  }
  return { number, path, cursor: header.length + frame.length };
}

/** Adds a frame of changes behind the last one. */
export function appendToCatalog(end: CatalogEnd, frame: Uint8Array): CatalogEnd {
  const fd = openFile(end.path, 'write');
  try {
    writeFrame(fd, frame, end);
    syncData(fd, end.path);
    const cursor = end.cursor + frame.length;
    refillReserve(fd, cursor, end.path);
    return { ...end, cursor };
  } finally {
    closeFile(fd);
  }
}

function writeFrame(fd: number, frame: Uint8Array, { path, cursor }: CatalogEnd): void {
  const size = sizeOf(fd);
  const written = asResult(() => writeFully(fd, frame, cursor, basename(path)));
  if (written.ok) return;
  if (isNoRoom(written.failure)) {
    // What had no room must not take the last of it, nor look like a frame behind a shorter one.
    cutFile(fd, size, path);
    writeZeros(fd, cursor, size, path);
  }
  throw new FailureError(written.failure);
}

/** Best effort: without room the reserve shrinks, which is what it is for. */
function refillReserve(fd: number, cursor: number, path: string): void {
  const size = sizeOf(fd);
  if (size - cursor >= RESERVE_BYTES / 2) return;
  try {
    writeZeros(fd, size, cursor + RESERVE_BYTES, path);
  } catch {
    return;
  }
  syncData(fd, path);
}
