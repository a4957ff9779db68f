/**
 * What clients asked and were answered, as the lines of their journals: a request is written
 * before it is sent, so that no kill can hide it.
 */
import { closeSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';

/** An event as it is asked for; its content is its id. */
export interface Wanted {
  readonly id: string;
  /** `turns/<session>` or `runs/<thread>`. */
  readonly stream: string;
  readonly run: string | null;
  /** `event` of a turn, `event_type` of a run. */
  readonly type: string;
  /** Bytes of padding. */
  readonly padding: number;
  /** The turn that it is of, where the client says so. */
  readonly turn?: string;
  /** The stream id by which it finds its turn. */
  readonly by?: string;
}

export type Operation =
  | 'append'
  | 'put'
  | 'absent'
  | 'delete'
  | 'read'
  /** A line by another program, or a file that another program removed. */
  | 'foreign'
  | 'remove';

export interface Request {
  readonly kind: 'request';
  /** One connection of one process. */
  readonly client: string;
  /** Counts the calls of the client. */
  readonly number: number;
  /** Microseconds of a clock that all processes of the machine share and that never jumps. */
  readonly at: number;
  readonly operation: Operation;
  readonly events: readonly Wanted[];
  readonly key?: string;
  readonly expectedSeq?: number;
  readonly unlessTerminal?: boolean;
  /** Of deletions, removals and reads. */
  readonly stream?: string;
  readonly run?: string | null;
  /** Of reads. */
  readonly afterSeq?: number;
  readonly limit?: number;
}

/** Where an event stands; `position` 0 where it was not told. */
export interface Place {
  readonly generation: number;
  readonly seq: number;
  readonly position: number;
  /** CRC-32 of the exact line; null where the event was deleted since. */
  readonly checksum: number | null;
}

/** An event that the daemon told of. */
export interface Row extends Place {
  readonly id: string;
}

export interface Answer {
  readonly kind: 'answer';
  readonly client: string;
  readonly number: number;
  readonly at: number;
  readonly outcome: 'acknowledged' | 'unknown' | 'not-committed';
  readonly code?: string;
  readonly message?: string;
  /** Of acknowledged appends and of reads; of a refusal, the event that it names. */
  readonly rows?: readonly Row[];
  /** Whether `putIfAbsent` made the event. */
  readonly created?: boolean;
  readonly duplicate?: boolean;
  /** Of deletions. */
  readonly count?: number;
  /** Of reads. */
  readonly generation?: number;
}

export type HistoryRecord = Request | Answer;

/** The time of the shared clock, in microseconds. */
export function now(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

/** Reads journals while they are written. */
export class HistoryReader {
  readonly #folder: string;
  readonly #offsets = new Map<string, number>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** What was written since the last call; a line that is half written waits for the next. */
  read(): HistoryRecord[] {
    return readdirSync(this.#folder)
      .filter((name) => name.endsWith('.ndjson'))
      .sort()
      .flatMap((name) => this.#readFile(name));
  }

  #readFile(name: string): HistoryRecord[] {
    const from = this.#offsets.get(name) ?? 0;
    const bytes = readFrom(join(this.#folder, name), from);
    const end = bytes.lastIndexOf('\n') + 1;
    this.#offsets.set(name, from + end);
    return bytes
      .subarray(0, end)
      .toString()
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as HistoryRecord);
  }
}

function readFrom(path: string, from: number): Buffer {
  const fd = openSync(path, 'r');
  try {
    const parts: Buffer[] = [];
    for (let offset = from; ; ) {
      const part = Buffer.alloc(256 * 1024);
      const count = readSync(fd, part, 0, part.length, offset);
      if (count === 0) return Buffer.concat(parts);
      parts.push(part.subarray(0, count));
      offset += count;
    }
  } finally {
    closeSync(fd);
  }
}
