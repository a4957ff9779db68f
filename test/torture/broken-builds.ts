/**
 * Builds of the daemon that break a promise on purpose. Each is a copy of the compiled program with
 * one place changed, so the program itself holds no trace of them.
 */
import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** What a broken build does wrong. */
export type Break =
  | 'ack before fsync'
  | 'no directory fsync'
  | 'retry after a failed fsync'
  | 'a torn tail not cleaned'
  | 'cutting at any bad checksum'
  | 'an answer that rests on an unsynced event';

/** What stands in a compiled file, exactly once, and what stands there instead. */
export interface Edit {
  readonly file: string;
  readonly anchor: string;
  readonly replacement: string;
}

/** The change that makes each. */
export const BREAKS: Readonly<Record<Break, Edit>> = {
  'ack before fsync': {
    file: 'daemon/workers/commit.worker.js',
    anchor: 'const failure = written.ok ? syncLog(log) : cleanTail(log, written.failure);',
    replacement: `const failure = written.ok ? null : cleanTail(log, written.failure);
    if (written.ok) process.getBuiltinModule('fs').fdatasync(log.fd, () => undefined);`,
  },
  'no directory fsync': {
    file: 'daemon/storage/disk.js',
    anchor: 'export function syncFolder(path) {',
    replacement: 'export function syncFolder(path) {\n    return;',
  },
  'retry after a failed fsync': {
    file: 'daemon/workers/commit.worker.js',
    anchor: 'return synced.ok ? null : synced.failure;',
    replacement: `const again = asResult(() => syncData(log.fd, log.path));
    return synced.ok || again.ok ? null : synced.failure;`,
  },
  'a torn tail not cleaned': {
    file: 'daemon/workers/commit.worker.js',
    anchor: 'cutFile(log.fd, log.at, log.path);',
    replacement: '',
  },
  'cutting at any bad checksum': {
    file: 'daemon/recovery/log-table.js',
    anchor: 'return row.action;',
    replacement: "return end.found === 'bad' ? 'torn' : row.action;",
  },
  'an answer that rests on an unsynced event': {
    file: 'daemon/commit/sealer.js',
    anchor: "if (sealing.kind === 'sealed' || rests) {",
    replacement: "if (sealing.kind === 'sealed') {",
  },
};

/**
 * Makes a broken build.
 *
 * @param folder where it goes: an empty folder that lives as long as the build is used
 * @returns the path of its `daemon/main.js`
 * @throws Error when the compiled program no longer has the place that is to be changed
 */
export async function makeBrokenBuild(folder: string, name: Break): Promise<string> {
  return await makeBuild(folder, BREAKS[name]);
}

/** As `makeBrokenBuild`, with that change. */
export async function makeBuild(folder: string, edit: Edit): Promise<string> {
  await cp(join(ROOT, 'package.json'), join(folder, 'package.json'));
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  for (const part of ['shared', 'daemon']) {
    await cp(join(ROOT, 'dist', part), join(folder, 'dist', part), { recursive: true });
  }
  const path = join(folder, 'dist', edit.file);
  await writeFile(path, edited(await readFile(path, 'utf8'), edit));
  return join(folder, 'dist', 'daemon', 'main.js');
}

/** The text with its change; throws unless there is exactly one place for it. */
export function edited(text: string, { file, anchor, replacement }: Edit): string {
  const parts = text.split(anchor);
  if (parts.length === 2) return parts.join(replacement);
  throw new Error(`${file} has ${parts.length - 1} places like: ${anchor}`);
}
