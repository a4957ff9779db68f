/**
 * Gives streams back the lines that recovery found no room for, so that they are served from
 * memory until they are in their files.
 *
 * @module
 */
import { crc32 } from 'node:zlib';
import type { Committer } from './commit/committer.js';
import type { LinesWithoutRoom } from './recovery/replay-stream.js';
import { lineFacts } from './storage/line-facts.js';
import type { StreamTable } from './streams/stream-table.js';

export async function restoreBehind(
  lines: readonly LinesWithoutRoom[],
  table: StreamTable,
  committer: Committer,
): Promise<void> {
  for (const { name, fileName, events } of lines) {
    const stream = table.hold(name);
    await table.ready(stream);
    const file = stream.fileNamed(fileName);
    const bytes = Buffer.concat(events.flatMap(({ line }) => [line, Buffer.of(0x0a)]));
    const last = events.at(-1);
    const at = file.size + (file.needsLf ? 1 : 0);
    const lastLine = { length: (last?.line.length ?? 0) + 1, checksum: crc32(last?.line ?? '') };
    file.behind = { at, bytes, lineCount: events.length, lastLine };
    file.unmarkedFrom = events[0]?.position ?? null;
    let offset = at;
    for (const { seq, line, stream: life } of events) {
      const facts = lineFacts(name.journal, Buffer.from(line));
      if (facts === null)
        throw new Error(`the commit log holds a line of ${stream.key} that is no event`);
      const { kind, createdAt } = facts;
      stream.generation = life.generation;
      const createdAtUs = name.journal === 'turns' ? Math.floor(createdAt * 1_000_000) : createdAt;
      stream.add({ seq, file, offset, length: line.length, kind, createdAt, createdAtUs });
      offset += line.length + 1;
    }
    table.changed(stream);
    committer.restoreBehind(stream, file);
  }
}
