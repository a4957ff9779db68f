/**
 * Every metric: its name, what it says, and where it is read. docs/operations.md has the same
 * table for people; a test compares them.
 *
 * @module
 */
import type { ErrorCode } from '../../shared/errors.js';
import type { Journal } from '../../shared/events.js';
import type { JournalCounts } from '../commit/commit-counts.js';
import { HEALTHS } from '../commit/health-table.js';
import type { DiskRoom } from '../storage/disk-room.js';
import type { Spread } from './distribution.js';
import type { Measures } from './measures.js';

/** What the metrics of one answer are read from. */
export interface Reading {
  readonly measures: Measures;
  readonly disk: DiskRoom;
  readonly process: {
    readonly cpuSeconds: number;
    readonly busySeconds: number;
    readonly residentBytes: number;
    readonly heapBytes: number;
    readonly startedSeconds: number;
  };
}

/** A value, or one for each value of the metric's label. */
type Values = number | readonly (readonly [label: string, value: number])[];

/** One metric. */
export type Metric = { readonly name: string; readonly help: string } & (
  | {
      readonly type: 'counter' | 'gauge';
      readonly label: string | null;
      readonly read: (reading: Reading) => Values;
    }
  | {
      readonly type: 'histogram';
      readonly label: null;
      readonly read: (reading: Reading) => Spread;
    }
);

type Plain = (reading: Reading) => number;
type Labelled = (reading: Reading) => Exclude<Values, number>;

const counter = (name: string, help: string, read: Plain): Metric => ({
  name: `eventlogd_${name}`,
  help,
  type: 'counter',
  label: null,
  read,
});
const gauge = (name: string, help: string, read: Plain): Metric => ({
  ...counter(name, help, read),
  type: 'gauge',
  label: null,
  read,
});
const counters = (named: readonly [string, string], help: string, read: Labelled): Metric => ({
  name: `eventlogd_${named[0]}`,
  help,
  type: 'counter',
  label: named[1],
  read,
});
const gauges = (named: readonly [string, string], help: string, read: Labelled): Metric => ({
  ...counters(named, help, read),
  type: 'gauge',
  label: named[1],
  read,
});
const histogram = (name: string, help: string, read: (reading: Reading) => Spread): Metric => ({
  name: `eventlogd_${name}`,
  help,
  type: 'histogram',
  label: null,
  read,
});

const byJournal =
  (of: keyof JournalCounts): Labelled =>
  ({ measures }) =>
    (['turns', 'runs'] as const).map((journal: Journal) => [
      journal,
      measures.store.commit.journals[journal][of],
    ]);

/** Codes that are shown from the start, so that the first refusal is seen as an increase. */
const NO_REFUSALS: ReadonlyMap<string, number> = new Map<ErrorCode, number>([
  ['STREAM_FENCED', 0],
  ['STORAGE_FULL', 0],
  ['STORAGE_FAILED', 0],
  ['OVERLOADED', 0],
  ['PROTOCOL', 0],
]);

/** Every metric, in the order in which they are shown. */
export const METRICS: readonly Metric[] = [
  gauges(['info', 'version'], 'The version that runs; always 1', ({ measures }) => [
    [measures.version, 1],
  ]),
  gauges(['health', 'state'], '1 for the present health, 0 for the others', ({ measures }) =>
    HEALTHS.map((state) => [state, measures.status.health === state ? 1 : 0]),
  ),
  counters(['appends_total', 'journal'], 'Appends that were acknowledged', byJournal('appends')),
  counters(['events_total', 'journal'], 'Events of acknowledged appends', byJournal('events')),
  counters(
    ['event_bytes_total', 'journal'],
    'Bytes of the lines in journal files',
    byJournal('bytes'),
  ),
  counters(['refusals_total', 'code'], 'Calls that were refused, by the error', ({ measures }) => [
    ...new Map([...NO_REFUSALS, ...measures.refusals]),
  ]),
  histogram(
    'ack_seconds',
    'From the taking of an append to its acknowledgement',
    ({ measures }) => measures.store.commit.ackSeconds,
  ),
  histogram(
    'log_fsync_seconds',
    'Syncs of the commit log',
    ({ measures }) => measures.store.commit.syncSeconds,
  ),
  histogram(
    'commit_events',
    'Events in one commit',
    ({ measures }) => measures.store.commit.commitEvents,
  ),
  histogram(
    'commit_bytes',
    'Bytes of one commit in the log',
    ({ measures }) => measures.store.commit.commitBytes,
  ),
  counters(['fsyncs_total', 'what'], 'Syncs, by what was synced', ({ measures }) =>
    Object.entries(measures.store.fsyncs),
  ),
  gauge(
    'commit_in_flight_seconds',
    'How long the present commit has been with the disk; 0 without one',
    ({ measures }) => measures.store.writingMs / 1000,
  ),
  gauge(
    'queue_operations',
    'Operations that wait to be committed',
    ({ measures }) => measures.store.queued,
  ),
  gauge('request_bytes', 'Bytes of requests in flight', ({ measures }) => measures.requestBytes),
  gauge('connections', 'Client connections', ({ measures }) => measures.connections),
  gauges(['subscriptions', 'state'], 'Open subscriptions, by what they do', ({ measures }) =>
    Object.entries(measures.subscriptions),
  ),
  counter(
    'pushed_events_total',
    'Events that were sent to subscribers',
    ({ measures }) => measures.store.pushed.sent,
  ),
  gauge('open_streams', 'Streams in memory', ({ measures }) => measures.store.openStreams),
  gauge(
    'open_streams_bytes',
    'Memory of the open streams, roughly',
    ({ measures }) => measures.open.bytes,
  ),
  gauge('streams', 'Streams that the catalog knows', ({ measures }) => measures.store.streams),
  counter(
    'stream_loads_total',
    'Streams that were read from their files',
    ({ measures }) => measures.store.loads,
  ),
  gauge(
    'fenced_streams',
    'Open streams that take no appends until they are repaired',
    ({ measures }) => measures.open.fenced,
  ),
  gauge(
    'malformed_lines',
    'Lines in the files of open streams that are no events',
    ({ measures }) => measures.open.malformedLines,
  ),
  counter(
    'foreign_events_total',
    'Events that other programs appended to files of open streams',
    ({ measures }) => measures.store.commit.adopted,
  ),
  counter(
    'foreign_changes_total',
    'Times that an open stream was read anew for a change by another program',
    ({ measures }) => measures.store.reloads,
  ),
  gauge('log_bytes', 'Size of the commit log on disk', ({ measures }) => measures.store.logBytes),
  gauge(
    'uncheckpointed_bytes',
    'Bytes of the commit log that no checkpoint covers',
    ({ measures }) => measures.store.checkpoint.uncoveredBytes,
  ),
  gauge(
    'checkpoint_age_seconds',
    'Age of the oldest write that no checkpoint covers; 0 without one',
    ({ measures }) => measures.store.checkpoint.ageMs / 1000,
  ),
  histogram(
    'checkpoint_seconds',
    'How long checkpoints took',
    ({ measures }) => measures.store.checkpoint.seconds,
  ),
  gauge(
    'disk_free_bytes',
    'Room left on the file system of the directory',
    ({ disk }) => disk.free,
  ),
  gauge('disk_size_bytes', 'Size of that file system', ({ disk }) => disk.size),
  gauge(
    'disk_reserve_bytes',
    'Room that appends leave free on it; 0 without a reserve',
    ({ measures }) => measures.store.room.reserve,
  ),
  counter(
    'process_cpu_seconds_total',
    'CPU time of the daemon, all threads',
    (reading) => reading.process.cpuSeconds,
  ),
  counter(
    'main_thread_busy_seconds_total',
    'Time in which the main thread was not idle',
    (reading) => reading.process.busySeconds,
  ),
  gauge(
    'process_resident_memory_bytes',
    'Memory of the daemon',
    (reading) => reading.process.residentBytes,
  ),
  gauge('process_heap_bytes', 'JavaScript heap in use', (reading) => reading.process.heapBytes),
  gauge(
    'process_start_time_seconds',
    'When the daemon started, since 1970',
    (reading) => reading.process.startedSeconds,
  ),
];
