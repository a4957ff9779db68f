/**
 * The metrics as Prometheus reads them. Nothing is counted here: all is read when it is asked for.
 *
 * @module
 */
import { Registry, type Metric as RegistryMetric } from 'prom-client';
import { diskRoomOf } from '../storage/disk-room.js';
import type { Spread } from './distribution.js';
import type { Measures } from './measures.js';
import { METRICS, type Metric, type Reading } from './metric-table.js';

/** One line of an answer. */
interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  /** Where it is not the metric's own. */
  readonly metricName?: string;
}

/** The metrics of one daemon. */
export class Exposition {
  readonly contentType: string;
  readonly #registry: Registry = new Registry();
  readonly #measure: () => Measures;
  readonly #dir: string;

  /** @param dir the folder whose file system is looked at */
  constructor(dir: string, measure: () => Measures) {
    this.#dir = dir;
    this.#measure = measure;
    this.contentType = this.#registry.contentType;
  }

  /** The metrics as they are now. */
  async text(): Promise<string> {
    const disk = await diskRoomOf(this.#dir);
    const reading = { measures: this.#measure(), disk, process: processReading() };
    this.#registry.clear();
    for (const metric of METRICS) this.#register(metric, reading);
    return await this.#registry.metrics();
  }

  #register(metric: Metric, reading: Reading): void {
    const { name, help, type } = metric;
    const samples = samplesOf(metric, reading);
    // The registry asks a metric for nothing else; its own classes would count a second time.
    const get = async (): Promise<object> => ({ name, help, type, values: samples });
    this.#registry.registerMetric({ name, get } as unknown as RegistryMetric);
  }
}

function samplesOf(metric: Metric, reading: Reading): readonly Sample[] {
  if (metric.type === 'histogram') return histogramSamples(metric.name, metric.read(reading));
  const values = metric.read(reading);
  if (typeof values === 'number') return [{ labels: {}, value: values }];
  return values.map(([of, value]) => ({ labels: { [metric.label ?? '']: of }, value }));
}

function histogramSamples(name: string, { bounds, counts, sum }: Spread): Sample[] {
  let count = 0;
  const buckets = counts.map((of, at) => {
    count += of;
    return { labels: { le: bounds[at] ?? '+Inf' }, value: count, metricName: `${name}_bucket` };
  });
  return [
    ...buckets,
    { labels: {}, value: sum, metricName: `${name}_sum` },
    { labels: {}, value: count, metricName: `${name}_count` },
  ];
}

function processReading(): Reading['process'] {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  return {
    cpuSeconds: (user + system) / 1e6,
    busySeconds: performance.eventLoopUtilization().active / 1000,
    residentBytes: rss,
    heapBytes: heapUsed,
    startedSeconds: performance.timeOrigin / 1000,
  };
}
