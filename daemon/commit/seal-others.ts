/**
 * Sealing of what is no append: deletions, and the adoption of what lies in a stream's files.
 *
 * @module
 */

import { planDeletion } from '../streams/deletion-plan.js';
import type { AdoptOperation, DeleteOperation } from './operations.js';
import type { Batch } from './seal.js';
import type { Answer } from './sealer.js';
import type { StreamSource } from './stream-source.js';

/** Seals a deletion; null when there was nothing to delete and it was answered. */
export function sealDeletion(
  operation: DeleteOperation,
  batch: Batch,
  streams: Pick<StreamSource, 'remove'>,
): Answer | null {
  const [stream] = operation.streams;
  const { runId, identity, settle } = operation;
  const known = batch.knownDeletion(identity, stream);
  if (known !== null) {
    if ('error' in known) settle.reject(known.error);
    else settle.resolve(known.count);
    return null;
  }
  if (stream.state.kind === 'failed') {
    settle.reject(stream.state.error);
    return null;
  }
  const count = runId === null ? stream.index.length : stream.rowsOfRun(runId);
  const plan = planDeletion(stream, runId);
  // A thread whose runs are all deleted still has a life, which ends with the thread.
  const isNothing =
    count === 0 && plan.moved.length === 0 && (runId !== null || stream.generation === 0);
  if (isNothing) {
    settle.resolve(0);
    return null;
  }
  const position = batch.delete(stream, { runId, identity, count, ...plan });
  return {
    done: () => settle.resolve(count),
    after: () => streams.remove(stream, { position, runId, ...plan }),
  };
}

/** Seals the adoption of what a stream's files hold, and the end of a life that lost its last file. */
export function sealAdoption(operation: AdoptOperation, batch: Batch): Answer {
  const [stream] = operation.streams;
  const { payload } = batch;
  const { loaded, ended, removedRuns, settle } = operation;
  if (ended !== null) {
    batch.removals.push({ ...stream.name, position: payload.nextPosition, runId: null });
    const nothing = { lastSeq: 0, files: [], ranges: [] };
    payload.adoptFiles({ ...stream.name, generation: ended }, nothing);
  }
  if (loaded === null) return { done: () => settle.resolve(0) };
  const life = { ...stream.name, generation: operation.generation ?? payload.nextPosition };
  for (const { runId, count } of removedRuns) {
    batch.removals.push({ ...stream.name, position: payload.nextPosition, runId });
    const retry = { identity: null, key: null, fingerprint: null, atMs: batch.nowMs };
    payload.deletion(life, { retry, count, runId, moved: [], rewrites: [] });
  }
  const { lastSeq, files, ranges, fence } = loaded.content;
  const marks = files.map(({ mark }) => mark).filter(({ length }) => length > 0);
  payload.adoptFiles(life, { lastSeq, files: marks, ranges });
  if (fence !== null) payload.fence(life, fence);
  return { done: () => settle.resolve(life.generation) };
}
