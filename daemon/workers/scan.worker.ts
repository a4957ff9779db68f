/**
 * The worker thread of reading that takes long: loading streams, reading what others added to
 * them, reading the commit log by position, and checking large texts.
 *
 * @module
 */
import { type JsonScan, scanObject } from '../../shared/json-scan.js';
import { JSON_DEPTH_MAX, JSON_MEMBERS_MAX } from '../../shared/limits.js';
import { type PositionScan, type PositionTask, scanPositions } from '../storage/position-scan.js';
import { type LoadedStream, type LoadTask, loadStream } from '../streams/load.js';
import { readTails, type Tail, type TailTask } from '../streams/tail.js';
import { asResult, type Result } from './failure.js';

export type ScanTask =
  | { readonly kind: 'load'; readonly task: LoadTask }
  | { readonly kind: 'tails'; readonly task: TailTask }
  | { readonly kind: 'positions'; readonly task: PositionTask }
  | { readonly kind: 'text'; readonly text: Uint8Array };

export type ScanResult =
  | { readonly kind: 'load'; readonly result: Result<LoadedStream> }
  | { readonly kind: 'tails'; readonly result: Result<readonly Tail[]> }
  | { readonly kind: 'positions'; readonly result: Result<PositionScan> }
  | { readonly kind: 'text'; readonly scan: JsonScan };

export default function run(task: ScanTask): ScanResult {
  switch (task.kind) {
    case 'load':
      return { kind: 'load', result: asResult(() => loadStream(task.task)) };
    case 'tails':
      return { kind: 'tails', result: asResult(() => readTails(task.task)) };
    case 'positions':
      return { kind: 'positions', result: asResult(() => scanPositions(task.task)) };
    case 'text':
      return {
        kind: 'text',
        scan: scanObject(task.text, { depthMax: JSON_DEPTH_MAX, membersMax: JSON_MEMBERS_MAX }),
      };
    default:
      return task satisfies never;
  }
}
