/**
 * The room that large frames take while they come in. Each gets all of it before more of the frame
 * is read: so half-sent frames are bounded together, and whichever has room can be finished. One
 * that is not, while others wait for its room, is given up with its connection.
 *
 * @module
 */
import {
  DAEMON_GATHERED_BYTES_MAX,
  GATHERED_BYTES_FREE,
  GATHERING_TICK_MS,
  GATHERING_TICKS_MAX,
} from '../../shared/limits.js';

/** The room of the whole daemon. */
export class GatheringRoom {
  #used = 0;
  readonly #holders: Set<Gathering> = new Set();
  #waiting: Set<Gathering> = new Set();
  /** Runs while somebody waits. */
  #timer: NodeJS.Timeout | undefined;

  /** Whether there was room and is no more; if not, the frame is tried again when there is. */
  take(gathering: Gathering, bytes: number): boolean {
    if (this.#used >= DAEMON_GATHERED_BYTES_MAX) {
      this.#waiting.add(gathering);
      this.#timer ??= setInterval(() => this.#tick(), GATHERING_TICK_MS).unref();
      return false;
    }
    this.#used += bytes;
    this.#holders.add(gathering);
    return true;
  }

  /** The frame takes no room any more, and waits for none. */
  release(gathering: Gathering, bytes: number): void {
    this.#holders.delete(gathering);
    this.#waiting.delete(gathering);
    this.#used -= bytes;
    if (this.#used >= DAEMON_GATHERED_BYTES_MAX) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const one of waiting) setImmediate(() => one.retry());
  }

  #tick(): void {
    if (this.#waiting.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    for (const holder of this.#holders) holder.tick();
  }
}

/** The frame that one connection receives. */
export class Gathering {
  readonly #room: GatheringRoom;
  readonly #onLate: () => void;
  /** Called when there is room again, after there was none. */
  readonly retry: () => void;
  /** What it takes of the room; 0 where it needs none. */
  #bytes = 0;
  #isWaiting = false;
  /** Periods that others have waited for that room. */
  #ticks = 0;

  /** @param onLate called when the frame has to be given up */
  constructor(room: GatheringRoom, retry: () => void, onLate: () => void) {
    this.#room = room;
    this.retry = retry;
    this.#onLate = onLate;
  }

  /** Whether more of a frame of this length may be read. */
  mayGoOn(length: number): boolean {
    if (this.#bytes > 0 || length <= GATHERED_BYTES_FREE) return true;
    this.#isWaiting = !this.#room.take(this, length);
    if (this.#isWaiting) return false;
    this.#bytes = length;
    this.#ticks = 0;
    return true;
  }

  /** The frame is whole, or nobody wants the rest of it. */
  end(): void {
    if (this.#bytes === 0 && !this.#isWaiting) return;
    this.#room.release(this, this.#bytes);
    this.#bytes = 0;
    this.#isWaiting = false;
  }

  /** Another period is over in which somebody waited. */
  tick(): void {
    this.#ticks += 1;
    if (this.#ticks >= GATHERING_TICKS_MAX) this.#onLate();
  }
}
