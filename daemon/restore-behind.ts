/**
 * Gives streams back the lines that recovery found no room for, so that they are served from
 * memory until they are in their files.
 *
 * @module
 */
import { ownLines } from './commit/apply-batch.js';
import type { Committer } from './commit/committer.js';
import type { LinesWithoutRoom } from './recovery/replay-stream.js';
import { lineFacts } from './storage/line-facts.js';
import type { JournalFile } from './streams/journal-file.js';
import type { CommittedEvent, Stream } from './streams/stream.js';
import type { StreamTable } from './streams/stream-table.js';

/** Restores the lines of all files; streams of several files get theirs in seq order. */
export async function restoreBehind(
  lines: readonly LinesWithoutRoom[],
  table: StreamTable,
  committer: Committer,
): Promise<void> {
  const byStream = new Map<Stream, CommittedEvent[]>();
  for (const one of lines) {
    const stream = table.hold(one.name);
    await table.ready(stream);
    const { file, events } = behindIn(stream, one);
    const known = byStream.get(stream);
    if (known === undefined) byStream.set(stream, events);
    else known.push(...events);
    committer.restoreBehind(stream, file);
  }
  for (const [stream, events] of byStream) {
    for (const event of events.sort((a, b) => a.seq - b.seq)) stream.insert(event);
    table.changed(stream);
  }
}

/** Gives a file its lines, and says what they are to the stream. */
function behindIn(
  stream: Stream,
  { name, fileName, events }: LinesWithoutRoom,
): { readonly file: JournalFile; readonly events: CommittedEvent[] } {
  const file = stream.fileNamed(fileName);
  const bytes = Buffer.concat(events.flatMap(({ line }) => [line, Buffer.of(0x0a)]));
  const at = file.size + (file.needsLf ? 1 : 0);
  file.behind = { at, bytes, lines: ownLines(events) };
  let offset = at;
  const committed = events.map(({ seq, line, stream: life }): CommittedEvent => {
    const facts = lineFacts(name.journal, Buffer.from(line));
    if (facts === null)
      throw new Error(`the commit log holds a line of ${stream.key} that is no event`);
    const { kind, createdAt } = facts;
    stream.generation = life.generation;
    const createdAtUs = name.journal === 'turns' ? Math.floor(createdAt * 1_000_000) : createdAt;
    const place = { offset, length: line.length };
    offset += line.length + 1;
    return { seq, file, ...place, kind, createdAt, createdAtUs };
  });
  return { file, events: committed };
}
