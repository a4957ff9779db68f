/**
 * Prepares a journal directory: its own folders, its format version, and where clients find the
 * socket.
 *
 * @module
 */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { FormatVersionError } from '../shared/errors.js';
import { SOCKET_PATH_BYTES_MAX } from '../shared/limits.js';
import { makeFolder, replaceFile, syncFolder } from './storage/disk.js';
import { diskRoomOfSync } from './storage/disk-room.js';
import { FORMAT_VERSION, type Layout } from './storage/layout.js';

/** Creates what is absent of the directory and of its control folder; nothing else is touched. */
export function prepareDirectory(layout: Layout, folderMode: number): void {
  if (makeFolder(layout.dir, folderMode)) syncFolder(dirname(layout.dir));
  const created = makeFolder(layout.control, 0o700);
  for (const folder of [layout.log, layout.quarantine, layout.trash]) makeFolder(folder, 0o700);
  if (created) {
    syncFolder(layout.control);
    syncFolder(layout.dir);
  }
}

/**
 * Checks the format version, or writes it where there is none.
 *
 * @throws FormatVersionError when a newer eventlogd wrote the directory
 */
export function checkFormat(layout: Layout): void {
  if (existsSync(layout.format)) refuseNewerFormat(layout);
  else replaceFile(layout.format, Buffer.from(`${FORMAT_VERSION}\n`), 0o600);
}

/**
 * Checks the format version where there is one.
 *
 * @throws FormatVersionError when a newer eventlogd wrote the directory
 */
export function refuseNewerFormat(layout: Layout): void {
  if (!existsSync(layout.format)) return;
  const text = readFileSync(layout.format, 'utf8').trim();
  const version = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (version > FORMAT_VERSION || Number.isNaN(version)) {
    throw new FormatVersionError(
      `${layout.format} says format ${JSON.stringify(text)}; this eventlogd knows ${FORMAT_VERSION}: use a newer one`,
    );
  }
}

/**
 * Where the socket can lie: where it is asked for, or, where that path is too long for a socket,
 * in a short one that belongs to this directory.
 */
export function usableSocketPath(wanted: string, dir: string): string {
  if (Buffer.byteLength(wanted) <= SOCKET_PATH_BYTES_MAX) return wanted;
  const name = createHash('sha256').update(dir).digest('hex').slice(0, 16);
  const folder = join(
    process.env['XDG_RUNTIME_DIR'] ?? tmpdir(),
    `eventlogd-${process.getuid?.() ?? 0}`,
  );
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return join(folder, `${name}.sock`);
}

/** Tells clients where the socket is. */
export function writeEndpoint(layout: Layout, socketPath: string): void {
  const text = `${socketPath}\n`;
  // What is right already is left alone: on a full disk there is no room for a new one.
  if (existsSync(layout.endpoint) && readFileSync(layout.endpoint, 'utf8') === text) return;
  replaceFile(layout.endpoint, Buffer.from(text), 0o600);
}

/** The log that may be retained: what is asked for, at most a quarter of the file system. */
export function boundedRetention(layout: Layout, logRetentionBytes: number): number {
  return Math.min(logRetentionBytes, diskRoomOfSync(layout.dir).size / 4);
}

/** Temporary files that a crash left behind. */
export function removeLeftovers(layout: Layout): void {
  for (const folder of [layout.control, layout.log, layout.quarantine]) {
    for (const name of readdirSync(folder)) {
      if (name.endsWith('.tmp')) rmSync(join(folder, name), { force: true });
    }
  }
}
