/**
 * A client process: appends with some calls in flight for as long as it is told, and tells how
 * long each took. Its parent speaks to it over IPC; when the parent is gone it ends.
 */
import { openBare } from '../peers/bare.js';
import { openEventlogd } from '../peers/eventlogd.js';
import { openOldWay } from '../peers/old-way.js';
import type { Appender, Target } from '../peers/peer.js';
import { openRedis } from '../peers/redis.js';
import { openSqlite } from '../peers/sqlite.js';
import type { LoadOrder, LoadReply } from './load-messages.js';

const CONTENT = 'The quick brown fox jumps over the lazy dog. '.repeat(5).slice(0, 200);

const target = JSON.parse(process.argv[2] ?? '') as Target;
const appender = await open(target);
process.on('message', (order: LoadOrder) => void load(order).then(reply));
process.on('disconnect', () => void appender.close());
reply({ kind: 'ready' });

function open({ peer, at }: Target): Promise<Appender> {
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

function reply(message: LoadReply): void {
  process.send?.(message);
}

async function load({ seconds, inFlight, streams, offset }: LoadOrder): Promise<LoadReply> {
  const latencies: number[] = [];
  const ends: number[] = [];
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  const beganAt = monotonicMs();
  const deadline = began + seconds * 1000;
  let next = offset;
  const loop = async (): Promise<void> => {
    for (let now = performance.now(); now < deadline; now = performance.now()) {
      const at = next % streams;
      next += 1;
      await appender.append(`s${at}`, { event: 'token', turn_id: `turn-${at}`, content: CONTENT });
      const end = performance.now();
      latencies.push(end - now);
      ends.push(end - began + beganAt);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
  const { user, system } = process.cpuUsage(cpuBefore);
  return {
    kind: 'done',
    latenciesMs: Float64Array.from(latencies),
    endsMs: Float64Array.from(ends),
    seconds: (performance.now() - began) / 1000,
    cpuSeconds: (user + system) / 1e6,
  };
}

/** A clock that all processes of the machine share. */
function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
