/**
 * Where everything lies in a journal directory. Nothing else knows a path.
 *
 * @module
 */
import { join } from 'node:path';
import type { Journal } from '../../shared/events.js';
import { isId } from '../../shared/ids.js';

/** The version of everything below `.eventlogd`. */
export const FORMAT_VERSION = 1;

const TURNS = '_turn_journal';
const THREADS = 'threads';
const RUNS = 'runs';
const ENDING = '.jsonl';
const SHARD = /^(.+)~[0-9]+$/;

/** Names a stream: a session of `turns`, a thread of `runs`. */
export interface StreamName {
  readonly journal: Journal;
  readonly id: string;
}

/** A string that is the same for the same stream, for use as a key of Maps. */
export function streamKey(name: StreamName): string {
  return `${name.journal}/${name.id}`;
}

/** The paths of one journal directory. */
export interface Layout {
  readonly dir: string;
  readonly control: string;
  readonly format: string;
  readonly lock: string;
  readonly endpoint: string;
  readonly socket: string;
  readonly log: string;
  readonly spare: string;
  readonly quarantine: string;
  readonly trash: string;
  readonly turns: string;
  readonly threads: string;
}

/** @param dir the journal directory, absolute */
export function layoutOf(dir: string): Layout {
  const control = join(dir, '.eventlogd');
  return {
    dir,
    control,
    format: join(control, 'format'),
    lock: join(control, 'lock'),
    endpoint: join(control, 'endpoint'),
    socket: join(control, 'eventlogd.sock'),
    log: join(control, 'commitlog'),
    spare: join(control, 'commitlog', 'spare'),
    quarantine: join(control, 'quarantine'),
    trash: join(control, 'trash'),
    turns: join(dir, TURNS),
    threads: join(dir, THREADS),
  };
}

/** The folder that holds a stream's journal files. */
export function streamFolder(layout: Layout, name: StreamName): string {
  return name.journal === 'turns' ? layout.turns : join(layout.threads, name.id, RUNS);
}

/** The folders that may have to be created for a stream, outermost first. */
export function streamFolders(layout: Layout, name: StreamName): readonly string[] {
  return name.journal === 'turns'
    ? [layout.turns]
    : [layout.threads, join(layout.threads, name.id), join(layout.threads, name.id, RUNS)];
}

/** The folders that a deleted stream leaves, innermost first: they go if nothing else lies in them. */
export function foldersLeft(layout: Layout, name: StreamName): readonly string[] {
  return name.journal === 'turns' ? [] : [...streamFolders(layout, name)].reverse().slice(0, 2);
}

/** The name of the file that an append to a session, or to a run of a thread, goes to. */
export function journalFileName(id: string): string {
  return `${id}${ENDING}`;
}

/** The session that a file of the turn journal belongs to, or null for a name that is none. */
export function sessionOfFile(
  fileName: string,
): { readonly id: string; readonly shard: boolean } | null {
  const stem = stemOf(fileName);
  if (stem === null) return null;
  if (isId('session', stem)) return { id: stem, shard: false };
  const id = SHARD.exec(stem)?.[1];
  return id !== undefined && isId('session', id) ? { id, shard: true } : null;
}

/** The run that a file in a thread's folder is named after, or null for a name that is none. */
export function runOfFile(fileName: string): string | null {
  const stem = stemOf(fileName);
  return stem !== null && isId('run', stem) ? stem : null;
}

function stemOf(fileName: string): string | null {
  return fileName.endsWith(ENDING) ? fileName.slice(0, -ENDING.length) : null;
}

/** The path of a commit-log segment. */
export function segmentPath(layout: Layout, number: number): string {
  return join(layout.log, `${String(number).padStart(16, '0')}.log`);
}

/** The number of a commit-log segment, or null for another file. */
export function segmentNumber(fileName: string): number | null {
  return numberIn(/^([0-9]{16})\.log$/, fileName);
}

/** The path of a catalog file. */
export function catalogPath(layout: Layout, number: number): string {
  return join(layout.control, `checkpoint-${String(number).padStart(16, '0')}`);
}

/** The number of a catalog file, or null for another file. */
export function catalogNumber(fileName: string): number | null {
  return numberIn(/^checkpoint-([0-9]{16})$/, fileName);
}

/** The folder of a finished deletion, and the one that it has until all files are in it. */
export function trashPaths(
  layout: Layout,
  position: number,
): { readonly final: string; readonly partial: string } {
  const final = join(layout.trash, String(position));
  return { final, partial: `${final}.partial` };
}

/** Where a repair prepares what it is about to put in place, and the plan that makes it certain. */
export function repairFolder(layout: Layout): { readonly folder: string; readonly plan: string } {
  const folder = join(layout.control, 'repair');
  return { folder, plan: join(folder, 'plan.json') };
}

/** Where the daemon prepares what it puts in place at once; what lies there after a kill is nothing. */
export function stagingFolder(layout: Layout): string {
  return join(layout.control, 'staging');
}

function numberIn(pattern: RegExp, fileName: string): number | null {
  const digits = pattern.exec(fileName)?.[1];
  return digits === undefined ? null : Number(digits);
}
