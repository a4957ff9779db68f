/** Requests of a journal as calls of a client. */
import { crc32 } from 'node:zlib';
import {
  detailsOf,
  type EventLog,
  type NewRunEvent,
  type NewTurnEvent,
  type RunEvent,
  type TurnAppendOptions,
  type TurnEvent,
} from '../../client/index.js';
import type { Request, Row, Wanted } from './history.js';
import type { Result } from './journal.js';

/** Where an event that a client returned stands. */
export function rowOf(event: TurnEvent | RunEvent): Row {
  const { cursor, position = 0, text } = detailsOf(event);
  const checksum = text === null ? null : crc32(text);
  const { content } = event as { readonly content?: unknown };
  return { id: String(content), ...cursor, position, checksum };
}

function turnOf({ id, type, turn, padding }: Wanted): NewTurnEvent {
  return {
    event: type,
    content: id,
    ...(turn === undefined ? {} : { turn_id: turn }),
    ...(padding > 0 ? { padding: 'x'.repeat(padding) } : {}),
  };
}

function runOf({ id, stream, run, type, padding }: Wanted): NewRunEvent {
  return {
    thread_id: stream.slice('runs/'.length),
    run_id: run ?? '',
    event_type: type,
    category: 'message',
    content: id,
    ...(padding > 0 ? { metadata: { padding: 'x'.repeat(padding) } } : {}),
  };
}

/** Makes the append of a request. */
export async function send(
  log: EventLog,
  { operation, events }: Pick<Request, 'operation' | 'events'>,
  options: TurnAppendOptions,
): Promise<Result> {
  const [first] = events;
  if (first === undefined) throw new Error('no event');
  if (operation === 'absent') {
    const { event, created } = await log.runs.putIfAbsent(runOf(first), options);
    return { rows: [rowOf(event)], created, duplicate: detailsOf(event).duplicate };
  }
  if (operation === 'put') {
    const stored =
      events.length === 1
        ? [await log.runs.put(runOf(first), options)]
        : await log.runs.putBatch(events.map(runOf), options);
    return { rows: stored.map(rowOf), duplicate: stored.some((one) => detailsOf(one).duplicate) };
  }
  const session = first.stream.slice('turns/'.length);
  const event =
    first.by === undefined
      ? await log.turns.append(session, turnOf(first), options)
      : await log.turns.appendForStream(session, first.by, turnOf(first), options);
  return { rows: [rowOf(event)], duplicate: detailsOf(event).duplicate };
}
