/** Redis Streams, with every append on disk before it is answered. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { start, versionOf } from '../support/processes.js';
import type { Appender, Peer } from './peer.js';

const RETRY_MS = 20;
const TRIES = 500;

export const redis: Peer = {
  name: 'redis',
  title: 'Redis Streams',
  clientEnvironment: () => ({}),
  presence: async () => {
    const version = versionOf('redis-server', / v=(\S+)/);
    return version === null ? { missing: 'redis-server is not installed' } : { version };
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

export async function openRedis(socket: string): Promise<Appender> {
  const client = new Redis({ path: socket, enableAutoPipelining: true });
  await client.ping();
  return {
    append: (stream, event) => client.xadd(stream, '*', 'event', JSON.stringify(event)),
    close: async () => {
      await client.quit();
    },
  };
}
