/**
 * What is to be done to a stream so that verify finds nothing and appends to it work. Pure: from
 * what a check found to a plan.
 *
 * @module
 */
import { join, relative } from 'node:path';
import type { CatalogEntry } from '../storage/catalog-format.js';
import type { StreamCheck } from '../verify/check-stream.js';
import type { ListedStream } from '../verify/journal-listing.js';
import type { RepairAction } from './actions.js';

/** What is to be done to one stream. */
export interface StreamPlan {
  readonly stream: ListedStream;
  /** What is known of its life, or null. */
  readonly entry: CatalogEntry | null;
  /** Whether events get new seqs: those from the first clash on. */
  readonly renumber: boolean;
  /** Whether lines without a seq get one of their own: the places that are known of them may be wrong. */
  readonly materialize: boolean;
  /** Whether malformed lines go to quarantine. */
  readonly takeOut: boolean;
  readonly actions: readonly RepairAction[];
  /** False where something stands in the way; then the actions say what. */
  readonly isPossible: boolean;
}

/** Plans the repair of one stream; null where nothing is to be done. */
export function planStream(
  dir: string,
  stream: ListedStream,
  check: StreamCheck,
): StreamPlan | null {
  const { fence, entry } = check;
  const actions: RepairAction[] = [];
  const add = (action: RepairAction['action'], detail: string): void => {
    const { journal, id } = stream.name;
    const path =
      journal === 'turns' ? join(stream.folder, stream.files[0]?.name ?? '') : stream.folder;
    actions.push({ action, journal, stream: id, file: relative(dir, path), detail });
  };
  const needsWork =
    fence !== null ||
    check.isChanged ||
    check.isUnaccounted ||
    check.repeats + check.clashes + check.malformed > 0;
  if (check.unreadable > 0) {
    add('leave', `${check.unreadable} file(s) cannot be read; mend that, then repair again`);
    const nothing = { renumber: false, materialize: false, takeOut: false };
    return { stream, entry, ...nothing, actions, isPossible: false };
  }
  if (!needsWork) return null;
  const renumber = check.repeats > 0;
  const isDoubted = fence !== null || check.isChanged;
  if (fence !== null) add('lift-fence', `appends are taken again; it was fenced because ${fence}`);
  if (check.isChanged) add('accept-file', 'what its files hold now is its content');
  if (renumber) {
    add(
      'renumber',
      `${check.repeats} event(s) have the seq of another: from the first of them on all get new ones above every one ever assigned; the files as they are go to quarantine`,
    );
  }
  if (check.malformed > 0) add('take-out', `${check.malformed} malformed line(s) go to quarantine`);
  if (check.clashes > 0 || check.isUnaccounted) {
    add('account', 'its gaps, its order and the events of other programs are accounted for');
  }
  const hasRanges = (entry?.ranges.length ?? 0) > 0;
  return {
    stream,
    entry,
    renumber,
    materialize: isDoubted && hasRanges,
    takeOut: check.malformed > 0,
    actions,
    isPossible: true,
  };
}
