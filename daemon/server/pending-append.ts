/**
 * An append from its check to its answer. What was appended is answered at once, in the committer's
 * own step; only what has to be read for its answer takes turns of the event loop.
 *
 * @module
 */
import type { AppendConditions, AppendResult, PreparedEvent } from '../commit/operations.js';
import { TerminalRefusal } from '../commit/terminal-refusal.js';
import type { Store } from '../store.js';
import type { Stream } from '../streams/stream.js';
import type { AnswerWriter } from './answer-writer.js';
import {
  answerAppend,
  foundPresent,
  type SettledAppend,
  terminalRefusal,
} from './append-answers.js';

/** What an event may add to its text in the log: ids, stamp, seq and the record's own fields. */
const EVENT_OVERHEAD_BYTES = 1_024;

/** An append that is checked. Its streams are held. */
export interface Prepared {
  readonly events: readonly PreparedEvent[];
  readonly conditions: AppendConditions;
}

/** Invariant: its streams are held until it is settled for good. */
export class PendingAppend {
  readonly #store: Store;
  readonly #answer: AnswerWriter;
  readonly #prepared: Prepared;
  readonly #streams: readonly Stream[];

  constructor(store: Store, prepared: Prepared, answer: AnswerWriter) {
    this.#store = store;
    this.#answer = answer;
    this.#prepared = prepared;
    this.#streams = streamsOf(prepared);
  }

  /** Hands it to the committer, which settles it by `resolve` or `reject`. */
  enqueue(): void {
    const { events, conditions } = this.#prepared;
    this.#store.committer.enqueue({
      kind: 'append',
      streams: this.#streams,
      events,
      conditions,
      bytes: bytesOf(events),
      takenMs: performance.now(),
      settle: this,
    });
  }

  resolve(result: AppendResult): void {
    if (result.kind === 'present') void this.#settle(foundPresent(this.#store.table, result));
    else this.#finish(result);
  }

  reject(error: Error): void {
    if (error instanceof TerminalRefusal) {
      void this.#settle(terminalRefusal(this.#store.table, error));
      return;
    }
    this.#release();
    this.#answer.fail(error);
  }

  /** What stood in the way may have been deleted before it could be shown: then it is tried anew. */
  async #settle(finding: Promise<SettledAppend | Error | null>): Promise<void> {
    try {
      const found = await finding;
      if (found === null) this.enqueue();
      else if (found instanceof Error) this.reject(found);
      else this.#finish(found);
    } catch (error) {
      this.#release();
      this.#answer.fail(error);
    }
  }

  #finish(settled: SettledAppend): void {
    this.#release();
    answerAppend(this.#store.table, settled, this.#answer);
  }

  #release(): void {
    for (const stream of this.#streams) this.#store.table.release(stream);
  }
}

/** The streams of an append, each held once. */
export function streamsOf({ events }: Prepared): readonly Stream[] {
  const [first] = events;
  if (events.length === 1 && first !== undefined) return [first.stream];
  return [...new Set(events.map(({ stream }) => stream))];
}

function bytesOf(events: readonly PreparedEvent[]): number {
  let bytes = 0;
  for (const event of events) {
    bytes += (event.journal === 'turns' ? event.text : event.head).length + EVENT_OVERHEAD_BYTES;
  }
  return bytes;
}
