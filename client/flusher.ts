/**
 * Moving calls from the request table to the socket.
 *
 * @module
 */
import type { Link } from './link.js';
import type { RequestTable } from './request-table.js';

/** Bytes that are gathered for one write. */
const WRITE_BYTES = 64 * 1024;

/** One flush a tick: calls made in the same turn of the event loop share a write. */
export class Flusher {
  readonly #table: RequestTable;
  readonly #currentLink: () => Link | null;
  #isDue = false;
  #frames: Uint8Array[] = [];

  /** @param currentLink the link that calls may be written to now, if there is one */
  constructor(table: RequestTable, currentLink: () => Link | null) {
    this.#table = table;
    this.#currentLink = currentLink;
  }

  /** Sees to it that what may be sent is sent, before the event loop goes on. */
  request(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    process.nextTick(() => {
      this.#isDue = false;
      const link = this.#currentLink();
      // What a full socket holds back goes when it drains.
      while (link?.isWritable && this.#writeNext(link));
      const frames = this.#frames;
      this.#frames = [];
      if (frames.length > 0) link?.write(Buffer.concat(frames));
    });
  }

  /** Sends a frame behind the calls of this tick, over the present link or not at all. */
  add(frame: Uint8Array): void {
    this.#frames.push(frame);
    this.request();
  }

  /** Writes as many calls as one write should hold; false if there was none. */
  #writeNext(link: Link): boolean {
    const frames: Uint8Array[] = [];
    let bytes = 0;
    while (bytes < WRITE_BYTES) {
      const frame = this.#table.takeNext();
      if (frame === null) break;
      frames.push(frame);
      bytes += frame.length;
    }
    const [first] = frames;
    if (first === undefined) return false;
    link.write(frames.length === 1 ? first : Buffer.concat(frames, bytes));
    return true;
  }
}
