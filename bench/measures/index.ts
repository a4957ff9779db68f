/** All measures, in the order in which they run. */
import type { Measure } from '../measure.js';
import { appendLatency } from './append-latency.js';
import { appendThroughput } from './append-throughput.js';

export const MEASURES: readonly Measure[] = [appendLatency, appendThroughput];
