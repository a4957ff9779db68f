/** Files for a watcher to look at. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const LINE = '{}\n';
export const WATCHED_FILE_BYTES: number = LINE.length;

/** Makes s0.jsonl, s1.jsonl … of one line each. */
export function writeWatchedFiles(folder: string, count: number): void {
  for (let at = 0; at < count; at += 1) writeFileSync(join(folder, `s${at}.jsonl`), LINE);
}
