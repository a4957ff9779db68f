/**
 * The worker thread of recovery: it runs once, before the daemon listens.
 *
 * @module
 */
import { FormatVersionError, LogCorruptError } from '../../shared/errors.js';
import { type Recovered, type RecoveryTask, recoverDirectory } from '../recovery/recover.js';
import { asResult, type Failure } from './failure.js';
import { serveTasks, type TaskLine } from './serve-tasks.js';

export type RecoveryResult =
  | { readonly kind: 'recovered'; readonly recovered: Recovered }
  | {
      readonly kind: 'corrupt';
      readonly file: string;
      readonly offset: number;
      readonly message: string;
    }
  | { readonly kind: 'format'; readonly message: string }
  | { readonly kind: 'failed'; readonly failure: Failure };

export default (line: TaskLine): void => serveTasks(line, run);

function run(task: RecoveryTask): RecoveryResult {
  try {
    const done = asResult(() => recoverDirectory(task));
    return done.ok
      ? { kind: 'recovered', recovered: done.value }
      : { kind: 'failed', failure: done.failure };
  } catch (error) {
    if (error instanceof LogCorruptError) {
      return { kind: 'corrupt', file: error.file, offset: error.offset, message: error.message };
    }
    if (error instanceof FormatVersionError) return { kind: 'format', message: error.message };
    throw error;
  }
}
