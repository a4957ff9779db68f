/**
 * Where a backup goes: a folder beside its place until it is whole and durable, so that nothing
 * which is not ever has the name that was asked for. Runs on a worker thread.
 *
 * @module
 */
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  type Stats,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { moveFile, syncFolder } from '../storage/disk.js';
import { type Layout, layoutOf } from '../storage/layout.js';
import { asResult, during, FailureError, failureOf } from '../workers/failure.js';

/** A place that a backup cannot have, and why. */
export class TargetRefused extends Error {}

/** The place of a backup. */
export interface Target {
  /** What it will be called, without links in its parents. */
  readonly folder: string;
  /** What it is called until it is whole. */
  readonly partial: string;
}

/**
 * Finds the place and begins with it: an empty folder with a mark that says whose it is.
 *
 * @throws TargetRefused when the place is taken, or lies where no backup can be
 */
export function beginTarget(layout: Layout, wanted: string): Target {
  const target = placeOf(layout, wanted);
  clearLeftover(layout, target.partial);
  const { partial } = target;
  during('write', partial, () => mkdirSync(partial, { mode: 0o700 }));
  try {
    during('write', partial, () => {
      mkdirSync(layoutOf(partial).control, { mode: 0o700 });
      writeFileSync(markOf(partial), markText(layout), { mode: 0o600 });
    });
  } catch (error) {
    abandonTarget(target);
    throw error;
  }
  return target;
}

/** Gives the backup its name, durably; all below it is durable already. */
export function finishTarget({ folder, partial }: Target): void {
  moveFile(partial, folder);
  try {
    syncFolder(dirname(folder));
  } catch (error) {
    moveFile(folder, partial);
    throw error;
  }
  // From here on it is a backup, with its mark as well as without.
  asResult(() => {
    const { control } = layoutOf(folder);
    during('write', control, () => unlinkSync(markOf(folder)));
    syncFolder(control);
  });
}

/** Removes what there is of a backup. */
export function abandonTarget({ partial }: Target): void {
  during('write', partial, () => rmSync(partial, { recursive: true, force: true }));
}

function placeOf(layout: Layout, wanted: string): Target {
  if (!isAbsolute(wanted) || wanted.includes('\0')) refuse(wanted, 'is no absolute path');
  const parent = parentOf(resolve(wanted));
  const folder = join(parent, basename(resolve(wanted)));
  const journals = during('read', layout.dir, () => statSync(layout.dir));
  for (let at = parent; ; at = dirname(at)) {
    if (
      isSame(
        during('read', at, () => statSync(at)),
        journals,
      )
    )
      refuse(folder, 'lies in the journal directory');
    if (dirname(at) === at) break;
  }
  const there = during('read', folder, () => lstatSync(folder, { throwIfNoEntry: false }));
  if (there !== undefined) refuseTaken(folder, there, { journals, parent });
  return { folder, partial: `${folder}.partial` };
}

function parentOf(path: string): string {
  const parent = dirname(path);
  try {
    return realpathSync(parent);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR')
      refuse(path, `needs ${parent}, which is no folder`);
    throw new FailureError(failureOf(error, 'read', parent));
  }
}

function refuseTaken(
  folder: string,
  there: Stats,
  { journals, parent }: { readonly journals: Stats; readonly parent: string },
): void {
  if (isSame(there, journals)) refuse(folder, 'is the journal directory');
  if (!there.isDirectory()) refuse(folder, 'exists and is no folder');
  if (during('read', folder, () => readdirSync(folder)).length > 0) refuse(folder, 'is not empty');
  if (there.dev !== during('read', parent, () => statSync(parent)).dev) {
    refuse(folder, 'is where a file system is mounted: name a folder in it');
  }
}

/** Only what this daemon's own backups left is removed: one runs at a time, so nobody is at it. */
function clearLeftover(layout: Layout, partial: string): void {
  const there = during('read', partial, () => lstatSync(partial, { throwIfNoEntry: false }));
  if (there === undefined) return;
  if (!there.isDirectory() || !isMarked(layout, partial)) {
    refuse(partial, 'exists and is no unfinished backup of this directory: remove it first');
  }
  during('write', partial, () => rmSync(partial, { recursive: true }));
}

function isMarked(layout: Layout, partial: string): boolean {
  try {
    return readFileSync(markOf(partial), 'utf8') === markText(layout);
  } catch {
    return false;
  }
}

/** Says of which directory it is a backup. Left behind in one, it goes with the next start there. */
function markOf(folder: string): string {
  return join(layoutOf(folder).control, 'backup.tmp');
}

function markText({ dir }: Layout): string {
  return `${JSON.stringify({ backupOf: dir })}\n`;
}

function isSame(one: Stats, other: Stats): boolean {
  return one.dev === other.dev && one.ino === other.ino;
}

function refuse(path: string, why: string): never {
  throw new TargetRefused(`${path} ${why}`);
}
