/** What a measure is, and what it is given. */
import type { Comparison } from './comparison.js';
import type { Disk } from './support/disk.js';

/** How long, how often and over how much to measure. */
export interface Scale {
  readonly name: 'quick' | 'full';
  readonly repetitions: number;
  /** Of turns whose length is that of their work: starts, recoveries, whole threads. */
  readonly longRepetitions: number;
  /** Length of one contestant's turn in one repetition. */
  readonly sliceSeconds: number;
  /** Length of a turn before the first one that counts: code has to be compiled. */
  readonly warmUpSeconds: number;
  /** Events of the thread that is large. */
  readonly largeThreadEvents: number;
  /** Sessions in the directories that a daemon boots with, ascending. */
  readonly bootSessions: readonly number[];
  /** Sessions whose turns are asked for. */
  readonly sessions: number;
}

export interface Bench {
  readonly scale: Scale;
  /** A new folder on the disk that is measured; it goes when the measure ends. */
  readonly newFolder: () => Promise<string>;
  /** The folder with these data, made at its first use; it goes when all measures are done. */
  readonly dataSet: (name: string, make: (folder: string) => Promise<void>) => Promise<string>;
  /** Says what goes on. */
  readonly say: (text: string) => void;
  /** Says that something is not measured, and why; it stands in the report too. */
  readonly skip: (what: string, why: string) => void;
  /** The disks to measure on: as it is, and slower where that can be had. */
  readonly disks: readonly Disk[];
}

export interface Measure {
  readonly name: string;
  readonly description: string;
  readonly run: (bench: Bench) => Promise<readonly Comparison[]>;
}
