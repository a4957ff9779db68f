/**
 * The decision table for the commit log: what the place where a segment's whole frames end means.
 *
 * Columns, in order: what stands there; whether a later segment holds frames or was begun;
 * whether something that is whole proves that the frame which is due there was durable.
 *
 * @module
 */

/** What stands where the whole frames of a segment end. */
export interface LogEnd {
  readonly found: 'end' | 'bad';
  /** Whether a later segment goes on. */
  readonly later: 'none' | 'follows' | 'gap';
  /** Whether the frame that is due here was durable: a later frame, segment or catalog says so. */
  readonly durable: boolean;
}

export type LogAction = 'done' | 'next-segment' | 'torn' | 'corrupt';

type Any = 'any';

interface Row {
  readonly name: string;
  readonly found: LogEnd['found'] | Any;
  readonly later: LogEnd['later'] | Any;
  readonly durable: boolean | Any;
  readonly action: LogAction;
}

/** The first row that matches decides. Each row's name is a test's. */
export const LOG_TABLE: readonly Row[] = [
  {
    name: 'zeros after the last frame: the log ends',
    found: 'end',
    later: 'none',
    durable: false,
    action: 'done',
  },
  {
    name: 'zeros where a durable frame is due: corrupt',
    found: 'end',
    later: 'none',
    durable: true,
    action: 'corrupt',
  },
  {
    name: 'a full segment that the next one follows: go on',
    found: 'end',
    later: 'follows',
    durable: 'any',
    action: 'next-segment',
  },
  {
    name: 'a segment that ends before the next one begins: corrupt',
    found: 'end',
    later: 'gap',
    durable: 'any',
    action: 'corrupt',
  },
  {
    name: 'a bad frame that was durable: corrupt',
    found: 'bad',
    later: 'any',
    durable: true,
    action: 'corrupt',
  },
  {
    name: 'bytes behind the last frame of a segment that the next one follows: torn',
    found: 'bad',
    later: 'follows',
    durable: false,
    action: 'torn',
  },
  {
    name: 'a bad frame before a segment that does not follow: corrupt',
    found: 'bad',
    later: 'gap',
    durable: false,
    action: 'corrupt',
  },
  {
    name: 'a bad frame past the durable frontier: torn',
    found: 'bad',
    later: 'none',
    durable: false,
    action: 'torn',
  },
];

/** Looks up what to do. */
export function decideLogEnd(end: LogEnd): LogAction {
  const row = LOG_TABLE.find(
    ({ found, later, durable }) =>
      (found === 'any' || found === end.found) &&
      (later === 'any' || later === end.later) &&
      (durable === 'any' || durable === end.durable),
  );
  if (row === undefined) throw new Error(`no row for ${JSON.stringify(end)}`);
  return row.action;
}
