/**
 * Repairs a journal directory: surveys it, plans, and, where it is told to, carries the plan out.
 * Afterwards a daemon starts on it, verify finds nothing, and no stream is fenced.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { FormatVersionError, StorageFullError } from '../../shared/errors.js';
import { removeLeftovers } from '../directory.js';
import { recoverDirectory } from '../recovery/recover.js';
import type { PositionRange } from '../recovery/survey-log.js';
import { factsOf, type StorageSurvey, surveyStorage } from '../recovery/survey-storage.js';
import type { Modes } from '../storage/disk.js';
import { type Layout, repairFolder } from '../storage/layout.js';
import { checkStream } from '../verify/check-stream.js';
import { listJournals } from '../verify/journal-listing.js';
import type { VerifyProgress } from '../verify/verify-directory.js';
import type { OnAction } from './actions.js';
import { finishRepair } from './finish.js';
import { mendStorage } from './mend-storage.js';
import { beginPending, commitPending, type PendingStream } from './pending.js';
import { planStorage } from './plan-storage.js';
import { planStream, type StreamPlan } from './plan-streams.js';
import { stageStream } from './stage-stream.js';

/** Prepared files take room until they are in place, so they are put in place batch by batch. */
const BATCH_BYTES = 256 * 1024 * 1024;
const BATCH_STREAMS = 1_000;

export interface RepairTask {
  readonly layout: Layout;
  readonly modes: Modes;
  readonly apply: boolean;
  readonly onAction: OnAction;
  readonly progress?: VerifyProgress;
}

export interface RepairSummary {
  readonly applied: boolean;
  readonly actions: number;
  /** What could not be repaired. */
  readonly left: number;
  /** Positions whose frames are lost from the log. */
  readonly lost: readonly PositionRange[];
}

/**
 * Repairs a directory whose lock is held.
 *
 * @throws FormatVersionError when a newer eventlogd wrote it
 * @throws StorageFullError when there is no room to recover
 * @throws FailureError when the disk refuses
 */
export function repairDirectory(task: RepairTask): RepairSummary {
  const { layout, apply } = task;
  const summary = { applied: apply, actions: 0, left: 0, lost: [] as PositionRange[] };
  const tell: OnAction = (action) => {
    if (action.action === 'leave') summary.left += 1;
    else summary.actions += 1;
    summary.lost.push(...(action.lost ?? []));
    task.onAction(action);
  };
  if (apply) removeLeftovers(layout);
  const storage = surveyStorage(layout);
  refuseNewerRecords(storage);
  const plan = planStorage(layout, storage);
  for (const action of plan.actions) tell(action);
  const isUnfinished = existsSync(repairFolder(layout).plan);
  if (isUnfinished) {
    const file = relative(layout.dir, repairFolder(layout).plan);
    tell({ action: 'finish-repair', file, detail: 'put in place what an earlier repair prepared' });
  }
  if (apply) mendStorage(layout, storage, plan);
  const isRecovered = plan.recover || isUnfinished;
  if (apply && isRecovered) recover(task);
  if (apply) finishRepair(layout);
  const known = apply && summary.actions > 0 ? surveyStorage(layout) : storage;
  const plans = planStreams(task, known, tell);
  if (apply && plans.length > 0) {
    // Where the log has lines for the files yet, recovery comes first and the plan is made again.
    if (isRecovered || storage.catalogFile.cleanStop) repairStreams(layout, plans);
    else {
      recover(task);
      repairStreams(
        layout,
        planStreams(task, surveyStorage(layout), () => undefined),
      );
    }
  }
  return summary;
}

function refuseNewerRecords({ log, catalogFile, unreadable }: StorageSurvey): void {
  const problems = [...catalogFile.problems, ...log.problems, ...unreadable];
  const newer = problems.find(({ kind }) => kind === 'format');
  if (newer === undefined) return;
  throw new FormatVersionError(`${newer.path} at byte ${newer.offset}: ${newer.reason}`);
}

function recover({ layout, modes }: RepairTask): void {
  const { behind, notes } = recoverDirectory({ layout, modes });
  if (behind.length === 0) return;
  const where = notes.find(({ what }) => what === 'no-room')?.detail ?? '';
  throw new StorageFullError(`there is no room for lines of journal files: ${where}; make room`);
}

function planStreams(task: RepairTask, storage: StorageSurvey, tell: OnAction): StreamPlan[] {
  const { layout, progress } = task;
  const { streams, bytes } = listJournals(layout);
  progress?.start(bytes);
  const plans: StreamPlan[] = [];
  for (const stream of streams) {
    const check = checkStream({
      dir: layout.dir,
      stream,
      facts: factsOf(storage, stream.name),
      onFinding: () => undefined,
      ...(progress === undefined ? {} : { onProgress: progress.advance.bind(progress) }),
    });
    const plan = planStream(layout.dir, stream, check);
    if (plan === null) continue;
    for (const action of plan.actions) tell(action);
    if (plan.isPossible) plans.push(plan);
  }
  return plans;
}

function repairStreams(layout: Layout, plans: readonly StreamPlan[]): void {
  let batch: PendingStream[] = [];
  let bytes = 0;
  const finish = (): void => {
    commitPending(layout, batch);
    finishRepair(layout);
    batch = [];
    bytes = 0;
  };
  for (const plan of plans) {
    if (batch.length === 0) beginPending(layout);
    const { folder } = repairFolder(layout);
    const staged = stageStream(layout, plan, { folder, prefix: String(batch.length) });
    batch.push(staged.pending);
    bytes += staged.bytes;
    if (bytes >= BATCH_BYTES || batch.length >= BATCH_STREAMS) finish();
  }
  if (batch.length > 0) finish();
}
