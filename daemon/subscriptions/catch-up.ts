/**
 * Reading for subscriptions that are behind. The subscriptions of a connection take turns, a page
 * each, while its socket takes what they send; so none is starved, and what is read at once is
 * bounded for the whole daemon.
 *
 * @module
 */
import { CATCH_UP_PAGES_MAX } from '../../shared/limits.js';

/** Pages that one connection reads at the same time. */
const CONNECTION_PAGES_MAX = 4;

/** One that is behind. */
export interface PageReader {
  /** Reads and sends one page; takes another turn if it is still behind. */
  page(): Promise<void>;
}

/** The pages that the whole daemon may read at once. */
export class PageSlots {
  #free = CATCH_UP_PAGES_MAX;
  readonly #waiting: (() => void)[] = [];

  async take(): Promise<void> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}

/** The turns of one connection. */
export class CatchUp {
  readonly #slots: PageSlots;
  readonly #hasRoom: () => boolean;
  /** In the order in which they are served. */
  readonly #queue: Set<PageReader> = new Set();
  #running = 0;

  /** @param hasRoom whether the connection takes more; `resume` is to be called when it does again */
  constructor(slots: PageSlots, hasRoom: () => boolean) {
    this.#slots = slots;
    this.#hasRoom = hasRoom;
  }

  /** Gives a reader a turn behind all that wait. */
  add(reader: PageReader): void {
    this.#queue.add(reader);
    this.resume();
  }

  /** The reader is over, or no longer behind. */
  remove(reader: PageReader): void {
    this.#queue.delete(reader);
  }

  /** The connection may take more. */
  resume(): void {
    while (this.#running < CONNECTION_PAGES_MAX && this.#hasRoom()) {
      const [next] = this.#queue;
      if (next === undefined) return;
      this.#queue.delete(next);
      this.#running += 1;
      void this.#read(next);
    }
  }

  async #read(reader: PageReader): Promise<void> {
    await this.#slots.take();
    try {
      await reader.page();
    } finally {
      this.#slots.give();
      this.#running -= 1;
      this.resume();
    }
  }
}
