/**
 * Replays what the log says of one stream and reads the stream anew from its files.
 *
 * @module
 */
import { join } from 'node:path';
import type { Journal } from '../../shared/events.js';
import type { CatalogEntry } from '../storage/catalog-format.js';
import { closeFile, type Modes, openFile } from '../storage/disk.js';
import { scanFile } from '../storage/file-scan.js';
import { type Layout, type StreamName, streamFolder, streamFolders } from '../storage/layout.js';
import type { FileMark, LoggedEvent } from '../storage/log-records.js';
import type { KnownLine } from '../streams/assemble.js';
import { loadStream } from '../streams/load.js';
import { Stream } from '../streams/stream.js';
import { asResult, during, FailureError } from '../workers/failure.js';
import type { StreamReplay } from './fold-log.js';
import { replayFile } from './replay-file.js';
import type { RecoveryReport } from './report.js';

/** Lines that are committed but had no room in their file. */
export interface LinesWithoutRoom {
  readonly name: StreamName;
  readonly fileName: string;
  readonly events: readonly LoggedEvent[];
}

export interface StreamReplayed {
  /** What the catalog keeps, or null when nothing is left. */
  readonly entry: CatalogEntry | null;
  readonly behind: readonly LinesWithoutRoom[];
}

/** Replays one stream. */
export function replayStream(task: {
  readonly layout: Layout;
  readonly modes: Modes;
  readonly stream: StreamReplay;
  readonly sessionFiles: readonly string[];
  /** The last position that the catalog covers. */
  readonly covered: number;
  readonly report: RecoveryReport;
}): StreamReplayed {
  const { layout, modes, stream, report } = task;
  const { name, due, rewritten } = stream;
  const folder = streamFolder(layout, name);
  const known: KnownLine[] = [];
  const behind: LinesWithoutRoom[] = [];
  const gone = new Set<string>();
  let fence = stream.entry.fence;
  for (const [fileName, events] of due) {
    const mark = stream.entry.files.find((file) => file.name === fileName) ?? null;
    const done = replayFile(
      layout,
      { path: join(folder, fileName), mark, due: events, covered: task.covered, modes },
      report,
    );
    if (done.kind === 'removed') gone.add(fileName);
    else {
      if (done.kind === 'replayed' && done.fence !== null) fence ??= `${fileName} ${done.fence}`;
      const missing: LoggedEvent[] = [];
      for (const [at, event] of events.entries()) {
        const offset = done.offsets[at] ?? null;
        if (offset === null) missing.push({ ...event, line: Uint8Array.from(event.line) });
        else known.push({ fileName, offset, seq: event.seq });
      }
      if (done.kind === 'no-room')
        report.note('no-room', join(folder, fileName), done.failure.message);
      if (missing.length > 0) behind.push({ name, fileName, events: missing });
    }
  }
  const files = [
    ...stream.entry.files.filter((file) => !gone.has(file.name)),
    ...[...rewritten].flatMap((fileName) =>
      markOf(join(folder, fileName), { journal: name.journal, fileName }),
    ),
  ];
  // The life ends when the stream's last file is gone, also where lines for it were due.
  const hasEnded = gone.size > 0 && files.length === 0 && known.length === 0 && behind.length === 0;
  if (hasEnded) return { entry: null, behind };
  const entry = { ...stream.entry, files, fence };
  return { entry: readAnew({ ...task, entry, known, behind }), behind };
}

function readAnew(task: {
  readonly layout: Layout;
  readonly stream: StreamReplay;
  readonly sessionFiles: readonly string[];
  readonly report: RecoveryReport;
  readonly entry: CatalogEntry;
  readonly known: readonly KnownLine[];
  readonly behind: readonly LinesWithoutRoom[];
}): CatalogEntry | null {
  const { layout, stream, entry, known, behind, report } = task;
  const { name } = stream;
  const folder = streamFolder(layout, name);
  const fileNames =
    name.journal === 'turns' ? [...new Set([...task.sessionFiles, ...stream.due.keys()])] : null;
  const loaded = loadStream({ name, folder, fileNames, entry, known });
  const { content } = loaded;
  if (!content.continues && behind.length === 0) return null;
  const whole = new Stream(name, streamFolders(layout, name));
  whole.fill(loaded, entry.generation);
  if (content.adopted > 0) {
    report.note(
      'adopted',
      folder,
      `${content.adopted} event(s) that the commit log does not hold were taken in`,
    );
  }
  const made = whole.entry();
  if (made === null) return null;
  return {
    ...made,
    lastSeq: Math.max(made.lastSeq, entry.lastSeq),
    behind: behind.map(({ fileName, events }) => ({
      fileName,
      from: (events[0] as LoggedEvent).position,
    })),
  };
}

/** What a file holds now as its mark; none for a file that is gone. */
export function markOf(
  path: string,
  file: { readonly journal: Journal; readonly fileName: string },
): FileMark[] {
  const opened = asResult(() => openFile(path, 'read'));
  if (!opened.ok && opened.failure.code === 'ENOENT') return [];
  if (!opened.ok) throw new FailureError(opened.failure);
  const fd = opened.value;
  try {
    const start = { offset: 0, lines: 0 };
    return [during('read', path, () => scanFile(fd, file.journal, file.fileName, start)).mark];
  } finally {
    closeFile(fd);
  }
}
