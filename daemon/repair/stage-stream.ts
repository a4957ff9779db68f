/**
 * Prepares the repair of a stream: writes its files anew in a folder beside. Nothing of the
 * stream is changed yet.
 *
 * @module
 */
import { join } from 'node:path';
import type { Layout } from '../storage/layout.js';
import type { NumberedRange } from '../storage/log-records.js';
import { digestOfFile, keepFileAside } from '../storage/quarantine.js';
import { loadStream } from '../streams/load.js';
import { StreamIndex } from '../streams/stream-index.js';
import { hasRepeats, newSeqs } from './new-seqs.js';
import type { PendingFile, PendingStream } from './pending.js';
import type { StreamPlan } from './plan-streams.js';
import { rewriteFile } from './rewrite-file.js';

/** A stream that is prepared, and the room that it takes until it is in place. */
export interface StagedStream {
  readonly pending: PendingStream;
  readonly bytes: number;
}

/** Where prepared files go. */
export interface Staging {
  readonly folder: string;
  /** Begins the names of the stream's files there. */
  readonly prefix: string;
}

export function stageStream(layout: Layout, plan: StreamPlan, staging: Staging): StagedStream {
  const { stream, materialize } = plan;
  const { name, folder } = stream;
  const fileNames = stream.files.map((file) => file.name);
  const entry = plan.entry === null ? null : { ...plan.entry, fence: null };
  const { content } = loadStream({ name, folder, fileNames, entry, known: [] });
  const index = new StreamIndex(content.index);
  // Where the places of numbered lines are wrong, their numbers may be too.
  const renumber = plan.renumber || (materialize && hasRepeats(index));
  const addKeys = renumber || materialize;
  // Turn lines without a seq are told apart from their neighbours only by where they lie.
  const keepAll =
    name.journal === 'turns' && (materialize || renumber || content.damage.length > 0);
  const seqs = newSeqs(index, { lastSeq: content.lastSeq, renumber, keepAll });
  const files: PendingFile[] = [];
  const ranges: NumberedRange[] = [];
  let bytes = 0;
  for (const [at, { mark, size }] of content.files.entries()) {
    const path = join(folder, mark.name);
    const isDamaged = content.damage.some(({ file }) => file === at);
    const gets = seqs.at.get(at) ?? new Map<number, number>();
    if (!isDamaged && !(addKeys && gets.size > 0)) {
      ranges.push(...content.ranges.filter(({ fileName }) => fileName === mark.name));
      continue;
    }
    if (addKeys) keepFileAside(layout, path);
    const staged = `${staging.prefix}-${at}`;
    const target = join(staging.folder, staged);
    const replaces = digestOfFile(path);
    ranges.push(
      ...rewriteFile(layout, {
        journal: name.journal,
        path,
        fileName: mark.name,
        target,
        seqs: gets,
        addKeys,
      }),
    );
    files.push({ name: mark.name, staged, replaces });
    bytes += size;
  }
  return { pending: { ...name, lastSeq: seqs.lastSeq, ranges, fileNames, files }, bytes };
}
