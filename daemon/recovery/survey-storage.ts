/**
 * Reads everything below `.eventlogd` without changing it, and folds it into what is known of
 * each stream: what a recovery would start from.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { Retries } from '../commit/retries.js';
import { ByteFormatError } from '../storage/byte-codec.js';
import { Catalog } from '../storage/catalog.js';
import type { CatalogEntry } from '../storage/catalog-format.js';
import { type Layout, type StreamName, streamKey } from '../storage/layout.js';
import { readLogPayload } from '../storage/log-record-reader.js';
import type { LogRecord } from '../storage/log-records.js';
import { FoldedLog } from './fold-log.js';
import { type CatalogSurvey, surveyCatalog } from './survey-catalog.js';
import { type LogProblem, type LogSurvey, type SurveyedFrame, surveyLog } from './survey-log.js';

const NO_LINE = new Uint8Array(0);

/** What is known of a stream. */
export interface StreamFacts {
  readonly entry: CatalogEntry | null;
  /** Seqs of lines that recovery is yet to see to, by file. */
  readonly due: ReadonlyMap<string, ReadonlySet<number>>;
}

export interface StorageSurvey {
  readonly catalogFile: CatalogSurvey;
  readonly log: LogSurvey;
  /** Frames whose records this version cannot read. */
  readonly unreadable: readonly LogProblem[];
  readonly catalog: Catalog;
  readonly retries: Retries;
  readonly folded: FoldedLog;
  /** Frames that recovery has to look at. */
  readonly framesDue: number;
}

const EMPTY_LOG: LogSurvey = {
  segments: [],
  hopeless: [],
  problems: [],
  follows: null,
  lastPosition: 0,
  epoch: 0,
  frames: 0,
};

/** Surveys catalog and commit log. */
export function surveyStorage(
  layout: Layout,
  onProgress?: (path: string, bytes: number) => void,
): StorageSurvey {
  const catalogFile = surveyCatalog(layout);
  const catalog = new Catalog();
  const retries = new Retries();
  for (const { content } of catalogFile.frames) {
    catalog.restore(content);
    retries.restore(content);
  }
  // Behind damage the log tells what the lost frames of the catalog would have told.
  const covered = catalogFile.provenCovered;
  const folded = new FoldedLog(catalog, retries, covered);
  const from = Math.min(covered + 1, catalog.behindFrom ?? Number.POSITIVE_INFINITY);
  const unreadable: LogProblem[] = [];
  let framesDue = 0;
  const onFrame = ({ header, payload, path, offset }: SurveyedFrame): void => {
    try {
      const records = readLogPayload(payload, header.firstPosition);
      if (header.lastPosition < from) return;
      if (payload.length > 0) framesDue += 1;
      for (const record of records) folded.add(withoutLines(record));
    } catch (error) {
      if (!(error instanceof ByteFormatError)) throw error;
      unreadable.push({ kind: 'format', path, offset, reason: error.message, lost: null });
    }
  };
  const log = existsSync(layout.log)
    ? surveyLog({
        layout,
        covered: catalogFile.covered,
        onFrame,
        ...(onProgress === undefined ? {} : { onProgress }),
      })
    : EMPTY_LOG;
  return { catalogFile, log, unreadable, catalog, retries, folded, framesDue };
}

/** What is known of a stream, by the catalog and by the log behind it. */
export function factsOf(survey: StorageSurvey, name: StreamName): StreamFacts {
  const replay = survey.folded.streams.get(streamKey(name));
  if (replay === undefined) {
    const isGone = survey.folded.removed.has(streamKey(name));
    return { entry: isGone ? null : survey.catalog.get(name), due: new Map() };
  }
  const due = new Map(
    [...replay.due].map(([file, events]) => [file, new Set(events.map(({ seq }) => seq))]),
  );
  return { entry: replay.entry, due };
}

/** Lines stay in the log: a survey needs only to know of them. */
function withoutLines(record: LogRecord): LogRecord {
  if (record.type !== 'append' && record.type !== 'adoptLines') return record;
  return { ...record, events: record.events.map((event) => ({ ...event, line: NO_LINE })) };
}
