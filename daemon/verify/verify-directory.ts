/**
 * Checks a whole journal directory: commit log, catalog, every line of every journal file, what is
 * fenced, what lies in quarantine. Changes nothing.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { LogProblem } from '../recovery/survey-log.js';
import { factsOf, type StorageSurvey, surveyStorage } from '../recovery/survey-storage.js';
import { type Layout, repairFolder } from '../storage/layout.js';
import { checkStream } from './check-stream.js';
import type { FindingKind, Level, OnFinding } from './findings.js';
import { listJournals, namesIn } from './journal-listing.js';

/** Is told what is being read; `bytes` since the last call, of `total`. */
export interface VerifyProgress {
  start(total: number): void;
  advance(path: string, bytes: number): void;
}

export interface VerifyTask {
  readonly layout: Layout;
  readonly onFinding: OnFinding;
  readonly progress?: VerifyProgress;
}

/** What was looked at and found. */
export interface VerifySummary {
  readonly findings: number;
  readonly info: number;
  /** Findings on which the daemon refuses to start. */
  readonly corrupt: number;
  readonly streams: number;
  readonly files: number;
  readonly lines: number;
  readonly events: number;
  readonly malformed: number;
  readonly ignoredNames: number;
  readonly segments: number;
  readonly frames: number;
  readonly quarantined: number;
}

/**
 * Verifies a directory whose lock is held.
 *
 * @throws FailureError when a folder cannot be read
 */
export function verifyDirectory({ layout, onFinding, progress }: VerifyTask): VerifySummary {
  const counts = { finding: 0, info: 0, corrupt: 0 };
  const tell: OnFinding = (finding) => {
    counts[finding.level] += 1;
    onFinding(finding);
  };
  const listing = listJournals(layout);
  progress?.start(listing.bytes);
  const storage = surveyStorage(layout);
  tellOfStorage(layout, storage, tell);
  const sums = { files: 0, lines: 0, events: 0, malformed: 0 };
  for (const stream of listing.streams) {
    const check = checkStream({
      dir: layout.dir,
      stream,
      facts: factsOf(storage, stream.name),
      onFinding: tell,
      ...(progress === undefined ? {} : { onProgress: progress.advance.bind(progress) }),
    });
    sums.files += stream.files.length;
    sums.lines += check.lines;
    sums.events += check.events;
    sums.malformed += check.malformed;
  }
  for (const path of listing.ignored) {
    const detail = 'the name is no id of a stream: the daemon ignores it';
    tell({ level: 'info', kind: 'ignored-name', file: relative(layout.dir, path), detail });
  }
  const quarantined = namesIn(layout.quarantine);
  for (const name of quarantined) {
    const file = relative(layout.dir, join(layout.quarantine, name));
    const detail = 'damaged bytes that were kept aside';
    tell({ level: 'info', kind: 'quarantined', file, detail });
  }
  return {
    findings: counts.finding + counts.corrupt,
    info: counts.info,
    corrupt: counts.corrupt,
    streams: listing.streams.length,
    ...sums,
    ignoredNames: listing.ignored.length,
    segments: storage.log.segments.length,
    frames: storage.log.frames,
    quarantined: quarantined.length,
  };
}

function tellOfStorage(layout: Layout, storage: StorageSurvey, tell: OnFinding): void {
  const at = (path: string): string => relative(layout.dir, path);
  const { catalogFile, log, unreadable, framesDue } = storage;
  for (const { kind, path, offset, reason } of catalogFile.problems) {
    const [level, of] = CATALOG_KINDS[kind];
    tell({ level, kind: of, file: at(path), offset, detail: reason });
  }
  for (const { kind, path, offset, reason, lost } of [...log.problems, ...unreadable]) {
    const [level, of] = LOG_KINDS[kind];
    const detail =
      lost === null ? reason : `${reason}; positions ${lost.first} to ${lost.last} are lost`;
    tell({ level, kind: of, file: at(path), offset, detail });
  }
  if (framesDue > 0) {
    const detail = `the last daemon did not stop cleanly: ${framesDue} frame(s) are to be looked at when the next one starts`;
    tell({ level: 'info', kind: 'not-recovered', file: at(layout.log), detail });
  }
  if (existsSync(repairFolder(layout).plan)) {
    const detail = "a repair was not finished: run 'eventlogd repair --apply' again";
    tell({
      level: 'finding',
      kind: 'repair-unfinished',
      file: at(repairFolder(layout).plan),
      detail,
    });
  }
}

type Told = readonly [Level, FindingKind];

const CATALOG_KINDS: Readonly<Record<'damaged' | 'torn' | 'format', Told>> = {
  damaged: ['corrupt', 'catalog-damaged'],
  torn: ['finding', 'catalog-torn'],
  format: ['corrupt', 'log-format'],
};
const LOG_KINDS: Readonly<Record<LogProblem['kind'], Told>> = {
  damaged: ['corrupt', 'log-damaged'],
  torn: ['finding', 'log-torn'],
  format: ['corrupt', 'log-format'],
  lost: ['info', 'positions-lost'],
};
