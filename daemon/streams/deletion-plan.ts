/**
 * Which of a stream's files go with a deletion, and which are left with other runs' lines: old
 * library versions filed batches over several runs under the first one.
 *
 * @module
 */
import { journalFileName } from '../storage/layout.js';
import type { Stream } from './stream.js';

/** The files of a deletion, by name. */
export interface DeletionPlan {
  readonly moved: readonly string[];
  readonly rewrites: readonly string[];
}

/** @param runId the run, or null for the whole stream */
export function planDeletion(stream: Stream, runId: string | null): DeletionPlan {
  // A file that was only looked for is not the stream's.
  const files = stream.files.filter(
    ({ identity, size, behind }) => identity !== null || size > 0 || behind !== null,
  );
  if (runId === null) return { moved: files.map(({ name }) => name), rewrites: [] };
  const own = journalFileName(runId);
  const holdsRun = new Set<number>();
  const holdsOthers = new Set<number>();
  for (let at = 0; at < stream.index.length; at += 1) {
    const { file, kind } = stream.index.row(at);
    if (kind.journal === 'runs' && kind.runId === runId) holdsRun.add(file);
    else holdsOthers.add(file);
  }
  const touched = files.filter(({ name, number }) => name === own || holdsRun.has(number));
  const names = (of: typeof touched): string[] => of.map(({ name }) => name);
  return {
    moved: names(touched.filter(({ number }) => !holdsOthers.has(number))),
    rewrites: names(
      touched.filter(({ number }) => holdsOthers.has(number) && holdsRun.has(number)),
    ),
  };
}
