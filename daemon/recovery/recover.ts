/**
 * Recovery: brings a directory to the state that the commit log and the catalog say, whatever
 * the last daemon was doing when it stopped. Runs on a worker thread or offline, before anybody
 * is served; killed at any instant and done again, it ends the same.
 *
 * @module
 */
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { LogCorruptError } from '../../shared/errors.js';
import { Retries } from '../commit/retries.js';
import { Catalog } from '../storage/catalog.js';
import {
  appendToCatalog,
  type CatalogEnd,
  readCatalog,
  writeCatalogAnew,
} from '../storage/catalog-file.js';
import { type CatalogFrame, encodeCatalogFrame } from '../storage/catalog-format.js';
import {
  closeFile,
  cutFile,
  type Modes,
  openFile,
  syncFile,
  syncFolder,
  writeFully,
  writeZeros,
} from '../storage/disk.js';
import { encodeFrameOnDisk, type FrameHeader } from '../storage/frame-format.js';
import {
  foldersLeft,
  type Layout,
  type StreamName,
  sessionOfFile,
  streamFolder,
  streamFolders,
  trashPaths,
} from '../storage/layout.js';
import { readLogPayload } from '../storage/log-record-reader.js';
import { keepAside } from '../storage/quarantine.js';
import { runFilesIn } from '../streams/load.js';
import { asResult, during, FailureError, isNoRoom } from '../workers/failure.js';
import { trashFiles } from '../workers/trash-files.js';
import { FoldedLog } from './fold-log.js';
import { type LogContent, type LogFrame, readLog } from './read-log.js';
import { type LinesWithoutRoom, replayStream } from './replay-stream.js';
import { type RecoveryNote, RecoveryReport } from './report.js';

/**
 * Positions that are passed over after a crash: those of a lost commit are not given again. The
 * largest commit holds fewer, since no event takes less than sixteen of its 64 MiB.
 */
const POSITIONS_SKIPPED = 2 ** 22;

export interface RecoveryTask {
  readonly layout: Layout;
  readonly modes: Modes;
}

/** What a daemon starts with. */
export interface Recovered {
  /** Whether the last daemon left nothing to do. */
  readonly clean: boolean;
  readonly epoch: number;
  readonly lastPosition: number;
  readonly nextPosition: number;
  readonly segments: readonly {
    readonly number: number;
    readonly path: string;
    readonly firstPosition: number;
    readonly bytes: number;
  }[];
  readonly catalogEnd: CatalogEnd;
  /** False where there was no room to make the recovered state durable. */
  readonly catalogIsCurrent: boolean;
  /** The catalog and what clients may send again, as one packed frame. */
  readonly catalog: Uint8Array;
  /** Lines that are committed but had no room in their files. */
  readonly behind: readonly LinesWithoutRoom[];
  /** Trash of deletions that the catalog on disk does not cover. */
  readonly trash: readonly { readonly position: number; readonly path: string }[];
  readonly notes: readonly RecoveryNote[];
  readonly frames: number;
}

/**
 * Recovers a directory whose lock is held.
 *
 * @throws LogCorruptError when something that was durable is damaged
 * @throws FormatVersionError when a newer eventlogd wrote it
 * @throws FailureError when the disk refuses
 */
export function recoverDirectory({ layout, modes }: RecoveryTask): Recovered {
  const report = new RecoveryReport();
  const catalog = new Catalog();
  const retries = new Retries();
  const known = restoreCatalog(layout, catalog, retries);
  const folded = new FoldedLog(catalog, retries, known.covered);
  const replayFrom = Math.min(known.covered + 1, catalog.behindFrom ?? Number.POSITIVE_INFINITY);
  const past: LogFrame[] = [];
  const content = readLog(layout, known.covered, (frame) => {
    if (frame.header.lastPosition < replayFrom) return;
    past.push({ ...frame, payload: Uint8Array.from(frame.payload) });
  });
  const clean =
    known.cleanStop &&
    // A daemon that stopped on a full disk left lines that only the log holds.
    catalog.behindFrom === null &&
    content.lastPosition === known.covered &&
    !hasTornTail(content);
  const epoch = Math.max(known.epoch, content.epoch) + 1;
  const base = { epoch, lastPosition: content.lastPosition, frames: content.frames };
  const behind: LinesWithoutRoom[] = [];
  if (!clean) {
    cleanLog(layout, content, past, report);
    for (const frame of past) {
      for (const record of readLogPayload(frame.payload, frame.header.firstPosition))
        folded.add(record);
    }
    behind.push(...replay({ layout, modes, catalog, folded, covered: known.covered, report }));
  }
  const next = Math.max(known.nextPosition, content.lastPosition + 1);
  const nextPosition = clean ? next : next + POSITIONS_SKIPPED;
  const header = {
    epoch,
    firstPosition: nextPosition,
    lastPosition: content.lastPosition,
    frontier: content.lastPosition,
  };
  const state = { entries: catalog.all(), removed: [], ...retries.all(), cleanStop: clean };
  const changes = { ...catalog.takeChanges(), ...retries.takeChanges(), cleanStop: clean };
  // There is a catalog from the first start on, with the room in it that a full disk leaves.
  const written =
    clean && known.end.number > 0
      ? { end: known.end, isCurrent: true }
      : writeState(layout, known.end, { header, state, changes }, report);
  const trash = trashIn(layout);
  // What the catalog covers has done its duty.
  if (written.isCurrent) for (const { path } of trash.splice(0)) removeFolder(path);
  return {
    ...base,
    clean,
    nextPosition,
    segments: content.segments.map(({ number, path, firstPosition, bytes }) => ({
      number,
      path,
      firstPosition,
      bytes,
    })),
    catalogEnd: written.end,
    catalogIsCurrent: written.isCurrent,
    catalog: encodeCatalogFrame(state),
    behind,
    trash,
    notes: report.notes,
  };
}

interface KnownState {
  readonly covered: number;
  readonly nextPosition: number;
  readonly epoch: number;
  readonly cleanStop: boolean;
  readonly end: CatalogEnd;
}

function restoreCatalog(layout: Layout, catalog: Catalog, retries: Retries): KnownState {
  const read = readCatalog(layout);
  if (read.kind === 'corrupt') {
    throw new LogCorruptError(
      read.file,
      read.offset,
      `the catalog is damaged in ${read.file} at byte ${read.offset}: ${read.reason}; see 'eventlogd repair'`,
    );
  }
  if (read.kind === 'none') {
    return {
      covered: 0,
      nextPosition: 1,
      epoch: 0,
      cleanStop: true,
      end: { number: 0, path: '', cursor: 0 },
    };
  }
  let last = { covered: 0, nextPosition: 1, epoch: 0, cleanStop: false };
  for (const { header, content } of read.frames) {
    catalog.restore(content);
    retries.restore(content);
    last = {
      covered: header.lastPosition,
      nextPosition: header.firstPosition,
      epoch: header.epoch,
      cleanStop: content.cleanStop && read.tornAt === null,
    };
  }
  return { ...last, end: read.end };
}

function hasTornTail(content: LogContent): boolean {
  return content.segments.some(({ torn }) => torn !== null);
}

/** Keeps torn tails aside and zeroes them, and writes again what only the cache may hold. */
function cleanLog(
  layout: Layout,
  content: LogContent,
  past: readonly LogFrame[],
  report: RecoveryReport,
): void {
  for (const { path, bytes, torn } of content.segments) {
    const frames = past.filter((frame) => frame.path === path);
    if (torn === null && frames.length === 0) continue;
    const fd = openFile(path, 'write');
    try {
      if (torn !== null) {
        const copy = keepAside(layout, { path, offset: bytes }, torn);
        report.note(
          'torn',
          path,
          `a torn tail of ${torn.length} bytes at byte ${bytes} was cut; a copy is in ${copy}`,
        );
        writeZeros(fd, bytes, bytes + torn.length, path);
        syncFile(fd, path);
      }
      for (const { header, payload, offset } of frames)
        writeFully(fd, encodeFrameOnDisk(header, payload), offset, path);
      // Appends go on in a fresh segment, so what was filled ahead here is given back.
      cutFile(fd, bytes, path);
    } finally {
      closeFile(fd);
    }
  }
  syncFolder(layout.log);
}

/** Redoes deletions, then writes the lines that are due. */
function replay(what: {
  readonly layout: Layout;
  readonly modes: Modes;
  readonly catalog: Catalog;
  readonly folded: FoldedLog;
  readonly covered: number;
  readonly report: RecoveryReport;
}): LinesWithoutRoom[] {
  const { layout, modes, catalog, folded, covered, report } = what;
  for (const { name, position, runId, moved, rewrites } of folded.deletions) {
    const paths = trashPaths(layout, position);
    if (existsSync(paths.final)) continue;
    const folder = streamFolder(layout, name);
    const emptied = runId === null ? foldersLeft(layout, name) : [];
    const fileNames = runId === null ? [...new Set([...moved, ...filesOf(layout, name)])] : moved;
    trashFiles({ ...paths, folder, fileNames, rewrites, runId, emptied });
    report.note('redone', folder, `the deletion at position ${position} was carried out`);
  }
  for (const name of folded.removed.values()) catalog.remove(name);
  const behind: LinesWithoutRoom[] = [];
  const folders = new Set<string>();
  for (const stream of folded.streams.values()) {
    const done = replayStream({
      layout,
      modes,
      stream,
      sessionFiles: filesOf(layout, stream.name),
      covered,
      report,
    });
    if (done.entry === null) catalog.remove(stream.name);
    else catalog.set(done.entry);
    behind.push(...done.behind);
    for (const folder of streamFolders(layout, stream.name))
      folders.add(folder).add(dirname(folder));
  }
  for (const folder of folders) if (existsSync(folder)) syncFolder(folder);
  return behind;
}

/** The files of a stream that lie on disk. */
function filesOf(layout: Layout, name: StreamName): string[] {
  if (name.journal === 'runs') return runFilesIn(streamFolder(layout, name));
  if (!existsSync(layout.turns)) return [];
  return readdirSync(layout.turns).filter((file) => sessionOfFile(file)?.id === name.id);
}

/** The trash of finished deletions. */
function trashIn(layout: Layout): { readonly position: number; readonly path: string }[] {
  return readdirSync(layout.trash)
    .map((name) => ({ position: Number(name), path: join(layout.trash, name) }))
    .filter(({ position }) => Number.isSafeInteger(position));
}

function removeFolder(path: string): void {
  during('write', path, () => rmSync(path, { recursive: true, force: true }));
}

/** Makes the recovered state durable: in a new catalog file, else in the room of the old one. */
function writeState(
  layout: Layout,
  end: CatalogEnd,
  what: {
    readonly header: FrameHeader;
    readonly state: CatalogFrame;
    readonly changes: CatalogFrame;
  },
  report: RecoveryReport,
): { readonly end: CatalogEnd; readonly isCurrent: boolean } {
  const { header, state, changes } = what;
  const frame = (content: CatalogFrame): Uint8Array =>
    encodeFrameOnDisk(header, encodeCatalogFrame(content));
  const anew = asResult(() => writeCatalogAnew(layout, end.number + 1, frame(state), header.epoch));
  if (anew.ok) return { end: anew.value, isCurrent: true };
  if (!isNoRoom(anew.failure)) throw new FailureError(anew.failure);
  const added = end.number === 0 ? anew : asResult(() => appendToCatalog(end, frame(changes)));
  if (added.ok) return { end: added.value, isCurrent: true };
  if (!isNoRoom(added.failure)) throw new FailureError(added.failure);
  report.note(
    'no-room',
    layout.control,
    'the catalog could not be written; the commit log is kept until it can',
  );
  return { end, isCurrent: false };
}
