/**
 * A stream whose files are taken as they are.
 *
 * @module
 */
import { join } from 'node:path';
import { markOf } from '../recovery/replay-stream.js';
import type { CatalogEntry } from '../storage/catalog-format.js';
import { type Layout, streamFolder, streamFolders } from '../storage/layout.js';
import { type LoadedStream, loadStream } from '../streams/load.js';
import { Stream } from '../streams/stream.js';

/** What goes on of a stream whatever its files hold. */
export type LifeFacts = Pick<
  CatalogEntry,
  'journal' | 'id' | 'generation' | 'lastSeq' | 'lastCreatedAtUs' | 'ranges'
>;

/** Reads the files: all that they hold is accounted for. */
export function settledStream(
  layout: Layout,
  life: LifeFacts,
  fileNames: readonly string[],
): LoadedStream {
  const name = { journal: life.journal, id: life.id };
  const folder = streamFolder(layout, name);
  const files = fileNames.flatMap((fileName) =>
    markOf(join(folder, fileName), { journal: name.journal, fileName }),
  );
  const { generation, lastSeq, lastCreatedAtUs, ranges } = life;
  const entry: CatalogEntry = {
    ...name,
    generation,
    lastSeq,
    lastCreatedAtUs,
    ranges,
    files,
    openTurns: [],
    fence: null,
    behind: [],
  };
  return loadStream({ name, folder, fileNames, entry, known: [] });
}

/**
 * Reads the files and makes the entry.
 *
 * @returns null where no file is left
 */
export function settledEntry(
  layout: Layout,
  life: LifeFacts,
  fileNames: readonly string[],
): CatalogEntry | null {
  const loaded = settledStream(layout, life, fileNames);
  if (loaded.content.files.length === 0) return null;
  const name = { journal: life.journal, id: life.id };
  const stream = new Stream(name, streamFolders(layout, name));
  stream.fill(loaded, life.generation);
  return stream.entry();
}
