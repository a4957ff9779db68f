/**
 * Runs an offline command under the directory's lock: it refuses while a daemon holds it.
 *
 * @module
 */
import { existsSync } from 'node:fs';
import { InvalidArgumentError } from '../../shared/errors.js';
import { folderMode } from '../config.js';
import { checkFormat, prepareDirectory, refuseNewerFormat } from '../directory.js';
import { lockDirectory } from '../directory-lock.js';
import type { CheckedConfig } from '../settings.js';
import { type Layout, layoutOf } from '../storage/layout.js';
import { type CommonOptions, configOf } from './options.js';

/** A directory that nobody else uses meanwhile. */
export interface OfflineDirectory {
  readonly layout: Layout;
  readonly config: CheckedConfig;
}

/** What an offline command is about to do: `read` changes nothing but the lock file. */
export type OfflineAccess = 'read' | 'write';

/**
 * @param access whether the step changes the directory
 * @throws LockHeldError while a daemon, or another offline command, uses the directory
 */
export async function offline<T>(
  options: CommonOptions,
  access: OfflineAccess,
  step: (directory: OfflineDirectory) => T | Promise<T>,
): Promise<T> {
  const { config } = configOf(options);
  const layout = layoutOf(config.dir);
  if (!existsSync(layout.dir))
    throw new InvalidArgumentError(
      'dir',
      `there is no directory ${layout.dir}: give the right one with --dir`,
    );
  if (access === 'write') prepareDirectory(layout, folderMode(config.fileMode));
  // A directory that no daemon ever owned has no lock that anybody could hold.
  else if (!existsSync(layout.control)) return await step({ layout, config });
  const lock = lockDirectory(layout.lock);
  try {
    if (access === 'write') checkFormat(layout);
    else refuseNewerFormat(layout);
    return await step({ layout, config });
  } finally {
    lock.release();
  }
}
