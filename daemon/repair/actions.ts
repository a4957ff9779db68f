/**
 * What a repair does, in words for people and programs.
 *
 * @module
 */
import type { Journal } from '../../shared/events.js';
import type { PositionRange } from '../recovery/survey-log.js';

type ActionKind =
  | 'mend-log'
  | 'drop-segment'
  | 'begin-log'
  | 'mend-catalog'
  | 'recover'
  | 'finish-repair'
  | 'lift-fence'
  | 'accept-file'
  | 'renumber'
  | 'take-out'
  | 'account'
  | 'leave';

/** One step of a repair. */
export interface RepairAction {
  readonly action: ActionKind;
  readonly journal?: Journal;
  readonly stream?: string;
  /** Relative to the journal directory. */
  readonly file: string;
  /** Positions whose frames are lost. */
  readonly lost?: readonly PositionRange[];
  readonly detail: string;
}

export type OnAction = (action: RepairAction) => void;
