/** This project: the daemon as it is shipped, through its client. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connect, type TurnEvent } from '../../client/index.js';
import { type Running, start } from '../support/processes.js';
import type { Append, Following, Peer } from './peer.js';

const PROGRAM = fileURLToPath(new URL('../../daemon/main.js', import.meta.url));
const PACKAGE = new URL('../../../package.json', import.meta.url);

export interface RunningDaemon extends Running {
  readonly dir: string;
}

/** Starts a daemon and waits until it listens. */
export async function startDaemon(
  dir: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<RunningDaemon> {
  const args = [PROGRAM, 'start', '--dir', dir, '--json', '--log-level', 'warn'];
  const daemon = start(process.execPath, args, environment);
  const { stdout } = daemon.child;
  if (stdout === null) throw new Error('the daemon has no standard output');
  const ended = once(daemon.child, 'exit').then(() => {
    throw new Error(`the daemon did not start: ${daemon.errors()}`);
  });
  await Promise.race([once(createInterface({ input: stdout }), 'line'), ended]);
  ended.catch(() => undefined);
  return { ...daemon, dir };
}

export const eventlogd: Peer = {
  name: 'eventlogd',
  title: 'eventlogd',
  clientEnvironment: () => ({}),
  presence: async () => {
    const { version } = JSON.parse(readFileSync(PACKAGE, 'utf8')) as { readonly version: string };
    return { version };
  },
  serve: async (folder, disk) => {
    const daemon = await startDaemon(join(folder, 'd'), disk.environment);
    return {
      target: { peer: 'eventlogd', at: daemon.dir },
      pid: daemon.pid,
      [Symbol.asyncDispose]: () => daemon.end('SIGTERM'),
    };
  },
};

export async function openEventlogd(dir: string): Promise<Append> {
  const log = await connect({ dir });
  return (stream, event) => log.turns.append(stream, { ...event });
}

/** Follows for as long as the process lives. */
export async function followEventlogd(
  dir: string,
  { stream, subscriptions, onContent }: Following,
): Promise<void> {
  const log = await connect({ dir });
  const follow = async (): Promise<void> => {
    const subscription = log.turns.subscribe(stream, { after: 'now' });
    void consume(subscription);
    await subscription.caughtUp();
  };
  const consume = async (events: AsyncIterable<TurnEvent>): Promise<void> => {
    for await (const event of events) onContent(String(event['content']));
  };
  await Promise.all(Array.from({ length: subscriptions }, follow));
}
