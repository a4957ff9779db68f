/**
 * The end of the commit log: where the next frame goes, and that there is room for it.
 *
 * Room is filled with zeros before a frame is written into it, so a commit never waits for the
 * file system to allocate, and a full disk shows before anything is at stake. A little of the
 * filled room is kept for deletions, so that a full disk can be emptied through the daemon.
 *
 * Invariants: header ≤ cursor ≤ filledTo; frames are written at the cursor only; at most one
 * fill runs, and only above every byte that a frame may take.
 *
 * @module
 */
import { closeSync, constants, existsSync, openSync } from 'node:fs';
import { DELETE_RESERVE_BYTES, SEGMENT_FILL_BYTES_MIN } from '../../shared/limits.js';
import { encodeFileHeader, FILE_HEADER_BYTES } from '../storage/frame-format.js';
import { FORMAT_VERSION, type Layout, segmentPath } from '../storage/layout.js';
import type { Failure, Result } from '../workers/failure.js';
import type { SegmentResult, SegmentTask } from '../workers/segment.worker.js';
import type { Lane } from './lanes.js';

/** A segment that takes no more frames. */
export interface ClosedSegment {
  readonly number: number;
  readonly path: string;
  readonly firstPosition: number;
  readonly bytes: number;
}

interface OpenSegment extends ClosedSegment {
  readonly fd: number;
  cursor: number;
  filledTo: number;
}

/** What the log is opened with. */
export interface LogTailOptions {
  readonly layout: Layout;
  readonly lane: Lane<SegmentTask, SegmentResult>;
  readonly segmentBytes: number;
  /** How much is filled ahead in one step: less where the disk has little room. */
  readonly fillBytes: () => number;
  readonly epoch: number;
  /** The last position of the log so far. */
  readonly lastPosition: number;
  /** Segments of earlier starts, in order. */
  readonly closed: readonly ClosedSegment[];
  /** Told of background work that failed to sync: nothing may go on then. */
  readonly onFailure: (failure: Failure) => void;
}

/** The end of the commit log. */
export class LogTail {
  readonly #options: LogTailOptions;
  readonly #closed: ClosedSegment[];
  #segment: OpenSegment | null = null;
  #lastNumber: number;
  #lastPosition: number;
  #filling: Promise<Failure | null> | null = null;
  #sparing: Promise<Failure | null> | null = null;
  /** Bytes of frames that this daemon wrote. */
  bytesWritten = 0;

  constructor(options: LogTailOptions) {
    this.#options = options;
    this.#closed = [...options.closed];
    this.#lastPosition = options.lastPosition;
    this.#lastNumber = options.closed.at(-1)?.number ?? 0;
  }

  /** The segments that could be deleted, oldest first. */
  get closed(): readonly ClosedSegment[] {
    return this.#closed;
  }

  /** All segments, oldest first. */
  get segments(): readonly Pick<ClosedSegment, 'path' | 'firstPosition'>[] {
    return this.#segment === null ? this.#closed : [...this.#closed, this.#segment];
  }

  /** All segments, oldest first, and how far they hold frames that are durable. */
  get extents(): readonly Pick<ClosedSegment, 'path' | 'bytes'>[] {
    const closed = this.#closed.map(({ path, bytes }) => ({ path, bytes }));
    if (this.#segment === null) return closed;
    const { path, cursor } = this.#segment;
    return [...closed, { path, bytes: cursor }];
  }

  /** The first position of the segment that is written to, or null before there is one. */
  get openSince(): number | null {
    return this.#segment?.firstPosition ?? null;
  }

  /** Bytes of the log on disk. */
  get bytesOnDisk(): number {
    return this.#closed.reduce((sum, { bytes }) => sum + bytes, 0) + (this.#segment?.filledTo ?? 0);
  }

  /**
   * Makes room for a frame; null when there is room.
   *
   * @param length the frame's length in bytes
   * @param firstPosition its first position, for a segment that begins with it
   * @param useReserve whether it may take the room kept for deletions
   */
  async reserve(
    length: number,
    firstPosition: number,
    useReserve: boolean,
  ): Promise<Failure | null> {
    const { segmentBytes } = this.#options;
    const current = this.#segment;
    if (
      current === null ||
      (current.cursor + length > segmentBytes && current.cursor > FILE_HEADER_BYTES)
    ) {
      const failure = await this.#roll(firstPosition);
      if (failure !== null) return failure;
    }
    const segment = this.#segment as OpenSegment;
    const needed = segment.cursor + length + (useReserve ? 0 : DELETE_RESERVE_BYTES);
    while (segment.filledTo < needed) {
      const failure = await this.#fill(segment, needed);
      if (failure !== null) return segment.filledTo >= needed ? null : failure;
    }
    return null;
  }

  /** Where the next frame is to be written. */
  place(): { readonly fd: number; readonly at: number; readonly path: string } {
    const { fd, cursor, path } = this.#segment as OpenSegment;
    return { fd, at: cursor, path };
  }

  /** A frame was written and synced. */
  advance(length: number, lastPosition: number): void {
    this.#lastPosition = lastPosition;
    const segment = this.#segment as OpenSegment;
    segment.cursor += length;
    this.bytesWritten += length;
    const ahead = segment.filledTo - segment.cursor;
    const { fillBytes, segmentBytes } = this.#options;
    if (ahead < fillBytes() / 2 && segment.filledTo < segmentBytes) {
      void this.#fill(segment, segment.filledTo + 1);
    }
  }

  /** A frame was refused and taken off again, with all that lay behind it. */
  retreat(): void {
    const segment = this.#segment as OpenSegment;
    segment.filledTo = segment.cursor;
  }

  /**
   * Closes a segment that holds nothing which is still needed, so that it can be deleted: the
   * way out where a file cannot grow.
   */
  abandon(): void {
    const segment = this.#segment;
    if (segment === null || segment.cursor === FILE_HEADER_BYTES || this.#filling !== null) return;
    this.#segment = null;
    this.#closed.push(this.#closedForm(segment));
    closeSync(segment.fd);
  }

  /** Deletes the oldest segments; they must hold nothing that is still needed. */
  async remove(count: number): Promise<Failure | null> {
    const removed = this.#closed.splice(0, count);
    if (removed.length === 0) return null;
    return failureIn(
      await this.#options.lane.run({ kind: 'remove', paths: removed.map(({ path }) => path) }),
    );
  }

  /**
   * Waits for background work and closes the segment.
   *
   * @param cut whether the room that was filled ahead is given back
   */
  async close(cut: boolean): Promise<void> {
    await this.#filling;
    await this.#sparing;
    const segment = this.#segment;
    this.#segment = null;
    if (segment === null) return;
    if (cut) await this.#seal(segment);
    else closeSync(segment.fd);
  }

  /** Makes the next segment's file ahead of time. */
  async prepareSpare(): Promise<Failure | null> {
    const { layout, lane, segmentBytes, fillBytes } = this.#options;
    if (existsSync(layout.spare)) return null;
    const bytes = Math.min(fillBytes(), segmentBytes);
    this.#sparing ??= lane
      .run({ kind: 'spare', path: layout.spare, bytes, bytesMin: SEGMENT_FILL_BYTES_MIN })
      .then((result) => this.#settled(result))
      .finally(() => {
        this.#sparing = null;
      });
    return await this.#sparing;
  }

  async #roll(firstPosition: number): Promise<Failure | null> {
    const { layout, lane, epoch } = this.#options;
    const spared = await this.prepareSpare();
    if (spared !== null) return spared;
    await this.#filling;
    const old = this.#segment;
    const number = this.#lastNumber + 1;
    const path = segmentPath(layout, number);
    const header = encodeFileHeader({
      kind: 'EVLOGSEG',
      format: FORMAT_VERSION,
      number,
      firstPosition,
      epoch,
      follows: this.#lastPosition,
    });
    const activated = await lane.run({ kind: 'activate', spare: layout.spare, path, header });
    if (!activated.ok) return this.#settled(activated);
    const fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
    this.#lastNumber = number;
    this.#segment = {
      number,
      path,
      firstPosition,
      bytes: 0,
      fd,
      cursor: FILE_HEADER_BYTES,
      filledTo: activated.value,
    };
    if (old !== null) await this.#seal(old);
    void this.prepareSpare();
    return null;
  }

  async #seal(segment: OpenSegment): Promise<void> {
    const { fd, path, cursor } = segment;
    // Whoever reads the log meanwhile must not miss what is in it.
    this.#closed.push(this.#closedForm(segment));
    this.#settled(await this.#options.lane.run({ kind: 'seal', fd, path, length: cursor }));
    closeSync(fd);
  }

  #closedForm({ number, path, firstPosition, cursor }: OpenSegment): ClosedSegment {
    return { number, path, firstPosition, bytes: cursor };
  }

  #fill(segment: OpenSegment, needed: number): Promise<Failure | null> {
    if (this.#filling !== null) return this.#filling;
    const { lane, segmentBytes, fillBytes } = this.#options;
    const from = segment.filledTo;
    const step = Math.max(from + fillBytes(), needed);
    const to = needed > segmentBytes ? needed : Math.min(step, Math.max(segmentBytes, needed));
    this.#filling = lane
      .run({
        kind: 'fill',
        fd: segment.fd,
        path: segment.path,
        from,
        needed: Math.min(needed, to),
        to,
      })
      .then((result) => {
        if (result.ok && segment.filledTo === from) segment.filledTo = result.value;
        return this.#settled(result);
      })
      .finally(() => {
        this.#filling = null;
      });
    return this.#filling;
  }

  #settled(result: Result<number>): Failure | null {
    const failure = failureIn(result);
    if (failure?.phase === 'sync') this.#options.onFailure(failure);
    return failure;
  }
}

function failureIn(result: Result<number>): Failure | null {
  return result.ok ? null : result.failure;
}
