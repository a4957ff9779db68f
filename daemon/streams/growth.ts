/**
 * Takes in what other programs append to the files of open streams, a step of bounded size at a
 * time, while appends go on. Whatever is more than growth is for a reading of the whole stream
 * to decide.
 *
 * One adoption of a stream runs at a time, and takes what was there when it began.
 *
 * @module
 */
import { EventLogError } from '../../shared/errors.js';
import {
  ADOPTION_BYTES_MAX,
  ADOPTION_FILES_MAX,
  BATCH_EVENTS_MAX,
  FILE_NAME_LENGTH_MAX,
} from '../../shared/limits.js';
import type { Lane } from '../commit/lanes.js';
import type { Adoption, Operation } from '../commit/operations.js';
import type { ScanResult, ScanTask } from '../workers/scan.worker.js';
import { lookAt } from './freshness.js';
import type { JournalFile } from './journal-file.js';
import { byCodeUnit } from './load.js';
import type { FileTail, Stream } from './stream.js';
import type { Tail } from './tail.js';

/** What a logged event takes beside its line, at most, in bytes. */
const EVENT_OVERHEAD_BYTES = FILE_NAME_LENGTH_MAX + 32;

export interface GrowthOptions {
  readonly scanLane: Lane<ScanTask, ScanResult>;
  readonly commitBytesMax: number;
  readonly enqueue: (operation: Operation) => void;
  /** Keeps a stream open, and lets it go. */
  readonly hold: (stream: Stream) => void;
  readonly release: (stream: Stream) => void;
  readonly reload: (stream: Stream) => void;
  /** An adoption is done: what waited for it may go on. */
  readonly onPass: () => void;
  readonly onReport: (message: string, facts: object) => void;
}

interface Pass {
  readonly running: Promise<void>;
  next: Promise<void> | null;
}

/** The adoptions that are under way. */
export class Growth {
  readonly #options: GrowthOptions;
  readonly #passes: Map<Stream, Pass> = new Map();

  constructor(options: GrowthOptions) {
    this.#options = options;
  }

  /** The number of the adoption that will have taken in all that is there now. */
  next(stream: Stream): number {
    return stream.passes + (this.#passes.has(stream) ? 2 : 1);
  }

  /** Takes in all that is there now; an adoption that began before may have missed some of it. */
  adopt(stream: Stream): Promise<void> {
    const pass = this.#passes.get(stream);
    if (pass === undefined) return this.#start(stream);
    pass.next ??= pass.running.then(() => this.#start(stream));
    return pass.next;
  }

  #start(stream: Stream): Promise<void> {
    const { hold, release, onPass, onReport } = this.#options;
    hold(stream);
    const running = this.#run(stream)
      .catch((error: unknown) => {
        // What cannot be taken in now stays in its file, and is met again with the next look.
        if (!(error instanceof EventLogError)) throw error;
        onReport('content of other programs could not be adopted', {
          stream: stream.key,
          reason: error.message,
        });
      })
      .finally(() => {
        if (this.#passes.get(stream)?.next === null) this.#passes.delete(stream);
        stream.passes += 1;
        release(stream);
        onPass();
      });
    this.#passes.set(stream, { running, next: null });
    return running;
  }

  async #run(stream: Stream): Promise<void> {
    if (!isOpenForAdoption(stream)) return;
    const { action, grown } = lookAt(stream);
    // What a stream that does not exist begins with is no growth of it.
    const isTooMuch = grown.length > ADOPTION_FILES_MAX || stream.generation === 0;
    if (action === 'reload' || (grown.length > 0 && isTooMuch)) return this.#options.reload(stream);
    if (grown.length === 0) return;
    for (;;) {
      const came = await this.#step(stream, grown);
      if (came === 'reload') this.#options.reload(stream);
      if (came !== 'more') return;
    }
  }

  /** Takes in as much as one step may. */
  async #step(
    stream: Stream,
    grown: readonly { readonly file: JournalFile; readonly size: number }[],
  ): Promise<Adoption | 'more'> {
    const { commitBytesMax } = this.#options;
    const files = grown
      .map(({ file, size }) => ({ file, mark: file.mark, to: size }))
      .filter(({ mark, to }) => mark.length < to)
      .sort((a, b) => byCodeUnit(a.file.name, b.file.name));
    if (files.length === 0) return 'adopted';
    const room = commitBytesMax / 2;
    const result = await this.#options.scanLane.run({
      kind: 'tails',
      task: {
        journal: stream.name.journal,
        folder: stream.folder,
        parts: files.map(({ mark, to }) => ({ mark, to })),
        bytesMax: Math.ceil(Math.min(ADOPTION_BYTES_MAX, room) / files.length),
        eventsMax: Math.ceil(
          Math.min(BATCH_EVENTS_MAX, room / EVENT_OVERHEAD_BYTES) / files.length,
        ),
      },
    });
    if (result.kind !== 'tails') throw new Error('the scan lane answered another task');
    // A file that cannot be read, or was written anew, is no growth.
    if (!result.result.ok || result.result.value === null) return 'reload';
    const tails = result.result.value.map((tail, at): FileTail & Tail => ({
      ...tail,
      file: (files[at] as { readonly file: JournalFile }).file,
    }));
    const bytes = tails.reduce((sum, tail) => sum + tail.bytes.length + overhead(tail), 0);
    const more = tails.some((tail) => tail.more);
    // The lines of several files are numbered together, so they are taken in together or not here.
    if (bytes > commitBytesMax || (more && tails.length > 1)) return 'reload';
    for (const { file, identity } of tails) file.identity ??= identity;
    const isReplaced = tails.some(
      ({ file: { identity: known }, identity: { dev, ino } }) =>
        known?.dev !== dev || known.ino !== ino,
    );
    if (isReplaced) return 'reload';
    const came = await this.#commit(stream, tails, bytes);
    return came === 'adopted' && more ? 'more' : came;
  }

  #commit(stream: Stream, tails: readonly FileTail[], bytes: number): Promise<Adoption> {
    return new Promise((resolve, reject) => {
      this.#options.enqueue({
        kind: 'adoptLines',
        streams: [stream],
        tails,
        bytes,
        settle: { resolve, reject },
      });
    });
  }
}

/** Whether foreign lines can be told from ours: those that wait for room have no place yet. */
export function isOpenForAdoption(stream: Stream): boolean {
  return stream.state.kind === 'ready' && stream.files.every(({ behind }) => behind === null);
}

function overhead({ scan }: FileTail): number {
  return scan.rows.count * EVENT_OVERHEAD_BYTES;
}
