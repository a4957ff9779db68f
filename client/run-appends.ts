/**
 * Putting events of runs: what is sent, and the records made from what the daemon assigned.
 *
 * @module
 */
import {
  EventTooLargeError,
  InvalidArgumentError,
  InvalidEventError,
  InvalidIdError,
} from '../shared/errors.js';
import type { RunEvent } from '../shared/events.js';
import { describeIdProblem, isId } from '../shared/ids.js';
import { escapeLineSeparators } from '../shared/json-escape.js';
import { composeRunHead, composeRunLine } from '../shared/lines.js';
import type { WireAck } from '../shared/protocol.js';
import { requireAcks } from './acks.js';
import type { WholeAnswer } from './answer.js';
import { requireAppendOptions } from './arguments.js';
import type { Connection } from './connection.js';
import { decodeText, type EventText, findMember, scalarOf, scanEventText } from './event-text.js';
import { runEventOf } from './records.js';
import type { AppendOptions } from './types.js';

/** How a batch is put: `absent` only if the run has no event of this type. */
export type PutCondition = 'always' | 'absent';

/** What putting gave: the records in input order, and whether they are new. */
export interface PutResult {
  readonly events: RunEvent[];
  readonly created: boolean;
}

const KEYS: ReadonlySet<string> = new Set([
  'thread_id',
  'run_id',
  'event_type',
  'category',
  'content',
  'metadata',
  'created_at',
]);

/**
 * Puts events given as their JSON texts, all or none; the texts go to the daemon as they are. What
 * is refused without asking the daemon is thrown, not rejected, so that a caller with more texts
 * knows at once.
 */
export function putRunTexts(
  connection: Connection,
  texts: readonly Uint8Array[],
  options: AppendOptions,
  condition: PutCondition = 'always',
): Promise<PutResult> {
  requireAppendOptions(options);
  const scanned = scanBatch(connection, texts);
  requireOneThread(scanned, options.expectedSeq);
  const { expectedSeq, idempotencyKey } = options;
  const ifAbsent = condition === 'absent' ? true : undefined;
  const answering = connection.submit(
    { type: 'runs.put', texts, expectedSeq, idempotencyKey, ifAbsent },
    options,
  );
  return answering.then((answer) => ({
    events: putRuns(scanned, answer),
    created: answer.created ?? true,
  }));
}

function scanBatch(connection: Connection, texts: readonly Uint8Array[]): EventText[] {
  const { eventBytesMax, batchBytesMax, batchEventsMax } = connection.limits;
  if (texts.length > batchEventsMax) {
    throw new InvalidArgumentError(
      'events',
      `the batch has ${texts.length} events, at most ${batchEventsMax} are allowed`,
    );
  }
  let bytes = 0;
  const scanned: EventText[] = [];
  for (const [index, text] of texts.entries()) {
    bytes += text.length;
    if (bytes > batchBytesMax && texts.length > 1) {
      throw new EventTooLargeError(
        batchBytesMax,
        `the batch has more than ${batchBytesMax} bytes of JSON`,
      );
    }
    scanned.push(withPlace(texts, index, () => scanRunText(text, eventBytesMax)));
  }
  return scanned;
}

/** Runs a check of one event of a batch so that its error says which one it was. */
export function withPlace<Result>(
  events: readonly unknown[],
  index: number,
  check: () => Result,
): Result {
  try {
    return check();
  } catch (error) {
    if (events.length === 1) throw error;
    const where = `event ${index} of the batch`;
    if (error instanceof InvalidIdError) throw new InvalidIdError(`${where}: ${error.message}`);
    if (error instanceof EventTooLargeError) {
      throw new EventTooLargeError(error.limitBytes, `${where}: ${error.message}`);
    }
    if (!(error instanceof InvalidEventError)) throw error;
    const separator = error.path === '' || error.path.startsWith('[') ? '' : '.';
    const path = `[${index}]${separator}${error.path}`;
    throw new InvalidEventError(path, `${where}: ${error.message}`);
  }
}

function scanRunText(bytes: Uint8Array, bytesMax: number): EventText {
  const text = scanEventText(bytes, bytesMax);
  for (const { key } of text.members) {
    if (!KEYS.has(key)) throw new InvalidEventError(key, `${key} is no key of a run event`);
  }
  const thread = requireText(text, 'thread_id');
  const run = requireText(text, 'run_id');
  requireText(text, 'event_type');
  requireText(text, 'category');
  if (!isId('thread', thread)) throw new InvalidIdError(describeIdProblem('thread', thread));
  if (!isId('run', run)) throw new InvalidIdError(describeIdProblem('run', run));
  const metadata = findMember(text, 'metadata');
  if (metadata !== undefined && metadata.kind !== 'object' && metadata.kind !== 'null') {
    throw new InvalidEventError('metadata', 'metadata must be an object');
  }
  if (findMember(text, 'created_at') !== undefined) requireText(text, 'created_at');
  return text;
}

function requireText(text: EventText, key: string): string {
  const value = scalarOf(text, findMember(text, key));
  if (typeof value === 'string' && value !== '') return value;
  throw new InvalidEventError(key, `${key} must be a string that is not empty`);
}

/** Every thread counts its own seq, so one expected seq can only be meant for one thread. */
function requireOneThread(texts: readonly EventText[], expectedSeq: number | undefined): void {
  if (expectedSeq === undefined) return;
  const threads = new Set(texts.map((text) => scalarOf(text, findMember(text, 'thread_id'))));
  if (threads.size > 1) {
    throw new InvalidArgumentError(
      'expectedSeq',
      'expectedSeq needs a batch whose events are all of one thread',
    );
  }
}

function putRuns(texts: readonly EventText[], answer: WholeAnswer): RunEvent[] {
  const acks = requireAcks(answer, texts.length);
  return texts.map((text, index) => putRun(text, acks[index] as WireAck, answer.duplicate));
}

function putRun(text: EventText, ack: WireAck, duplicate: boolean): RunEvent {
  const place = { seq: ack.seq, generation: ack.generation, position: ack.position, duplicate };
  if (ack.text instanceof Uint8Array) return runEventOf(decodeText(ack.text), place);
  const line = decodeText(escapeLineSeparators(lineOf(text, ack)));
  return runEventOf(line, { ...place, isDeleted: ack.text === null });
}

/** The line as the daemon made it. Of an event that was deleted since the stamp may be unknown. */
function lineOf(text: EventText, ack: WireAck): Uint8Array {
  const members = new Map(text.members.map((member) => [member.key, member]));
  const head = composeRunHead(text.bytes, members);
  const own = members.get('created_at');
  const createdAt =
    own === undefined ? ack.createdAtUs : text.bytes.subarray(own.valueStart, own.valueEnd);
  if (createdAt !== undefined) return composeRunLine(head, ack.seq, createdAt);
  return Buffer.concat([head, Buffer.from(`, "seq": ${ack.seq}}`)]);
}
