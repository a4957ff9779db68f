/**
 * Events as the `eventlog` program shows them.
 *
 * @module
 */
import type { RunEvent, TurnEvent } from '../../shared/events.js';
import { detailsOf, jsonTextOf } from '../records.js';
import { type Output, showValue } from './output.js';

/** Writes turn events. */
export async function writeTurns(output: Output, events: readonly TurnEvent[]): Promise<void> {
  if (output.format === 'ndjson') {
    for (const event of events) await output.line(jsonTextOf(event));
    return;
  }
  if (events.length === 0) return;
  await output.table(['seq', 'created_at', 'turn_id', 'event', 'more'], events.map(turnCells));
}

/** Writes run events. */
export async function writeRuns(output: Output, events: readonly RunEvent[]): Promise<void> {
  if (output.format === 'ndjson') {
    for (const event of events) await output.line(jsonTextOf(event));
    return;
  }
  if (events.length === 0) return;
  const head = ['seq', 'created_at', 'run_id', 'event_type', 'category', 'content'];
  await output.table(head, events.map(runCells));
}

/** What is shown of a run event, in the order of its table. */
export function runCells(event: RunEvent): string[] {
  return [
    String(detailsOf(event).cursor.seq),
    showValue(event.created_at),
    showValue(event.run_id),
    showValue(event.event_type),
    showValue(event.category),
    showValue(event.content),
  ];
}

/** Keys whose values say nothing new of a session's events. */
const SAME_IN_ALL: ReadonlySet<string> = new Set(['version', 'session_id']);

/** What is shown of a turn event, in the order of its table. */
export function turnCells(record: TurnEvent): string[] {
  const { seq, created_at, turn_id, event, ...more } = record;
  const rest = Object.entries(more).filter(([key]) => !SAME_IN_ALL.has(key));
  return [
    showValue(seq),
    typeof created_at === 'number' ? formatSeconds(created_at) : showValue(created_at),
    showValue(turn_id),
    showValue(event),
    rest.length === 0 ? '' : showValue(Object.fromEntries(rest)),
  ];
}

function formatSeconds(seconds: number): string {
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime()) ? String(seconds) : date.toISOString();
}
