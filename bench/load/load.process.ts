/**
 * A client process: appends with some calls in flight for as long as it is told, and tells how
 * long each took. Its parent speaks to it over IPC; when the parent is gone it ends.
 */
import { openBare } from '../peers/bare.js';
import { openEventlogd } from '../peers/eventlogd.js';
import { openOldWay } from '../peers/old-way.js';
import type { Append, Target } from '../peers/peer.js';
import { openRedis } from '../peers/redis.js';
import { openSqlite } from '../peers/sqlite.js';
import { monotonicMs } from '../support/clock.js';
import type { LoadDone, LoadOrder, Ready } from './load-messages.js';

const target = JSON.parse(process.argv[2] ?? '') as Target;
const append = await open(target);
process.on('message', (order: LoadOrder) => void load(order).then(reply));
process.on('disconnect', () => process.exit());
reply({ kind: 'ready' });

function open({ peer, at }: Target): Promise<Append> {
  switch (peer) {
    case 'eventlogd':
      return openEventlogd(at);
    case 'redis':
      return openRedis(at);
    case 'sqlite':
      return openSqlite(at);
    case 'old-way':
      return openOldWay(at);
    case 'bare':
      return openBare(at);
  }
}

function reply(message: Ready | LoadDone): void {
  process.send?.(message);
}

async function load(order: LoadOrder): Promise<LoadDone> {
  const { firstStream, streams, contentBytes } = order;
  const filler = 'The quick brown fox jumps over the lazy dog. '.repeat(contentBytes / 45 + 1);
  const latencies: number[] = [];
  const ends: number[] = [];
  const cpuBefore = process.cpuUsage();
  const began = monotonicMs();
  const deadline = began + order.seconds * 1000;
  let next = order.offset;
  const loop = async (): Promise<void> => {
    for (let now = began; now < deadline; ) {
      const at = firstStream + (next % streams);
      next += 1;
      now = monotonicMs();
      // A follower reads from the content when its append began.
      const content = `${now} ${filler}`.slice(0, contentBytes);
      await append(`s${at}`, { event: 'token', turn_id: `turn-${at}`, content });
      const end = monotonicMs();
      latencies.push(end - now);
      ends.push(end);
      now = end;
    }
  };
  await Promise.all(Array.from({ length: order.inFlight }, loop));
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    kind: 'done',
    latenciesMs: Float64Array.from(latencies),
    endsMs: Float64Array.from(ends),
    seconds: (monotonicMs() - began) / 1000,
    cpuSeconds: (user + system) / 1e6,
  };
}
