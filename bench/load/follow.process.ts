/**
 * A client process that follows a stream, by one subscription or many, and tells how long after
 * its append each event arrived. Its parent speaks to it over IPC; without it, it ends.
 */
import { followEventlogd } from '../peers/eventlogd.js';
import type { Target } from '../peers/peer.js';
import { followRedis } from '../peers/redis.js';
import { monotonicMs } from '../support/clock.js';
import type { Followed, Ready } from './load-messages.js';

/** What the process is told, as JSON in its first argument. */
export interface FollowPlan {
  readonly target: Target;
  readonly stream: string;
  readonly subscriptions: number;
}

const { target, stream, subscriptions } = JSON.parse(process.argv[2] ?? '') as FollowPlan;
let delaysMs: number[] = [];
let awaited = Number.POSITIVE_INFINITY;

const onContent = (content: string): void => {
  delaysMs.push(monotonicMs() - Number(content.slice(0, content.indexOf(' '))));
  if (delaysMs.length >= awaited) tell();
};
const follow = target.peer === 'redis' ? followRedis : followEventlogd;
await follow(target.at, { stream, subscriptions, onContent });
process.on('message', (events: number) => {
  awaited = events * subscriptions;
  if (delaysMs.length >= awaited) tell();
});
process.on('disconnect', () => process.exit());
const ready: Ready = { kind: 'ready' };
process.send?.(ready);

/** All that was awaited has come. */
function tell(): void {
  const followed: Followed = { kind: 'followed', delaysMs: Float64Array.from(delaysMs) };
  delaysMs = [];
  awaited = Number.POSITIVE_INFINITY;
  process.send?.(followed);
}
