/**
 * Makes a journal file hold the lines that the commit log has for it. Done again after a crash,
 * it ends the same. The one place that writes journals by position.
 *
 * @module
 */
import { fstatSync } from 'node:fs';
import { dirname } from 'node:path';
import { closeFile, cutFile, makeFolder, openFile, syncFile, writeFully } from '../storage/disk.js';
import { matchesMark, readRange } from '../storage/file-scan.js';
import type { Layout } from '../storage/layout.js';
import type { FileMark, LoggedEvent } from '../storage/log-records.js';
import { keepAside } from '../storage/quarantine.js';
import { asResult, during, type Failure, FailureError, isNoRoom } from '../workers/failure.js';
import { planTail } from './replay-table.js';
import type { RecoveryReport } from './report.js';

const LF = 0x0a;

/** A file and what it must come to hold. */
export interface FileReplay {
  readonly path: string;
  /** What is durable of it, or null for a file that no checkpoint knows. */
  readonly mark: FileMark | null;
  readonly due: readonly LoggedEvent[];
  readonly modes: { readonly file: number; readonly folder: number };
}

/** What came of it. */
export type FileReplayed =
  | {
      readonly kind: 'replayed';
      /** Where each due line lies. */
      readonly offsets: readonly number[];
      /** Set when the file is not what its mark says. */
      readonly fence: string | null;
    }
  | { readonly kind: 'removed' }
  | { readonly kind: 'no-room'; readonly failure: Failure };

/** Replays one file; throws `FailureError` for anything but a lack of room. */
export function replayFile(
  layout: Layout,
  replay: FileReplay,
  report: RecoveryReport,
): FileReplayed {
  const { path, mark } = replay;
  const opened = asResult(() => openFile(path, 'write'));
  if (opened.ok)
    return withClose(opened.value, () => replayOpen(layout, opened.value, replay, report));
  if (opened.failure.code !== 'ENOENT') throw new FailureError(opened.failure);
  if (mark !== null && mark.length > 0) {
    report.note('removed', path, 'was removed by another program; it stays removed');
    return { kind: 'removed' };
  }
  const created = asResult(() => {
    makeFolder(dirname(path), replay.modes.folder);
    return openFile(path, 'create', replay.modes.file);
  });
  if (created.ok)
    return withClose(created.value, () => replayOpen(layout, created.value, replay, report));
  if (isNoRoom(created.failure)) return { kind: 'no-room', failure: created.failure };
  throw new FailureError(created.failure);
}

function replayOpen(
  layout: Layout,
  fd: number,
  replay: FileReplay,
  report: RecoveryReport,
): FileReplayed {
  const { path, mark, due } = replay;
  const size = fstatSync(fd).size;
  const isIntact = mark === null || matchesMark(fd, mark);
  const from = isIntact ? (mark?.length ?? 0) : size;
  const tail = during('read', path, () => readRange(fd, from, size));
  const afterLf = from === 0 || during('read', path, () => readRange(fd, from - 1, from))[0] === LF;
  const plan = planTail({ bytes: tail, afterLf, due: due.map(({ line }) => Buffer.from(line)) });
  const done = asResult(() => {
    if (plan.keepAside !== null) {
      const copy = keepAside(layout, { path, offset: from }, plan.keepAside);
      report.note('quarantined', path, `${plan.row}; a copy is in ${copy}`);
    }
    if (plan.cutAt !== null) cutFile(fd, from + plan.cutAt, path);
    for (const { at, bytes } of plan.rewrite) writeFully(fd, bytes, from + at, path);
    if (plan.append !== null) writeFully(fd, plan.append, fstatSync(fd).size, path);
  });
  if (!done.ok) {
    if (isNoRoom(done.failure)) return { kind: 'no-room', failure: done.failure };
    throw new FailureError(done.failure);
  }
  syncFile(fd, path);
  const fence = isIntact ? null : 'was cut or replaced by another program';
  if (fence !== null) report.note('fenced', path, fence);
  return { kind: 'replayed', offsets: plan.places.map((place) => from + place), fence };
}

function withClose<T>(fd: number, step: () => T): T {
  try {
    return step();
  } finally {
    closeFile(fd);
  }
}
