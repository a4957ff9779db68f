/**
 * Reads the catalog as `readCatalog` does, but goes on behind damage: each frame that is whole
 * still says what it says. Changes nothing.
 *
 * @module
 */
import { existsSync, readFileSync } from 'node:fs';
import { newestCatalog } from '../storage/catalog-file.js';
import { type CatalogFrame, decodeCatalogFrame } from '../storage/catalog-format.js';
import {
  decodeFileHeader,
  FILE_HEADER_BYTES,
  type FrameHeader,
  frameAt,
  nextWholeFrame,
} from '../storage/frame-format.js';
import { catalogPath, FORMAT_VERSION, type Layout } from '../storage/layout.js';
import { during } from '../workers/failure.js';

/** Something that is wrong with the catalog. */
interface CatalogProblem {
  readonly kind: 'damaged' | 'torn' | 'format';
  readonly path: string;
  readonly offset: number;
  readonly reason: string;
}

export interface CatalogSurvey {
  /** The newest file's number and path; 0 and null where there is none. */
  readonly number: number;
  readonly path: string | null;
  /** All whole frames, in order. */
  readonly frames: readonly { readonly header: FrameHeader; readonly content: CatalogFrame }[];
  readonly problems: readonly CatalogProblem[];
  readonly isDamaged: boolean;
  /** The last position that the frames before any damage cover: nothing up to it is missing. */
  readonly provenCovered: number;
  /** The last position that any whole frame covers: all up to it was synced. */
  readonly covered: number;
  readonly nextPosition: number;
  readonly epoch: number;
  readonly cleanStop: boolean;
}

/** Surveys the newest catalog file. */
export function surveyCatalog(layout: Layout): CatalogSurvey {
  const number = existsSync(layout.control) ? newestCatalog(layout) : null;
  if (number === null) return summarize(0, null, []);
  const path = catalogPath(layout, number);
  const bytes = during('read', path, () => readFileSync(path));
  return summarize(number, path, walk(path, bytes));
}

type Step =
  | { readonly kind: 'frame'; readonly header: FrameHeader; readonly content: CatalogFrame }
  | CatalogProblem;

function walk(path: string, bytes: Uint8Array): Step[] {
  const steps: Step[] = [];
  const header = decodeFileHeader(bytes);
  if (header !== null && header.format > FORMAT_VERSION) {
    const reason = `it is of format ${header.format}, this eventlogd reads up to ${FORMAT_VERSION}: use a newer one`;
    return [{ kind: 'format', path, offset: 0, reason }];
  }
  if (header?.kind !== 'EVLOGCAT') {
    steps.push({ kind: 'damaged', path, offset: 0, reason: 'the file header is damaged' });
  }
  let offset = FILE_HEADER_BYTES;
  for (;;) {
    const found = frameAt(bytes, offset);
    if (found.kind === 'frame') {
      const content = decodeCatalogFrame(found.payload);
      steps.push({ kind: 'frame', header: found.header, content });
      offset = found.end;
      continue;
    }
    const later = found.kind === 'bad' ? nextWholeFrame(bytes, offset) : null;
    const isFirst = offset === FILE_HEADER_BYTES;
    const reason = found.kind === 'bad' ? found.reason : 'it holds no frame';
    if (later !== null || isFirst) steps.push({ kind: 'damaged', path, offset, reason });
    else if (found.kind === 'bad') steps.push({ kind: 'torn', path, offset, reason });
    if (later === null) return steps;
    offset = later.offset;
  }
}

function summarize(number: number, path: string | null, steps: readonly Step[]): CatalogSurvey {
  const frames = steps.flatMap((step) => (step.kind === 'frame' ? [step] : []));
  const problems = steps.flatMap((step) => (step.kind === 'frame' ? [] : [step]));
  // A damaged file header hides nothing of the frames behind it.
  const damageAt = steps.findIndex((step) => step.kind === 'damaged' && step.offset > 0);
  const proven = steps
    .slice(0, damageAt === -1 ? undefined : damageAt)
    .flatMap((step) => (step.kind === 'frame' ? [step.header.lastPosition] : []));
  const last = frames.at(-1);
  return {
    number,
    path,
    frames,
    problems,
    isDamaged: problems.some(({ kind }) => kind === 'damaged'),
    provenCovered: Math.max(0, ...proven),
    covered: Math.max(0, ...frames.map(({ header }) => header.lastPosition)),
    nextPosition: Math.max(1, ...frames.map(({ header }) => header.firstPosition)),
    epoch: Math.max(0, ...frames.map(({ header }) => header.epoch)),
    cleanStop: path === null || (problems.length === 0 && last?.content.cleanStop === true),
  };
}
