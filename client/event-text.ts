/**
 * The JSON text of an event that is to be appended: made from a value, or as it came, and looked
 * at once before it is sent.
 *
 * @module
 */
import { EventTooLargeError, InvalidEventError } from '../shared/errors.js';
import { type JsonMember, scanObject } from '../shared/json-scan.js';
import { JsonValueError, stringifyEvent } from '../shared/json-stringify.js';
import { JSON_DEPTH_MAX, JSON_MEMBERS_MAX } from '../shared/limits.js';

/** A text that is known to be one JSON object, and where its members lie. */
export interface EventText {
  readonly bytes: Uint8Array;
  readonly members: readonly JsonMember[];
  readonly closeBrace: number;
}

/**
 * Encodes an event that came as a value, once for all that follows.
 *
 * @throws InvalidEventError naming the member that JSON cannot hold
 */
export function encodeEvent(event: unknown): Uint8Array {
  try {
    return Buffer.from(stringifyEvent(event, { depthMax: JSON_DEPTH_MAX }));
  } catch (error) {
    const path = error instanceof JsonValueError ? error.path : '';
    throw new InvalidEventError(path, error instanceof Error ? error.message : String(error));
  }
}

/**
 * Reads where the members of an event's text lie.
 *
 * @param bytesMax the daemon's limit for one event
 * @throws EventTooLargeError, InvalidEventError
 */
export function scanEventText(bytes: Uint8Array, bytesMax: number): EventText {
  if (bytes.length > bytesMax) {
    throw new EventTooLargeError(
      bytesMax,
      `the event has ${bytes.length} bytes of JSON, at most ${bytesMax} are allowed`,
    );
  }
  const scan = scanObject(bytes, { depthMax: JSON_DEPTH_MAX, membersMax: JSON_MEMBERS_MAX });
  if (!scan.ok) {
    throw new InvalidEventError('', `not a JSON object: ${scan.reason} at byte ${scan.offset}`);
  }
  return { bytes, members: scan.members, closeBrace: scan.closeBrace };
}

/** The member with that key, the last one if there are several. */
export function findMember({ members }: EventText, key: string): JsonMember | undefined {
  for (let at = members.length - 1; at >= 0; at -= 1) {
    if (members[at]?.key === key) return members[at];
  }
  return undefined;
}

/** The value of a member that is no object or array; `undefined` stands for those. */
export function scalarOf(
  text: EventText,
  member: JsonMember | undefined,
): string | number | boolean | null | undefined {
  switch (member?.kind) {
    case 'string':
    case 'number':
      return JSON.parse(decodeText(text.bytes.subarray(member.valueStart, member.valueEnd)));
    case 'true':
      return true;
    case 'false':
      return false;
    case 'null':
      return null;
    case 'object':
    case 'array':
    case undefined:
      return undefined;
  }
}

/** The text without some of its members; all else stays as it is. */
export function removeMembers(
  text: EventText,
  isRemoved: (member: JsonMember) => boolean,
): Uint8Array {
  const kept = text.members.filter((member) => !isRemoved(member));
  if (kept.length === text.members.length) return text.bytes;
  const parts: Uint8Array[] = [];
  const first = text.members[0] as JsonMember;
  parts.push(text.bytes.subarray(0, first.keyStart));
  for (const [index, member] of kept.entries()) {
    if (index > 0) parts.push(COMMA);
    parts.push(text.bytes.subarray(member.keyStart, member.valueEnd));
  }
  parts.push(text.bytes.subarray(text.closeBrace));
  return Buffer.concat(parts);
}

/** UTF-8 bytes as a string, a byte order mark included. */
export function decodeText(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

const COMMA = Buffer.from(',');
