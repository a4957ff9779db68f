/**
 * How much room is left on the directory's file system, and what that means for appends. It is
 * measured once a second, after a write that found no room, and sooner where what was committed
 * since may have brought it near a limit: never while anybody waits for it.
 *
 * @module
 */
import {
  ROOM_CHECK_MS,
  type RoomLimits,
  roomLimits,
  SEGMENT_FILL_BYTES,
  SEGMENT_FILL_BYTES_MIN,
} from '../../shared/limits.js';
import { type DiskRoom, diskRoomOf } from '../storage/disk-room.js';
import { type RoomHealth, roomAfter } from './health-table.js';

/** What a byte of the log may take on the disk: it is in a journal file, too. */
const DISK_BYTES_PER_LOG_BYTE = 2;
/** A step of filling ahead takes at most this part of the room above the reserve. */
const FILL_PARTS = 8;
const PAGE_BYTES = 4096;
const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

export interface RoomWatchOptions {
  /** A folder on the file system. */
  readonly folder: string;
  /** The reserve that was asked for; 0 for none. */
  readonly reserveBytes: number;
  /** Bytes of the log that were written so far. */
  readonly writtenBytes: () => number;
  /** Told of each look. */
  readonly onRoom: (health: RoomHealth, reason: string) => void;
}

/** What was measured last. */
export interface MeasuredRoom extends DiskRoom {
  /** The room below which appends are refused; 0 where they never are for it. */
  readonly reserve: number;
}

/** Watches the room of a file system. */
export class RoomWatch {
  readonly #options: RoomWatchOptions;
  #room: DiskRoom = { size: 0, free: 0 };
  #limits: RoomLimits = roomLimits(0, 0);
  #health: RoomHealth = 'ok';
  #writtenWhenMeasured = 0;
  #isDue = false;
  #looking: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: RoomWatchOptions) {
    this.#options = options;
  }

  /** What was measured last. */
  get room(): MeasuredRoom {
    return { ...this.#room, reserve: this.#limits.fullBelowBytes };
  }

  /**
   * How much the log may be filled ahead in one step. Less where little is left, so that no step
   * leaps over the warning, or takes the reserve for appends.
   */
  get fillBytes(): number {
    const reserve = this.#limits.fullBelowBytes;
    if (reserve === 0) return SEGMENT_FILL_BYTES;
    const part = (this.#room.free - reserve) / FILL_PARTS;
    const bytes = Math.floor(part / PAGE_BYTES) * PAGE_BYTES;
    return Math.min(SEGMENT_FILL_BYTES, Math.max(SEGMENT_FILL_BYTES_MIN, bytes));
  }

  /** Measures, and goes on with it. */
  async start(): Promise<void> {
    await this.look();
    this.#timer = setInterval(() => void this.look(), ROOM_CHECK_MS).unref();
  }

  /** Something was committed: what is left may be near a limit now. */
  wrote(): void {
    const { fullBelowBytes, lowBelowBytes } = this.#limits;
    if (this.#health === 'disk-full' || fullBelowBytes === 0) return;
    const limit = this.#health === 'ok' ? lowBelowBytes : fullBelowBytes;
    // The open segment and the spare may have been filled meanwhile.
    const left = this.#room.free - limit - 2 * this.fillBytes;
    const written = this.#options.writtenBytes() - this.#writtenWhenMeasured;
    if (written * DISK_BYTES_PER_LOG_BYTE >= left / 2) void this.look();
  }

  /** Measures; a measurement that runs already is followed by another. */
  look(): Promise<void> {
    this.#isDue = true;
    this.#looking ??= this.#lookWhileDue();
    return this.#looking;
  }

  /** Measures no more. */
  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  async #lookWhileDue(): Promise<void> {
    while (this.#isDue && !this.#isClosed) {
      this.#isDue = false;
      await this.#measure();
    }
    // In the same step as the last look at what is due: nobody's wish is missed.
    this.#looking = null;
  }

  async #measure(): Promise<void> {
    const { folder, reserveBytes, writtenBytes, onRoom } = this.#options;
    const written = writtenBytes();
    let room: DiskRoom;
    try {
      room = await diskRoomOf(folder);
    } catch {
      // What was known holds until the file system answers; writing shows what is wrong with it.
      return;
    }
    if (this.#isClosed) return;
    this.#room = room;
    this.#writtenWhenMeasured = written;
    this.#limits = roomLimits(room.size, reserveBytes);
    this.#health = roomAfter(this.#health, room.free, this.#limits);
    onRoom(this.#health, this.#reason());
  }

  #reason(): string {
    const { free, size } = this.#room;
    const { fullBelowBytes, fullUntilBytes, lowUntilBytes } = this.#limits;
    const left = `${bytesText(free)} of ${bytesText(size)} are free`;
    const reserve = `the reserve of ${bytesText(fullBelowBytes)}`;
    switch (this.#health) {
      case 'ok':
        return '';
      case 'disk-low':
        return `${left}; appends are refused once only ${reserve} is left, this warning ends at ${bytesText(lowUntilBytes)}`;
      case 'disk-full':
        return `${left}, and ${reserve} is kept for deletions and for what is committed already; appends are taken again from ${bytesText(fullUntilBytes)} on`;
      default:
        return this.#health satisfies never;
    }
  }
}

/** A size for people. */
function bytesText(bytes: number): string {
  const power = bytes < 1 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** power;
  return `${value.toFixed(power === 0 ? 0 : 1)} ${UNITS[power]}`;
}
