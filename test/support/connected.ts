/** A client whose peer is scripted by the test. */
import type { ExecutionContext } from 'ava';
import { connect, type EventLog } from '../../client/index.js';
import type { AnnouncedLimits } from '../../shared/protocol.js';
import { type RawConnection, type RawServer, startRawServer } from './raw-server.js';

export interface Scene {
  readonly server: RawServer;
  readonly peer: RawConnection;
  readonly log: EventLog;
}

export async function connected(
  t: ExecutionContext,
  options: { limits?: Partial<AnnouncedLimits>; timeoutMs?: number } = {},
): Promise<Scene> {
  const server = await startRawServer(t);
  const opening = connect({ socketPath: server.socketPath, timeoutMs: options.timeoutMs });
  const peer = await server.accept(options.limits);
  const log = await opening;
  t.teardown(() => log.close());
  return { server, peer, log };
}

/** Observes a promise so that its failure is no unhandled rejection. */
export function watch<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** Lets every callback that is due run. */
export async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
