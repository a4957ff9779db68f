/** What a run did and found, in a line. Pure. */
import type { Finding } from './ledger.js';

export interface RunReport {
  readonly seeds: readonly number[];
  /** How long it took. */
  readonly seconds: number;
  readonly acts: number;
  readonly requests: number;
  readonly acknowledged: number;
  readonly refused: number;
  readonly unknown: number;
  /** How often everything was read and compared after the daemon had died. */
  readonly recoveries: number;
  /** How often each kind was done, and how often it could not be. */
  readonly faults: Readonly<Record<string, number>>;
  readonly skipped: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
  /** What is kept. */
  readonly folders: readonly string[];
}

/** The reports of several runs as one. */
export function sumOf(reports: readonly RunReport[]): RunReport {
  const sum = (count: (report: RunReport) => number): number =>
    reports.reduce((all, report) => all + count(report), 0);
  return {
    seeds: reports.flatMap(({ seeds }) => seeds),
    seconds: sum(({ seconds }) => seconds),
    acts: sum(({ acts }) => acts),
    requests: sum(({ requests }) => requests),
    acknowledged: sum(({ acknowledged }) => acknowledged),
    refused: sum(({ refused }) => refused),
    unknown: sum(({ unknown }) => unknown),
    recoveries: sum(({ recoveries }) => recoveries),
    faults: countsOf(reports.map(({ faults }) => faults)),
    skipped: countsOf(reports.map(({ skipped }) => skipped)),
    findings: reports.flatMap(({ findings }) => findings),
    folders: reports.flatMap(({ folders }) => folders),
  };
}

/** All of it in one line. */
export function lineOf(report: RunReport): string {
  const { seeds, seconds, acts, recoveries, findings, folders, skipped } = report;
  const { requests, acknowledged, refused, unknown } = report;
  const parts = [
    `${acts} acts in ${Math.round(seconds)} s`,
    `${requests} requests (${acknowledged} acknowledged, ${refused} refused, ${unknown} unknown)`,
    `${recoveries} recoveries`,
    `faults: ${listOf(report.faults)}`,
    ...(Object.keys(skipped).length === 0 ? [] : [`skipped: ${listOf(skipped)}`]),
    `${findings.length} findings`,
    ...(folders.length === 0 ? [] : [`kept: ${folders.join(' ')}`]),
  ];
  const name = seeds.length === 1 ? `seed ${seeds[0]}` : `${seeds.length} seeds`;
  return `torture: ${name}: ${parts.join('; ')}`;
}

function listOf(counts: Readonly<Record<string, number>>): string {
  const kinds = Object.keys(counts).sort();
  return kinds.length === 0 ? 'none' : kinds.map((kind) => `${kind} ${counts[kind]}`).join(', ');
}

function countsOf(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const counts of all)
    for (const [kind, count] of Object.entries(counts)) sums[kind] = (sums[kind] ?? 0) + count;
  return sums;
}
