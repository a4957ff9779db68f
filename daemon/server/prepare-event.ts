/**
 * Checks the text of an event that a client sent and prepares it for sealing. Nothing is kept of
 * a text that is refused.
 *
 * @module
 */
import { EventTooLargeError, InvalidEventError } from '../../shared/errors.js';
import { escapeLineSeparators } from '../../shared/json-escape.js';
import { parseJson } from '../../shared/json-parse.js';
import type { JsonMember, JsonScan } from '../../shared/json-scan.js';
import { composeRunHead } from '../../shared/lines.js';
import type { PreparedRun, PreparedTurn } from '../commit/operations.js';
import {
  parseRunCreatedAt,
  type RunRowKind,
  recordFacts,
  type TurnRowKind,
} from '../storage/line-facts.js';

/** A text whose members are known. */
export interface CheckedText {
  readonly text: Uint8Array;
  readonly members: ReadonlyMap<string, JsonMember>;
  readonly closeBrace: number;
}

const TURN_KEYS: ReadonlySet<string> = new Set([
  'event',
  'version',
  'session_id',
  'turn_id',
  'stream_id',
  'created_at',
  'seq',
]);
const RUN_KEYS: ReadonlySet<string> = new Set([
  'thread_id',
  'run_id',
  'event_type',
  'category',
  'content',
  'metadata',
  'created_at',
]);

/**
 * Takes in what the scan of a text found.
 *
 * @param scan the scan of `text` after its line separators were escaped
 * @param interpreted keys of which there may be only one
 */
export function checkText(
  text: Uint8Array,
  scan: JsonScan,
  interpreted: 'turn' | 'run',
): CheckedText {
  if (!scan.ok)
    throw new InvalidEventError(
      '',
      `the event is no JSON object: ${scan.reason} at byte ${scan.offset}`,
    );
  const unique = interpreted === 'turn' ? TURN_KEYS : RUN_KEYS;
  const members = new Map<string, JsonMember>();
  for (const member of scan.members) {
    if (members.has(member.key) && unique.has(member.key)) {
      throw new InvalidEventError(
        member.key,
        `the event has more than one ${JSON.stringify(member.key)}`,
      );
    }
    members.set(member.key, member);
  }
  if (members.has('seq'))
    throw new InvalidEventError('seq', 'seq is assigned by the daemon: leave it out');
  return { text, members, closeBrace: scan.closeBrace };
}

/** The text to check: line separators escaped, not over the limit. */
export function boundedText(text: Uint8Array, eventBytesMax: number): Uint8Array {
  const escaped = text.length > eventBytesMax ? text : escapeLineSeparators(text);
  if (escaped.length > eventBytesMax) {
    throw new EventTooLargeError(
      eventBytesMax,
      `the event has ${escaped.length} bytes, the limit is ${eventBytesMax}: store large content elsewhere and refer to it`,
    );
  }
  return escaped;
}

type TurnParts = Omit<PreparedTurn, 'stream' | 'fileName' | 'bytesMax'>;

/** A turn's text, checked. */
export function prepareTurn(
  checked: CheckedText,
  sessionId: string,
  streamId: string | null,
): TurnParts {
  const value = valueReader(checked);
  const event = value('event');
  if (typeof event !== 'string' || event.trim() === '') {
    throw new InvalidEventError('event', 'event must be a string that is not blank');
  }
  if (checked.members.has('session_id') && value('session_id') !== sessionId) {
    throw new InvalidEventError(
      'session_id',
      `session_id is another session's, not ${JSON.stringify(sessionId)}`,
    );
  }
  if (streamId !== null && checked.members.has('stream_id')) {
    throw new InvalidEventError('stream_id', 'appendForStream sets stream_id: leave it out');
  }
  if (streamId !== null && checked.members.has('turn_id') && !value('turn_id')) {
    throw new InvalidEventError(
      'turn_id',
      'appendForStream sets turn_id: leave it out if it is empty',
    );
  }
  const createdAt = value('created_at');
  const record = {
    event,
    turn_id: value('turn_id'),
    stream_id: streamId ?? value('stream_id'),
    created_at: createdAt,
  };
  const facts = recordFacts('turns', record);
  return {
    journal: 'turns',
    text: checked.text,
    keys: checked.members,
    closeBrace: checked.closeBrace,
    kind: facts.kind as TurnRowKind,
    createdAt: checked.members.has('created_at') ? facts.createdAt : null,
    streamId,
  };
}

/** A run event's text, checked, with the ids that it names. */
export interface RunParts extends Omit<PreparedRun, 'journal' | 'stream' | 'fileName'> {
  readonly threadId: string;
  readonly runId: string;
}

export function prepareRun(checked: CheckedText): RunParts {
  const value = valueReader(checked);
  for (const key of checked.members.keys()) {
    if (!RUN_KEYS.has(key)) {
      throw new InvalidEventError(
        key,
        `unknown key ${JSON.stringify(key)}: a run event has ${[...RUN_KEYS].join(', ')}`,
      );
    }
  }
  const text = (key: string): string => {
    const found = value(key);
    if (typeof found === 'string' && found !== '') return found;
    throw new InvalidEventError(key, `${key} must be a string that is not empty`);
  };
  const ids = { threadId: text('thread_id'), runId: text('run_id') };
  const eventType = text('event_type');
  const category = text('category');
  const metadata = checked.members.get('metadata');
  if (metadata !== undefined && metadata.kind !== 'object' && metadata.kind !== 'null') {
    throw new InvalidEventError('metadata', 'metadata must be an object');
  }
  const createdAt = checked.members.get('created_at');
  const stamp = value('created_at');
  if (createdAt !== undefined && (typeof stamp !== 'string' || stamp === '')) {
    throw new InvalidEventError(
      'created_at',
      'created_at must be a string, such as 2026-01-01T00:00:00.000000+00:00',
    );
  }
  const facts = recordFacts('runs', {
    run_id: ids.runId,
    event_type: eventType,
    category,
    metadata: value('metadata'),
  });
  return {
    ...ids,
    head: composeRunHead(checked.text, checked.members),
    kind: facts.kind as RunRowKind,
    createdAt:
      createdAt === undefined
        ? null
        : {
            text: checked.text.slice(createdAt.valueStart, createdAt.valueEnd),
            us: parseRunCreatedAt(stamp),
          },
  };
}

function valueReader(checked: CheckedText): (key: string) => unknown {
  const { text, members } = checked;
  const buffer = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  return (key) => {
    const member = members.get(key);
    if (member === undefined) return undefined;
    const value = buffer.toString('utf8', member.valueStart, member.valueEnd);
    return parseJson(value);
  };
}
