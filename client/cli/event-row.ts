/**
 * Events as `eventlog tail` shows them: each by itself, for nobody knows what comes next.
 *
 * @module
 */
import type { RunEvent, TurnEvent } from '../../shared/events.js';
import { entryTextOf, jsonTextOf } from '../records.js';
import type { LogEntry } from '../types.js';
import { runCells, turnCells } from './event-table.js';
import type { Output } from './output.js';

/** Writes a turn event. */
export async function writeTurn(output: Output, event: TurnEvent): Promise<void> {
  if (output.format === 'ndjson') await output.line(jsonTextOf(event));
  else await output.cells(turnCells(event));
}

/** Writes a run event. */
export async function writeRun(output: Output, event: RunEvent): Promise<void> {
  if (output.format === 'ndjson') await output.line(jsonTextOf(event));
  else await output.cells(runCells(event));
}

/** Writes what `subscribeAll` tells: an event within its entry, or a deletion. */
export async function writeEntry(output: Output, entry: LogEntry): Promise<void> {
  if (output.format === 'ndjson') {
    await output.line(entryTextOf(entry));
    return;
  }
  const cells = [String(entry.position), entry.journal, entry.streamId];
  if (entry.event === undefined) {
    const what = entry.runId === undefined ? 'deleted' : `run ${entry.runId} deleted`;
    await output.cells([...cells, what]);
  } else {
    const { journal } = entry;
    await output.cells([
      ...cells,
      ...(journal === 'turns' ? turnCells(entry.event) : runCells(entry.event)),
    ]);
  }
}
