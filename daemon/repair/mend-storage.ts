/**
 * Mends the commit log and the catalog as planned. Each file is replaced as a whole, under the
 * name it has; what it was lies in quarantine before. Killed at any instant and done again, it
 * ends the same, for what is mended already is whole.
 *
 * @module
 */
import { existsSync, mkdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { StreamReplay } from '../recovery/fold-log.js';
import { readSegment } from '../recovery/segment-claim.js';
import type { SurveyedSegment } from '../recovery/survey-log.js';
import type { StorageSurvey } from '../recovery/survey-storage.js';
import { writeCatalogAnew } from '../storage/catalog-file.js';
import { type CatalogEntry, encodeCatalogFrame } from '../storage/catalog-format.js';
import { closeFile, openFile, replaceFile, syncFolder } from '../storage/disk.js';
import { linesBefore } from '../storage/file-scan.js';
import { encodeFileHeader, encodeFrameOnDisk } from '../storage/frame-format.js';
import {
  FORMAT_VERSION,
  type Layout,
  type StreamName,
  streamFolder,
  trashPaths,
} from '../storage/layout.js';
import type { FileMark } from '../storage/log-records.js';
import { keepFileAside } from '../storage/quarantine.js';
import { during, FailureError } from '../workers/failure.js';
import type { StoragePlan } from './plan-storage.js';
import { settledEntry } from './settle.js';

/** Carries out the plan. Recovery comes next. */
export function mendStorage(layout: Layout, survey: StorageSurvey, plan: StoragePlan): void {
  for (const segment of plan.rewrites) {
    keepFileAside(layout, segment.path);
    replaceFile(segment.path, mended(segment), 0o600);
  }
  for (const path of plan.drops) {
    keepFileAside(layout, path);
    during('write', path, () => unlinkSync(path));
  }
  if (plan.drops.length > 0) syncFolder(layout.log);
  if (plan.begin !== null) beginLog(layout, survey, plan);
  if (plan.mendCatalog) mendCatalog(layout, survey, plan.covered);
}

/**
 * A segment with its whole frames. Positions that are lost between them are claimed by a frame
 * without records, so that those behind it follow.
 */
function mended({ path, header, pieces }: SurveyedSegment): Uint8Array {
  const bytes = readSegment(path);
  const parts: Uint8Array[] = [encodeFileHeader(header)];
  for (const piece of pieces) {
    if (piece.kind === 'frames') {
      parts.push(bytes.subarray(piece.from, piece.to));
      continue;
    }
    const { epoch, first, last } = piece;
    const lost = { epoch, firstPosition: first, lastPosition: last, frontier: first - 1 };
    parts.push(encodeFrameOnDisk(lost, new Uint8Array(0)));
  }
  return Buffer.concat(parts);
}

function beginLog(layout: Layout, survey: StorageSurvey, plan: StoragePlan): void {
  if (plan.begin === null) return;
  const { number, path } = plan.begin;
  if (existsSync(path)) keepFileAside(layout, path);
  const header = encodeFileHeader({
    kind: 'EVLOGSEG',
    format: FORMAT_VERSION,
    number,
    firstPosition: plan.covered + 1,
    epoch: Math.max(survey.log.epoch, survey.catalogFile.epoch),
    follows: plan.covered,
  });
  replaceFile(path, header, 0o600);
}

/**
 * Writes the catalog anew: what its whole frames say, and for each stream that the log tells of
 * behind the first damage what the log and the files say. All up to `covered` was synced to the
 * files, so that they are the truth; what lies behind it recovery replays.
 */
function mendCatalog(layout: Layout, survey: StorageSurvey, covered: number): void {
  const { catalogFile, catalog, retries, folded, log } = survey;
  if (catalogFile.path !== null) keepFileAside(layout, catalogFile.path);
  for (const name of folded.removed.values()) catalog.remove(name);
  for (const replay of folded.streams.values()) {
    const entry = mendedEntry(layout, replay, covered);
    if (entry === null) catalog.remove(replay.name);
    else catalog.set(entry);
  }
  if (catalogFile.frames.length === 0) keepDeletionsDone(layout, survey);
  const header = {
    epoch: Math.max(catalogFile.epoch, log.epoch),
    firstPosition: Math.max(catalogFile.nextPosition, covered, log.lastPosition) + 1,
    lastPosition: covered,
    frontier: covered,
  };
  const content = { cleanStop: false, entries: catalog.all(), removed: [], ...retries.all() };
  const frame = encodeFrameOnDisk(header, encodeCatalogFrame(content));
  writeCatalogAnew(layout, catalogFile.number + 1, frame, header.epoch);
}

/** What the catalog is to know of a stream that the log tells of. */
function mendedEntry(layout: Layout, replay: StreamReplay, covered: number): CatalogEntry | null {
  const { name, entry, due } = replay;
  const fileNames = [...new Set([...entry.files.map((mark) => mark.name), ...due.keys()])];
  const isDue = (fileName: string, position: number): boolean =>
    position > covered ||
    entry.behind.some((file) => file.fileName === fileName && position >= file.from);
  const seqsDue = new Map(
    [...due].map(([fileName, events]) => [
      fileName,
      new Set(events.flatMap(({ position, seq }) => (isDue(fileName, position) ? [seq] : []))),
    ]),
  );
  const isAllSynced = [...seqsDue.values()].every((seqs) => seqs.size === 0);
  if (isAllSynced) {
    const settled = settledEntry(layout, entry, fileNames);
    return settled === null ? null : { ...settled, fence: entry.fence };
  }
  const files = fileNames.flatMap((fileName) =>
    syncedMark(layout, name, fileName, seqsDue.get(fileName) ?? new Set()),
  );
  return { ...entry, files };
}

/** The file up to the first line that recovery is to see to. */
function syncedMark(
  layout: Layout,
  name: StreamName,
  fileName: string,
  due: ReadonlySet<number>,
): FileMark[] {
  try {
    const fd = openFile(join(streamFolder(layout, name), fileName), 'read');
    try {
      return [
        during('read', fileName, () =>
          linesBefore(fd, { name: fileName, journal: name.journal, seqs: due }),
        ),
      ];
    } finally {
      closeFile(fd);
    }
  } catch (error) {
    if (error instanceof FailureError && error.failure.code === 'ENOENT') return [];
    throw error;
  }
}

/**
 * Without a catalog nobody knows which deletions of the log were carried out long ago, and doing
 * one again would take away what came after it. Only one that had begun is finished.
 */
function keepDeletionsDone(layout: Layout, { folded }: StorageSurvey): void {
  for (const { position } of folded.deletions) {
    const { final, partial } = trashPaths(layout, position);
    if (!existsSync(partial)) mkdirSync(final, { recursive: true, mode: 0o700 });
  }
}
