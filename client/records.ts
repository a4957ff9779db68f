/**
 * Records made from lines, and what is known of a record beside its keys.
 *
 * @module
 */
import { InvalidArgumentError, ProtocolError } from '../shared/errors.js';
import type { RunEvent, TurnEvent } from '../shared/events.js';
import { parseJson } from '../shared/json-parse.js';
import { stringifyEvent } from '../shared/json-stringify.js';
import { JSON_DEPTH_MAX } from '../shared/limits.js';
import type { EventDetails, LogEntry } from './types.js';

/** Where an event stands, and how the client came by it. */
export interface EventPlace {
  readonly seq: number;
  readonly generation: number;
  readonly position?: number | undefined;
  readonly duplicate?: boolean | undefined;
  /** The event was deleted since; its line is only what it was. */
  readonly isDeleted?: boolean | undefined;
}

/** Gives the very object that it is made from, so that private fields can be put on that. */
class Itself {
  constructor(object: object) {
    return object;
  }
}

/** Puts details on records, where nobody else sees them: far cheaper than a WeakMap of as many. */
class Details extends Itself {
  readonly #details: EventDetails;

  constructor(record: object, details: EventDetails) {
    super(record);
    this.#details = details;
  }

  static of(record: unknown): EventDetails | undefined {
    const isObject = typeof record === 'object' && record !== null;
    return isObject && #details in record ? record.#details : undefined;
  }
}

/** Records that got their `seq` on reading. */
const numberedOnReading = new WeakSet<object>();

/**
 * What is known of an event beside its record: its cursor, its position if this client appended
 * it, whether it is the result of an earlier append, and the exact line on disk.
 *
 * @param event an event that a client of this process returned, the very object
 * @throws InvalidArgumentError (`not-committed`) for any other object
 * @example
 * const event = await log.turns.append('s1', { event: 'submitted', content: 'hi' });
 * const { cursor, text } = detailsOf(event);
 * console.log(formatCursor(cursor), text);
 */
export function detailsOf(event: TurnEvent | RunEvent): EventDetails {
  const details = Details.of(event);
  if (details === undefined) {
    throw new InvalidArgumentError('event', 'event is no object that eventlogd returned');
  }
  return details;
}

/** The record of a turn's line. A line without `seq` gets it, as its last key. */
export function turnEventOf(line: string, place: EventPlace): TurnEvent {
  const record = parseRecord(line);
  if (!Object.hasOwn(record, 'seq')) {
    record['seq'] = place.seq;
    numberedOnReading.add(record);
  }
  return withDetails(record, line, place) as TurnEvent;
}

/** The record of a run event's line, with nothing added. */
export function runEventOf(line: string, place: EventPlace): RunEvent {
  return withDetails(parseRecord(line), line, place) as unknown as RunEvent;
}

/**
 * The JSON text of an event: its exact line, with `seq` as the last key where the line lacks it.
 * Only that of an event which was deleted since is encoded anew.
 */
export function jsonTextOf(event: TurnEvent | RunEvent): string {
  const { text } = detailsOf(event);
  if (text === null) return stringifyEvent(event, { depthMax: JSON_DEPTH_MAX });
  if (!numberedOnReading.has(event)) return text;
  const head = text.slice(0, text.lastIndexOf('}')).trimEnd();
  return `${head}${head === '{' ? '' : ','}"seq":${event.seq}}`;
}

/** The JSON text of what `subscribeAll` tells: the entry, and in it the text of its event. */
export function entryTextOf(entry: LogEntry): string {
  const { event, ...rest } = entry;
  const members = JSON.stringify(rest);
  return event === undefined ? members : `${members.slice(0, -1)},"event":${jsonTextOf(event)}}`;
}

function withDetails(
  record: Record<string, unknown>,
  line: string,
  place: EventPlace,
): Record<string, unknown> {
  new Details(record, {
    cursor: { generation: place.generation, seq: place.seq },
    // No position is 0: that stands for an event whose position the daemon does not know.
    ...(place.position ? { position: place.position } : {}),
    duplicate: place.duplicate === true,
    text: place.isDeleted === true ? null : line,
  });
  return record;
}

function parseRecord(line: string): Record<string, unknown> {
  let record: unknown;
  try {
    record = parseJson(line);
  } catch (error) {
    throw new ProtocolError(`the daemon sent a line that is not JSON: ${String(error)}`, 'unknown');
  }
  if (typeof record !== 'object' || record === null || Array.isArray(record)) {
    throw new ProtocolError('the daemon sent a line that is not an object', 'unknown');
  }
  return record as Record<string, unknown>;
}
