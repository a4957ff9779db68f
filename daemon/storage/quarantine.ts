/**
 * Keeps damaged bytes aside before anything is cut or overwritten. Used on worker threads.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import { makeFolder, replaceFile } from './disk.js';
import type { Layout } from './layout.js';

/**
 * Writes the bytes to the quarantine folder, durably. The name tells where they come from; the
 * same bytes of the same place are kept once, so recovery can be repeated.
 *
 * @returns the path of the copy
 */
export function keepAside(
  layout: Layout,
  from: { readonly path: string; readonly offset: number },
  bytes: Uint8Array,
): string {
  makeFolder(layout.quarantine, 0o700);
  const digest = createHash('sha256').update(from.path).update(bytes).digest('hex').slice(0, 12);
  const name = `${basename(from.path).slice(0, 180)}-${from.offset}-${digest}`;
  const path = join(layout.quarantine, name);
  if (!existsSync(path)) replaceFile(path, bytes, 0o600);
  return path;
}
