/**
 * The results of an append as they are remembered: events that follow one another in one stream
 * take one entry together.
 *
 * @module
 */
import type { AckRun } from '../storage/catalog-format.js';
import type { LoggedEvent } from '../storage/log-records.js';

/** Joins the events that follow one another in one stream. */
export function ackRuns(events: readonly LoggedEvent[]): AckRun[] {
  const runs: AckRun[] = [];
  for (const { stream, seq, position } of events) {
    const last = runs.at(-1);
    const follows =
      last !== undefined &&
      last.journal === stream.journal &&
      last.id === stream.id &&
      last.generation === stream.generation &&
      last.firstSeq + last.count === seq &&
      last.firstPosition + last.count === position;
    if (follows) runs[runs.length - 1] = { ...last, count: last.count + 1 };
    else {
      const { journal, id, generation } = stream;
      runs.push({ journal, id, generation, firstSeq: seq, firstPosition: position, count: 1 });
    }
  }
  return runs;
}
