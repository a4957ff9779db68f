/**
 * Following everything: its place is a position.
 *
 * @module
 */
import { ProtocolError } from '../shared/errors.js';
import type { Journal, RunEvent, TurnEvent } from '../shared/events.js';
import type { WireEntry } from '../shared/protocol.js';
import type { Asked, Followed, Progress, PushRow, ReceivedRow } from './followed.js';
import { runEventOf, turnEventOf } from './records.js';
import type { LogEntry } from './types.js';

/** What a subscription to everything asks for. */
export type AskedLog = Extract<Asked, { readonly type: 'subscribeAll' }>;

/** Every entry has a position of its own, so none comes twice. */
export class FollowedLog implements Followed<LogEntry, number> {
  readonly #asked: AskedLog;
  #place: number | undefined;

  constructor(asked: AskedLog) {
    this.#asked = asked;
    this.#place = asked.afterPosition;
  }

  ask(): Asked {
    return { ...this.#asked, afterPosition: this.#place };
  }

  receive(row: PushRow, text: string | null): ReceivedRow<LogEntry, number> {
    if (!('streamId' in row)) {
      throw new ProtocolError('a row of the subscription is no entry', 'unknown');
    }
    this.#place = row.position;
    return { read: () => entryOf(row, text), place: row.position };
  }

  progress({ position }: Progress): number {
    if (position === undefined) throw new ProtocolError('progress has no position', 'unknown');
    this.#place = position;
    return position;
  }

  refusal(error: Error): Error {
    return error;
  }
}

function entryOf(row: WireEntry, text: string | null): LogEntry {
  const { position, streamId } = row;
  if (!('event' in row) || text === null) {
    const { journal } = row;
    const runId = 'runId' in row ? row.runId : undefined;
    return {
      position,
      journal,
      streamId,
      ...(runId === undefined ? {} : { runId }),
      deleted: true,
    };
  }
  const { seq, generation } = row.event;
  const place = { seq, generation, position };
  const journal: Journal = row.journal;
  return journal === 'turns'
    ? { position, journal, streamId, event: turnEventOf(text, place) satisfies TurnEvent }
    : { position, journal, streamId, event: runEventOf(text, place) satisfies RunEvent };
}
