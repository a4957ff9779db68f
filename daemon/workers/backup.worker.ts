/**
 * The worker thread of one backup: copies a journal directory in steps, between which the main
 * thread says what state the copy is to be of. It ends with the backup.
 *
 * @module
 */
import { DirectoryCopy, type LogExtent } from '../backup/directory-copy.js';
import { Meter } from '../backup/meter.js';
import {
  abandonTarget,
  beginTarget,
  finishTarget,
  type Target,
  TargetRefused,
} from '../backup/target.js';
import type { Layout } from '../storage/layout.js';
import { asResult, type Failure } from './failure.js';
import { serveTasks, type TaskLine } from './serve-tasks.js';

export type BackupTask =
  | {
      readonly kind: 'begin';
      readonly layout: Layout;
      readonly folder: string;
      readonly meter: SharedArrayBuffer;
      /** The room that is left to the directory on its file system. */
      readonly keptBytes: number;
    }
  /** A pass while everything goes on. */
  | { readonly kind: 'pass'; readonly log: readonly LogExtent[] }
  | { readonly kind: 'catalog' }
  /** The last pass: no file is moved or replaced meanwhile. */
  | { readonly kind: 'last-pass'; readonly log: readonly LogExtent[] }
  /** Takes out what the daemon wrote since the checkpoint, by the first place of it in each file. */
  | { readonly kind: 'cut'; readonly firstWrites: ReadonlyMap<string, number> }
  | { readonly kind: 'finish' }
  | { readonly kind: 'abandon' };

export type BackupStep =
  | { readonly kind: 'done'; readonly bytes: number; readonly folder: string }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'failed'; readonly failure: Failure };

interface Underway {
  readonly target: Target;
  readonly copy: DirectoryCopy;
  readonly meter: Meter;
}

/** Set by the first step; the thread is that of one backup. */
let underway: Underway | null = null;

export default (line: TaskLine): void => serveTasks(line, run);

function run(task: BackupTask): BackupStep {
  try {
    const result = asResult(() => step(task));
    if (!result.ok) return { kind: 'failed', failure: result.failure };
    return { kind: 'done', bytes: result.value, folder: underway?.target.folder ?? '' };
  } catch (error) {
    if (error instanceof TargetRefused) return { kind: 'refused', reason: error.message };
    throw error;
  }
}

/** The bytes that the step copied; at the end those of the whole copy. */
function step(task: BackupTask): number {
  if (task.kind === 'begin') {
    const meter = new Meter(task.meter);
    const { layout, keptBytes } = task;
    const target = beginTarget(layout, task.folder);
    try {
      const copy = new DirectoryCopy(layout, target.partial, meter, keptBytes);
      underway = { target, copy, meter };
      return 0;
    } catch (error) {
      abandonTarget(target);
      throw error;
    }
  }
  if (underway === null) return 0;
  const { target, copy, meter } = underway;
  switch (task.kind) {
    case 'pass':
      return copy.pass(task.log, true);
    case 'catalog':
      copy.catalog();
      return 0;
    case 'last-pass':
      return copy.pass(task.log, false);
    case 'cut':
      for (const [path, at] of task.firstWrites) copy.cut(path, at);
      return 0;
    case 'finish':
      copy.tidy();
      copy.sync();
      meter.check();
      finishTarget(target);
      return copy.bytes;
    case 'abandon':
      abandonTarget(target);
      return 0;
    default:
      return task satisfies never;
  }
}
