/** Journal files as any program sees them: nothing of the product is used to read them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';

/** A line of a journal file. */
export interface PlainEvent {
  readonly file: string;
  readonly seq: number;
  /** What the test wrote into it. */
  readonly content: string;
}

/** Copies a journal directory of which no daemon is running; sockets are no content. */
export async function copyDirectory(from: string, to: string): Promise<void> {
  await cp(from, to, { recursive: true, filter: (path) => !path.endsWith('.sock') });
}

/** Every journal file of a directory, by its path in it, sorted. */
export function journalPaths(dir: string): string[] {
  return ['_turn_journal', 'threads']
    .filter((folder) => existsSync(join(dir, folder)))
    .flatMap((folder) =>
      readdirSync(join(dir, folder), { recursive: true, encoding: 'utf8' }).map((name) =>
        join(folder, name),
      ),
    )
    .filter((path) => path.endsWith('.jsonl'))
    .sort();
}

/** What every journal file of a directory holds. */
export function readJournals(dir: string): Map<string, Buffer> {
  return new Map(journalPaths(dir).map((path) => [path, readFileSync(join(dir, path))]));
}

/** The events of one file, in file order; throws for a line that is none. */
export function readEvents(dir: string, path: string): PlainEvent[] {
  const text = readFileSync(join(dir, path), 'utf8');
  if (text !== '' && !text.endsWith('\n')) throw new Error(`${path} ends within a line`);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => ({ ...(JSON.parse(line) as Omit<PlainEvent, 'file'>), file: path }));
}

/** The events of all run files of a thread, file by file. */
export function readThread(dir: string, threadId: string): PlainEvent[] {
  const folder = join('threads', threadId, 'runs');
  if (!existsSync(join(dir, folder))) return [];
  return readdirSync(join(dir, folder))
    .sort()
    .flatMap((name) => readEvents(dir, join(folder, name)));
}

/** The events of a session's file. */
export function readSession(dir: string, sessionId: string): PlainEvent[] {
  const path = join('_turn_journal', `${sessionId}.jsonl`);
  return existsSync(join(dir, path)) ? readEvents(dir, path) : [];
}
