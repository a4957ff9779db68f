/** All measures, in the order in which they run. */
import type { Measure } from '../measure.js';
import { appendLatency } from './append-latency.js';
import { appendThroughput } from './append-throughput.js';
import { boot } from './boot.js';
import { checkpoints } from './checkpoints.js';
import { firstTouch } from './first-touch.js';
import { live } from './live.js';
import { memory } from './memory.js';
import { pages } from './pages.js';
import { recovery } from './recovery.js';
import { subscribers } from './subscribers.js';
import { turnStates } from './turn-states.js';
import { watching } from './watching.js';

export const MEASURES: readonly Measure[] = [
  appendLatency,
  appendThroughput,
  checkpoints,
  live,
  subscribers,
  pages,
  firstTouch,
  memory,
  boot,
  recovery,
  turnStates,
  watching,
];
