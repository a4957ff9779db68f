/**
 * How a line is made from the text that a client sent and what the daemon assigns. The daemon
 * writes the line; the client makes the same one to show it without carrying it back.
 *
 * @module
 */
import { Buffer } from 'node:buffer';
import type { JsonMember } from './json-scan.js';

/** The keys of an object. */
export interface Keys {
  readonly size: number;
  has(key: string): boolean;
}

/** What the daemon adds to a turn's text, each only where the text lacks it. */
export interface TurnAssignment {
  readonly sessionId: string;
  /** Set by `appendForStream`. */
  readonly streamId?: string | undefined;
  /** The turn that the daemon chose; absent where the text has its own. */
  readonly turnId?: string | undefined;
  /** The stamp, in microseconds since 1970; absent where the text has its own. */
  readonly createdAtUs?: number | undefined;
  readonly seq: number;
}

/** `created_at` of a turn: seconds since 1970 as a float. */
function formatTurnCreatedAt(createdAtUs: number): string {
  const seconds = String(createdAtUs / 1_000_000);
  return seconds.includes('.') ? seconds : `${seconds}.0`;
}

/** `created_at` of a run event: ISO 8601 in UTC with microseconds. */
function formatRunCreatedAt(createdAtUs: number): string {
  const milliseconds = Math.floor(createdAtUs / 1000);
  const rest = String(createdAtUs - milliseconds * 1000).padStart(3, '0');
  return `${new Date(milliseconds).toISOString().slice(0, -1)}${rest}+00:00`;
}

/**
 * The line of a turn, without its LF: the caller's text, then what it lacks, then `seq`.
 *
 * @param text the caller's text, already escaped
 * @param shape the keys that the text has, and the offset of its last brace
 */
export function composeTurnLine(
  text: Uint8Array,
  { keys, closeBrace }: { readonly keys: Keys; readonly closeBrace: number },
  assigned: TurnAssignment,
): Uint8Array {
  const tail = turnTail(keys, assigned);
  const line = Buffer.allocUnsafe(text.length + Buffer.byteLength(tail));
  line.set(text.subarray(0, closeBrace));
  const at = closeBrace + line.write(tail, closeBrace);
  line.set(text.subarray(closeBrace), at);
  return line;
}

/** What is added to a turn's text before its last brace. */
export function turnTail(keys: Keys, assigned: TurnAssignment): string {
  const { streamId, turnId, createdAtUs } = assigned;
  let added = '';
  const add = (key: string, value: string): void => {
    if (!keys.has(key)) added += `,"${key}":${value}`;
  };
  if (streamId !== undefined) add('stream_id', quoted(streamId));
  if (streamId !== undefined && turnId !== undefined) add('turn_id', quoted(turnId));
  add('version', '1');
  add('session_id', quoted(assigned.sessionId));
  if (streamId === undefined && turnId !== undefined) add('turn_id', quoted(turnId));
  if (createdAtUs !== undefined) add('created_at', formatTurnCreatedAt(createdAtUs));
  add('seq', String(assigned.seq));
  return keys.size === 0 ? added.slice(1) : added;
}

const LINE_SEPARATORS = /[\u0085\u2028\u2029]/g;

/** An id as JSON. Ids are a caller's strings, so they follow the rule for its text. */
function quoted(id: string): string {
  const text = JSON.stringify(id);
  if (text.search(LINE_SEPARATORS) === -1) return text;
  return text.replace(
    LINE_SEPARATORS,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The keys of a run event in the order of its line, with what stands for one that is absent. */
const RUN_KEYS: readonly { readonly key: string; readonly head: Buffer; readonly whole: Buffer }[] =
  (
    [
      ['thread_id', ''],
      ['run_id', ''],
      ['event_type', ''],
      ['category', ''],
      ['content', '""'],
      ['metadata', '{}'],
    ] as const
  ).map(([key, absent], at) => {
    const head = `${at === 0 ? '{' : ', '}"${key}": `;
    return { key, head: Buffer.from(head), whole: Buffer.from(head + absent) };
  });

/**
 * The parts of a run event's line before `seq`: the text of each value, verbatim, in the
 * line's order.
 *
 * @param text the caller's text, already escaped
 * @param members its members, by key
 */
export function composeRunHead(
  text: Uint8Array,
  members: ReadonlyMap<string, JsonMember>,
): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const { key, head, whole } of RUN_KEYS) {
    const member = members.get(key);
    const isDefault = member === undefined || (key === 'metadata' && member.kind === 'null');
    if (isDefault) parts.push(whole);
    else parts.push(head, text.subarray(member.valueStart, member.valueEnd));
  }
  return Buffer.concat(parts);
}

/**
 * The line of a run event, without its LF.
 *
 * @param head what `composeRunHead` made
 * @param createdAt the text of the caller's own `created_at` value, or the daemon's stamp in
 *   microseconds since 1970
 */
export function composeRunLine(
  head: Uint8Array,
  seq: number,
  createdAt: Uint8Array | number,
): Uint8Array {
  const tail = `, "seq": ${seq}, "created_at": `;
  if (typeof createdAt !== 'number')
    return Buffer.concat([head, Buffer.from(tail), createdAt, CLOSE]);
  const stamped = `${tail}"${formatRunCreatedAt(createdAt)}"}`;
  const line = Buffer.allocUnsafe(head.length + stamped.length);
  line.set(head);
  line.write(stamped, head.length, 'latin1');
  return line;
}

const CLOSE = Buffer.from('}');
