/** Redis Streams, with every append on disk before it is answered. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { start } from '../support/processes.js';
import { packageWithVersion, versionOfProgram } from '../support/versions.js';
import type { Append, BenchEvent, Following, Peer } from './peer.js';

const RETRY_MS = 20;
const TRIES = 500;

export const redis: Peer = {
  name: 'redis',
  title: 'Redis Streams',
  clientEnvironment: () => ({}),
  presence: async () => {
    const version = versionOfProgram('redis-server', / v=(\S+)/);
    if (version === null) return { missing: 'redis-server is not installed' };
    return { version: `${version}, ${packageWithVersion('ioredis')}` };
  },
  serve: async (folder, disk) => {
    const socket = join(folder, 'redis.sock');
    const settings = {
      port: '0',
      unixsocket: socket,
      dir: folder,
      appendonly: 'yes',
      appendfsync: 'always',
      save: '',
    };
    const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
    const server = start('redis-server', args, disk.environment);
    // What nobody reads would fill the pipe in the end.
    server.child.stdout?.resume();
    await answering(socket);
    return {
      target: { peer: 'redis', at: socket },
      pid: server.pid,
      [Symbol.asyncDispose]: () => server.end('SIGKILL'),
    };
  },
};

async function answering(socket: string): Promise<void> {
  const client = new Redis({ path: socket, lazyConnect: true, retryStrategy: () => null });
  client.on('error', () => undefined);
  for (let tries = 0; ; tries += 1) {
    try {
      await client.connect();
      break;
    } catch (error) {
      if (tries === TRIES) throw error;
      await sleep(RETRY_MS);
    }
  }
  client.disconnect();
}

export async function openRedis(socket: string): Promise<Append> {
  const client = new Redis({ path: socket, enableAutoPipelining: true });
  await client.ping();
  return (stream, event) => client.xadd(stream, '*', 'event', JSON.stringify(event));
}

/** Follows for as long as the process lives, by XREAD: each subscription needs a connection of its own. */
export async function followRedis(
  socket: string,
  { stream, subscriptions, onContent }: Following,
): Promise<void> {
  const clients = Array.from({ length: subscriptions }, () => new Redis({ path: socket }));
  const follow = async (client: Redis): Promise<void> => {
    const last = await client.xrevrange(stream, '+', '-', 'COUNT', 1);
    void consume(client, last[0]?.[0] ?? '0');
  };
  const consume = async (client: Redis, after: string): Promise<void> => {
    for (let from = after; ; ) {
      const answer = await client.xread('BLOCK', 0, 'STREAMS', stream, from);
      for (const [id, [, text]] of answer?.[0]?.[1] ?? []) {
        onContent((JSON.parse(text ?? '') as BenchEvent).content);
        from = id;
      }
    }
  };
  await Promise.all(clients.map(follow));
}
