/**
 * The worker thread of what takes long and must not hold up commits: loading streams, reading what
 * others added to them, reading the commit log by position, checking large texts, repairing a stream.
 *
 * @module
 */
import { type JsonScan, scanObject } from '../../shared/json-scan.js';
import { JSON_DEPTH_MAX, JSON_MEMBERS_MAX } from '../../shared/limits.js';
import type { StreamPlan } from '../repair/plan-streams.js';
import { carryOutRepair, planStreamRepair } from '../repair/repair-stream.js';
import type { CatalogEntry } from '../storage/catalog-format.js';
import type { Layout, StreamName } from '../storage/layout.js';
import { type PositionScan, type PositionTask, scanPositions } from '../storage/position-scan.js';
import { type LoadedStream, type LoadTask, loadStream } from '../streams/load.js';
import { readTails, type Tail, type TailTask } from '../streams/tail.js';
import { asResult, type Result } from './failure.js';
import { serveTasks, type TaskLine } from './serve-tasks.js';

export type ScanTask =
  | { readonly kind: 'load'; readonly task: LoadTask }
  | { readonly kind: 'tails'; readonly task: TailTask }
  | { readonly kind: 'positions'; readonly task: PositionTask }
  | { readonly kind: 'text'; readonly text: Uint8Array }
  | {
      readonly kind: 'plan-repair';
      readonly layout: Layout;
      readonly name: StreamName;
      readonly entry: CatalogEntry | null;
    }
  | { readonly kind: 'repair'; readonly layout: Layout; readonly plan: StreamPlan };

export type ScanResult =
  | { readonly kind: 'load'; readonly result: Result<LoadedStream> }
  | { readonly kind: 'tails'; readonly result: Result<readonly Tail[] | null> }
  | { readonly kind: 'positions'; readonly result: Result<PositionScan> }
  | { readonly kind: 'text'; readonly scan: JsonScan }
  | { readonly kind: 'plan-repair'; readonly result: Result<StreamPlan | null> }
  | { readonly kind: 'repair'; readonly result: Result<LoadedStream | null> };

export default (line: TaskLine): void => serveTasks(line, run);

function run(task: ScanTask): ScanResult {
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
    case 'plan-repair': {
      const { layout, name, entry } = task;
      return { kind: 'plan-repair', result: asResult(() => planStreamRepair(layout, name, entry)) };
    }
    case 'repair':
      return { kind: 'repair', result: asResult(() => carryOutRepair(task.layout, task.plan)) };
    default:
      return task satisfies never;
  }
}
