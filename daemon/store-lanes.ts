/**
 * The lanes of a store: a thread for each kind of its work.
 *
 * @module
 */
import { Lane } from './commit/lanes.js';
import type { CheckpointDone, CheckpointTask } from './workers/checkpoint.worker.js';
import type { CommitResult, CommitTask } from './workers/commit-task.js';
import type { Failure, Result } from './workers/failure.js';
import type { ScanResult, ScanTask } from './workers/scan.worker.js';
import type { SegmentResult, SegmentTask } from './workers/segment.worker.js';

/** The lanes of a store. */
export interface Lanes {
  readonly commit: Lane<CommitTask, CommitResult>;
  readonly segments: Lane<SegmentTask, SegmentResult>;
  readonly checkpoint: Lane<CheckpointTask, Result<CheckpointDone>>;
  readonly scan: Lane<ScanTask, ScanResult>;
}

/** @param onFatal told of a thread that died */
export function openLanes(onFatal: (failure: Failure) => void): Lanes {
  const onError = ({ message }: Error): void =>
    onFatal({ phase: 'write', code: 'THREAD', path: '', message });
  return {
    commit: new Lane('commit.worker.js', onError),
    segments: new Lane('segment.worker.js', onError),
    checkpoint: new Lane('checkpoint.worker.js', onError),
    scan: new Lane('scan.worker.js', onError),
  };
}

/** Waits for what is under way, and ends the threads. */
export async function closeLanes({ commit, segments, checkpoint, scan }: Lanes): Promise<void> {
  await Promise.all([commit.close(), segments.close(), checkpoint.close(), scan.close()]);
}
