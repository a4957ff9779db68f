/** The offline commands on a directory, and damage to what they look at. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { FILE_HEADER_BYTES, frameAt } from '../../daemon/storage/frame-format.js';
import { runDaemonProgram } from './daemon.js';

export type Row = Readonly<Record<string, unknown>>;

export interface OfflineRun {
  readonly code: number | null;
  /** All records but the last. */
  readonly rows: readonly Row[];
  readonly summary: Row;
  readonly stderr: string;
}

/** Runs a command with `--json` on the directory. */
export async function offlineCommand(
  dir: string,
  args: readonly string[],
  through: readonly string[] = [],
): Promise<OfflineRun> {
  const done = await runDaemonProgram([...args, '--dir', dir, '--json'], through);
  const records = done.lines.map((line) => JSON.parse(line) as Row);
  const { code, stderr } = done;
  return { code, rows: records.slice(0, -1), summary: records.at(-1) ?? {}, stderr };
}

/** Every file below a folder with its content's digest, and every folder; the lock is left out. */
export function contentsOf(dir: string): Readonly<Record<string, string>> {
  const contents: Record<string, string> = {};
  for (const name of readdirSync(dir, { recursive: true, encoding: 'utf8' }).sort()) {
    const path = join(dir, name);
    const stat = statSync(path);
    if (name === '.eventlogd/lock' || stat.isSocket()) continue;
    contents[name] = stat.isFile()
      ? createHash('sha256').update(readFileSync(path)).digest('hex')
      : 'folder';
  }
  return contents;
}

/** A frame on disk. */
export interface PlacedFrame {
  readonly path: string;
  readonly offset: number;
  readonly end: number;
  readonly first: number;
  readonly last: number;
}

/** The frames of the log's segments, or of the catalog's file. */
export function framesOf(dir: string, kind: 'log' | 'catalog'): PlacedFrame[] {
  const folder = join(dir, '.eventlogd', kind === 'log' ? 'commitlog' : '.');
  const ending = kind === 'log' ? /\.log$/ : /^checkpoint-/;
  const frames: PlacedFrame[] = [];
  for (const name of readdirSync(folder)
    .filter((one) => ending.test(one))
    .sort()) {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    let offset = FILE_HEADER_BYTES;
    for (;;) {
      const found = frameAt(bytes, offset);
      if (found.kind !== 'frame') break;
      const { firstPosition: first, lastPosition: last } = found.header;
      frames.push({ path, offset, end: found.end, first, last });
      offset = found.end;
    }
  }
  return frames;
}

/** Flips the bits of one byte. */
export function flipByte(path: string, offset: number): void {
  const bytes = readFileSync(path);
  bytes.writeUInt8((bytes[offset] as number) ^ 0xff, offset);
  writeFileSync(path, bytes);
}
