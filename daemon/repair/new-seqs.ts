/**
 * Which seqs the events of a stream are to have. Pure.
 *
 * From the first event on that has the seq of the one before it, all get new ones, in the order in
 * which they are read: by seq, file and line. So the order stays, what stands before the clash
 * stays, and no seq is ever given to a second event.
 *
 * @module
 */
import type { StreamIndex } from '../streams/stream-index.js';

/** The seqs of a stream's events. */
export interface NewSeqs {
  readonly lastSeq: number;
  /** By file and offset, where it is another than the line's own or the line may have none. */
  readonly at: ReadonlyMap<number, ReadonlyMap<number, number>>;
}

/**
 * @param lastSeq the greatest seq that was ever assigned
 * @param keepAll whether seqs that stay are told too, for lines without one of their own
 */
export function newSeqs(
  index: StreamIndex,
  options: { readonly lastSeq: number; readonly renumber: boolean; readonly keepAll: boolean },
): NewSeqs {
  const { renumber, keepAll } = options;
  const at = new Map<number, Map<number, number>>();
  let lastSeq = Math.max(options.lastSeq, index.lastSeq);
  let isRenumbering = false;
  for (let number = 0; number < index.length; number += 1) {
    const { seq, file, offset } = index.row(number);
    isRenumbering ||= renumber && number > 0 && seq === index.seqAt(number - 1);
    if (!isRenumbering && !keepAll) continue;
    if (isRenumbering) lastSeq += 1;
    const seqs = at.get(file);
    const target = isRenumbering ? lastSeq : seq;
    if (seqs === undefined) at.set(file, new Map([[offset, target]]));
    else seqs.set(offset, target);
  }
  return { lastSeq, at };
}

/** Whether two events have the same seq. */
export function hasRepeats(index: StreamIndex): boolean {
  for (let number = 1; number < index.length; number += 1) {
    if (index.seqAt(number) === index.seqAt(number - 1)) return true;
  }
  return false;
}
