/**
 * What the committer counts: plain numbers, read when somebody asks.
 *
 * @module
 */
import type { Journal } from '../../shared/events.js';
import { BYTES, Distribution, EVENTS, SECONDS } from '../metrics/distribution.js';
import type { AppendOperation } from './operations.js';
import type { AdoptedLines } from './seal-lines.js';

/** What was committed to one of the journals. */
export interface JournalCounts {
  appends: number;
  events: number;
  /** Of the lines in its files. */
  bytes: number;
}

/** Counts what the committer did. */
export class CommitCounts {
  readonly journals: Readonly<Record<Journal, JournalCounts>> = {
    turns: { appends: 0, events: 0, bytes: 0 },
    runs: { appends: 0, events: 0, bytes: 0 },
  };
  /** Events of other programs that were met while their stream was open. */
  adopted = 0;
  commits = 0;
  /** From the queue to the answer. */
  readonly ackSeconds: Distribution = new Distribution(SECONDS);
  readonly syncSeconds: Distribution = new Distribution(SECONDS);
  readonly commitEvents: Distribution = new Distribution(EVENTS);
  readonly commitBytes: Distribution = new Distribution(BYTES);

  /** A commit is durable. */
  committed(events: number, bytes: number, syncMs: number): void {
    this.commits += 1;
    this.commitEvents.record(events);
    this.commitBytes.record(bytes);
    this.syncSeconds.record(syncMs / 1000);
  }

  /** A commit's lines are in their files. */
  applied(bytes: Readonly<Record<Journal, number>>, adopted: readonly AdoptedLines[]): void {
    this.journals.turns.bytes += bytes.turns;
    this.journals.runs.bytes += bytes.runs;
    for (const { events } of adopted) this.adopted += events.length;
  }

  /** An append is acknowledged. */
  answered({ events, takenMs }: AppendOperation, nowMs: number): void {
    // The events of one append are of one journal.
    const [first] = events;
    if (first === undefined) return;
    const counts = this.journals[first.journal];
    counts.appends += 1;
    counts.events += events.length;
    this.ackSeconds.record((nowMs - takenMs) / 1000);
  }
}
