/**
 * Appending many events in a pipeline.
 *
 * @module
 */
import type { InputLine } from './input-lines.js';

/** Events and bytes that are under way at once: enough to fill group commits, no more. */
const CALLS_MAX = 256;
const BYTES_MAX: number = 8 * 1024 * 1024;

/** What ended a run over the input. */
interface Failure {
  /** The line whose append failed; null if the input itself could not be read. */
  readonly line: number | null;
  readonly error: unknown;
}

/** How a run over the input ended. */
export interface AppendSummary {
  readonly appended: number;
  /** The first failure, if any. Lines that were under way then are counted if appended. */
  readonly failed: Failure | null;
}

/** A line that is under way. */
interface UnderWay<Event> {
  readonly line: InputLine;
  readonly result: Promise<Event>;
}

/** What to do with a line, and with its event. */
interface LineSteps<Event> {
  /** Starts the append of a line; throws where it can tell at once that the line is bad. */
  readonly append: (line: InputLine) => Promise<Event>;
  /** Shows an appended event. */
  readonly write: (event: Event) => Promise<void>;
}

/**
 * Appends each line, several under way at once, and hands the results on in input order. After the
 * first failure no more lines are read, and what is under way is waited for.
 */
export async function appendLines<Event>(
  lines: AsyncGenerator<InputLine>,
  steps: LineSteps<Event>,
): Promise<AppendSummary> {
  return await new LinePipeline(lines, steps).run();
}

/** Invariant: the lines under way are in input order, and within the two bounds. */
class LinePipeline<Event> {
  readonly #lines: AsyncGenerator<InputLine>;
  readonly #steps: LineSteps<Event>;
  readonly #underWay: UnderWay<Event>[] = [];
  #bytes = 0;
  #appended = 0;
  #failed: Failure | null = null;
  #isReading = true;
  /** The read that waits for the input, if one does. */
  #next: Promise<IteratorResult<InputLine>> | null = null;

  constructor(lines: AsyncGenerator<InputLine>, steps: LineSteps<Event>) {
    this.#lines = lines;
    this.#steps = steps;
  }

  async run(): Promise<AppendSummary> {
    while (this.#isReading) {
      if (await this.#mayRead()) await this.#startNext();
      else await this.#settleOldest();
    }
    // A read that is still waiting is given up with the program.
    this.#next?.catch(() => {});
    while (this.#underWay.length > 0) await this.#settleOldest();
    return { appended: this.#appended, failed: this.#failed };
  }

  /** Whether there is room, and input sooner than the oldest result: a slow input holds none back. */
  async #mayRead(): Promise<boolean> {
    if (this.#underWay.length >= CALLS_MAX || this.#bytes >= BYTES_MAX) return false;
    this.#next ??= this.#lines.next();
    const [oldest] = this.#underWay;
    return oldest === undefined || (await isFirst(this.#next, oldest.result));
  }

  async #startNext(): Promise<void> {
    let line: InputLine | null = null;
    try {
      const read = await (this.#next ?? this.#lines.next());
      this.#next = null;
      if (read.done === true) {
        this.#isReading = false;
        return;
      }
      line = read.value;
      const result = this.#steps.append(line);
      result.catch(() => {
        this.#isReading = false;
      });
      this.#underWay.push({ line, result });
      this.#bytes += line.bytes.length;
    } catch (error) {
      this.#fail(line?.number ?? null, error);
    }
  }

  async #settleOldest(): Promise<void> {
    const oldest = this.#underWay.shift();
    if (oldest === undefined) return;
    let event: Event;
    try {
      event = await oldest.result;
    } catch (error) {
      this.#fail(oldest.line.number, error);
      return;
    } finally {
      this.#bytes -= oldest.line.bytes.length;
    }
    this.#appended += 1;
    await this.#steps.write(event);
  }

  /** The failure that is told is the first in the input, not the first in time. */
  #fail(line: number | null, error: unknown): void {
    this.#isReading = false;
    const place = line ?? Number.POSITIVE_INFINITY;
    if (this.#failed === null || place < (this.#failed.line ?? Number.POSITIVE_INFINITY)) {
      this.#failed = { line, error };
    }
  }
}

/** Whether one promise settles before another, however they end. */
async function isFirst(one: Promise<unknown>, other: Promise<unknown>): Promise<boolean> {
  return await Promise.race([
    one.then(
      () => true,
      () => true,
    ),
    other.then(
      () => false,
      () => false,
    ),
  ]);
}
