/**
 * How a line is made from the text that a client sent and what the daemon assigns. The daemon
 * writes the line; the client makes the same one to show it without carrying it back.
 *
 * @module
 */
import { escapeLineSeparators } from './json-escape.js';
import type { JsonMember } from './json-scan.js';

const encoder = new TextEncoder();

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
 * @param keys the keys that the text has
 * @param closeBrace offset of the text's last brace
 */
export function composeTurnLine(
  text: Uint8Array,
  shape: { readonly keys: ReadonlySet<string>; readonly closeBrace: number },
  assigned: TurnAssignment,
): Uint8Array {
  const { keys, closeBrace } = shape;
  let added = '';
  const add = (key: string, value: string): void => {
    if (!keys.has(key)) added += `,"${key}":${value}`;
  };
  if (assigned.streamId !== undefined) add('stream_id', JSON.stringify(assigned.streamId));
  if (assigned.streamId !== undefined && assigned.turnId !== undefined) {
    add('turn_id', JSON.stringify(assigned.turnId));
  }
  add('version', '1');
  add('session_id', JSON.stringify(assigned.sessionId));
  if (assigned.streamId === undefined && assigned.turnId !== undefined) {
    add('turn_id', JSON.stringify(assigned.turnId));
  }
  if (assigned.createdAtUs !== undefined) {
    add('created_at', formatTurnCreatedAt(assigned.createdAtUs));
  }
  add('seq', String(assigned.seq));
  // Ids of streams and turns are a caller's strings, so they follow the rule for its text.
  const tail = escapeLineSeparators(encoder.encode(keys.size === 0 ? added.slice(1) : added));
  const line = new Uint8Array(text.length + tail.length);
  line.set(text.subarray(0, closeBrace));
  line.set(tail, closeBrace);
  line.set(text.subarray(closeBrace), closeBrace + tail.length);
  return line;
}

/** The keys of a run event in the order of its line, with what stands for one that is absent. */
const RUN_KEYS: readonly (readonly [string, string])[] = [
  ['thread_id', ''],
  ['run_id', ''],
  ['event_type', ''],
  ['category', ''],
  ['content', '""'],
  ['metadata', '{}'],
];

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
  for (const [key, absent] of RUN_KEYS) {
    const member = members.get(key);
    const isDefault = member === undefined || (key === 'metadata' && member.kind === 'null');
    parts.push(
      encoder.encode(`${parts.length === 0 ? '{' : ', '}"${key}": ${isDefault ? absent : ''}`),
    );
    if (!isDefault) parts.push(text.subarray(member.valueStart, member.valueEnd));
  }
  return concat(parts);
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
  const stamp =
    typeof createdAt === 'number'
      ? encoder.encode(`"${formatRunCreatedAt(createdAt)}"`)
      : createdAt;
  return concat([head, encoder.encode(`, "seq": ${seq}, "created_at": `), stamp, CLOSE]);
}

const CLOSE = encoder.encode('}');

function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
