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
import { planTail, type TailPlan } from './replay-table.js';
import type { RecoveryReport } from './report.js';

const LF = 0x0a;
/** How far before the end of a file its last own line is looked for. */
const FOREIGN_BYTES_MAX = 16 * 1024 * 1024;

/** A file and what it must come to hold. */
export interface FileReplay {
  readonly path: string;
  /** What is durable of it, or null for a file that no checkpoint knows. */
  readonly mark: FileMark | null;
  readonly due: readonly LoggedEvent[];
  /** The last position that the catalog covers: a due line up to it may lie before the mark. */
  readonly covered: number;
  readonly modes: { readonly file: number; readonly folder: number };
}

/** What came of it. */
export type FileReplayed =
  | {
      readonly kind: 'replayed';
      /** Where each due line lies. */
      readonly offsets: readonly (number | null)[];
      /** Set when the file is not what its mark says. */
      readonly fence: string | null;
    }
  | { readonly kind: 'removed' }
  | {
      readonly kind: 'no-room';
      readonly failure: Failure;
      /** Where those due lines lie that are in the file all the same; null for the others. */
      readonly offsets: readonly (number | null)[];
    };

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
  if (isNoRoom(created.failure)) return { kind: 'no-room', failure: created.failure, offsets: [] };
  throw new FailureError(created.failure);
}

function replayOpen(
  layout: Layout,
  fd: number,
  replay: FileReplay,
  report: RecoveryReport,
): FileReplayed {
  const { path, mark, covered } = replay;
  const size = fstatSync(fd).size;
  const isIntact = mark === null || matchesMark(fd, mark);
  const from = isIntact ? (mark?.length ?? 0) : size;
  const early = replay.due.filter(({ position }) => position <= covered);
  const found = findLines(fd, path, early, { from: 0, to: from });
  const due = replay.due.filter((event) => !found.has(event));
  const offsetsOf = (places: (event: LoggedEvent) => number | undefined): (number | null)[] =>
    replay.due.map((event) => found.get(event) ?? places(event) ?? null);
  const tail = readPart(fd, path, from, size);
  const afterLf = from === 0 || readPart(fd, path, from - 1, from)[0] === LF;
  const plan = planTail({ bytes: tail, afterLf, due: due.map(({ line }) => Buffer.from(line)) });
  const done = asResult(() => {
    if (plan.keepAside !== null) keepCopy(layout, { path, offset: from, plan }, report);
    if (plan.cutAt !== null) cutFile(fd, from + plan.cutAt, path);
    for (const { at, bytes } of plan.rewrite) writeFully(fd, bytes, from + at, path);
    if (plan.append !== null) writeFully(fd, plan.append, fstatSync(fd).size, path);
  });
  if (!done.ok) {
    if (!isNoRoom(done.failure)) throw new FailureError(done.failure);
    cutHalfLine(fd, path, due, from);
    const there = findLines(fd, path, due, { from, to: fstatSync(fd).size });
    return {
      kind: 'no-room',
      failure: done.failure,
      offsets: offsetsOf((event) => there.get(event)),
    };
  }
  syncFile(fd, path);
  const fence = isIntact ? null : 'was cut or replaced by another program';
  if (fence !== null) report.note('fenced', path, fence);
  const placed = new Map(due.map((event, at) => [event, from + (plan.places[at] as number)]));
  return { kind: 'replayed', offsets: offsetsOf((event) => placed.get(event)), fence };
}

/** Keeps our own damaged bytes aside. Without room that is no loss: the log holds these lines. */
function keepCopy(
  layout: Layout,
  what: { readonly path: string; readonly offset: number; readonly plan: TailPlan },
  report: RecoveryReport,
): void {
  const { path, offset, plan } = what;
  const kept = asResult(() => keepAside(layout, { path, offset }, plan.keepAside as Buffer));
  if (!kept.ok && !isNoRoom(kept.failure)) throw new FailureError(kept.failure);
  const where = kept.ok
    ? `a copy is in ${kept.value}`
    : 'no room for a copy; the commit log holds the whole lines';
  report.note('quarantined', path, `${plan.row}; ${where}`);
}

/** Cuts what a write without room left of one of our lines at the end of the file. */
function cutHalfLine(fd: number, path: string, due: readonly LoggedEvent[], from: number): void {
  const bytes = readPart(fd, path, from, fstatSync(fd).size);
  const start = bytes.lastIndexOf(LF) + 1;
  const rest = bytes.subarray(start);
  const isOurs = due.some(({ line }) => Buffer.from(line).subarray(0, rest.length).equals(rest));
  if (rest.length > 0 && isOurs) cutFile(fd, from + start, path);
  else syncFile(fd, path);
}

/** Where lines lie in a part of the file; those that are not there are left out. */
function findLines(
  fd: number,
  path: string,
  events: readonly LoggedEvent[],
  range: { readonly from: number; readonly to: number },
): ReadonlyMap<LoggedEvent, number> {
  const found = new Map<LoggedEvent, number>();
  if (events.length === 0) return found;
  // A line of ours is followed by those of its own commit and by what others wrote since.
  const length = events.reduce((sum, { line }) => sum + line.length + 1, FOREIGN_BYTES_MAX);
  const from = Math.max(range.from, range.to - length);
  const bytes = readPart(fd, path, from, range.to);
  for (const event of events) {
    const line = Buffer.concat([event.line, Buffer.of(LF)]);
    for (let at = bytes.indexOf(line); at !== -1; at = bytes.indexOf(line, at + 1)) {
      const startsLine = from + at === 0 || (at > 0 && bytes[at - 1] === LF);
      if (!startsLine) continue;
      found.set(event, from + at);
      break;
    }
  }
  return found;
}

function readPart(fd: number, path: string, from: number, to: number): Buffer {
  return during('read', path, () => readRange(fd, from, to));
}

function withClose<T>(fd: number, step: () => T): T {
  try {
    return step();
  } finally {
    closeFile(fd);
  }
}
