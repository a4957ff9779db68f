/** Damage to a directory of which no daemon is running. */
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { factsOf, surveyStorage } from '../../daemon/recovery/survey-storage.js';
import { layoutOf } from '../../daemon/storage/layout.js';
import { listJournals } from '../../daemon/verify/journal-listing.js';
import { framesOf, type PlacedFrame } from '../support/offline.js';
import { isForeign, isRemoved } from './streams.js';

/** A part of a file. */
export interface Span {
  readonly path: string;
  readonly from: number;
  readonly to: number;
}

/** Changes the bytes of a file in place. */
export function overwrite(path: string, offset: number, bytes: Uint8Array): void {
  const fd = openSync(path, 'r+');
  try {
    writeSync(fd, bytes, 0, bytes.length, offset);
  } finally {
    closeSync(fd);
  }
}

/** Flips one bit. */
export function flipBit(path: string, offset: number, bit: number): void {
  const byte = readFileSync(path)[offset] ?? 0;
  overwrite(path, offset, Uint8Array.of(byte ^ (1 << bit)));
}

/** Cuts a file. */
export function cut(path: string, length: number): void {
  const fd = openSync(path, 'r+');
  try {
    ftruncateSync(fd, length);
  } finally {
    closeSync(fd);
  }
}

/** Fills a part with zeros. */
export function zero({ path, from, to }: Span): void {
  overwrite(path, from, Buffer.alloc(to - from));
}

/** Frames of the log that something else proves to have been durable: all but the newest. */
export function provenFrames(dir: string): PlacedFrame[] {
  return framesOf(dir, 'log').slice(0, -1);
}

/** Where the next frame is due: behind the last one, or behind the header of a fresh segment. */
export function endOfLog(dir: string): { readonly path: string; readonly offset: number } | null {
  const last = framesOf(dir, 'log').at(-1);
  return last === undefined ? null : { path: last.path, offset: last.end };
}

/** What journal files hold past the length that the catalog knows, of streams that are ours alone. */
export function uncheckpointed(dir: string): Span[] {
  const layout = layoutOf(dir);
  if (!existsSync(layout.control)) return [];
  const survey = surveyStorage(layout);
  const spans: Span[] = [];
  for (const { name, folder, files } of listJournals(layout).streams) {
    const stream = `${name.journal}/${name.id}`;
    if (isForeign(stream) || isRemoved(stream)) continue;
    const entry = survey.catalog.get(name);
    // Of a life that was deleted and began again the catalog's marks say nothing.
    if (entry !== null && factsOf(survey, name).entry?.generation !== entry.generation) continue;
    const marks = entry?.files ?? [];
    for (const file of files) {
      const from = marks.find((mark) => mark.name === file.name)?.length ?? 0;
      const path = join(folder, file.name);
      const to = statSync(path).size;
      // A life that a deletion ended and that began again has nothing of the catalog's mark.
      if (factsOf(survey, name).entry?.generation !== survey.catalog.get(name)?.generation)
        continue;
      if (from < to) spans.push({ path, from, to });
    }
  }
  return spans;
}
