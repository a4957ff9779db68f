/**
 * Putting the ids of the command line into an event's text, as text.
 *
 * @module
 */
import { InvalidEventError } from '../../shared/errors.js';
import { type EventText, findMember, scalarOf, scanEventText } from '../event-text.js';

/**
 * The text of a run event with the ids that it lacks; the rest of it stays as it is.
 *
 * @throws InvalidEventError when the text names another thread or run
 */
export function withRunIds(
  bytes: Uint8Array,
  ids: { readonly threadId: string; readonly runId: string },
  bytesMax: number,
): Uint8Array {
  const text = scanEventText(bytes, bytesMax);
  const added = [
    ...missing(text, 'thread_id', ids.threadId),
    ...missing(text, 'run_id', ids.runId),
  ].join(', ');
  if (added === '') return bytes;
  const at = text.members[0]?.keyStart ?? text.closeBrace;
  const separator = text.members.length === 0 ? '' : ', ';
  return Buffer.concat([
    bytes.subarray(0, at),
    Buffer.from(`${added}${separator}`),
    bytes.subarray(at),
  ]);
}

function missing(text: EventText, key: string, id: string): string[] {
  const member = findMember(text, key);
  if (member === undefined) return [`${JSON.stringify(key)}: ${JSON.stringify(id)}`];
  if (scalarOf(text, member) === id) return [];
  throw new InvalidEventError(key, `${key} of the event is not ${JSON.stringify(id)}`);
}
