/** The daemon that is fuzzed. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type DaemonProcess, startDaemonProcess } from '../../support/daemon.js';
import type { Scope } from '../../support/scope.js';

export interface FuzzedDaemon {
  /** The size of its segments, which its other sizes follow. */
  readonly segmentBytes: number;
  /** The `main.js` of another build. */
  readonly program?: string;
}

/** Runs a program in a scope of its own, which ends with it. */
export async function withScope<T>(program: (scope: Scope) => Promise<T>): Promise<T> {
  const ends: Parameters<Scope['teardown']>[0][] = [];
  try {
    return await program({ teardown: (end) => ends.push(end) });
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** Starts it on a directory of its own. */
export async function startFuzzedDaemon(
  scope: Scope,
  { segmentBytes, ...program }: FuzzedDaemon,
): Promise<DaemonProcess> {
  const folder = await mkdtemp('/tmp/ef-');
  scope.teardown(() => rm(folder, { recursive: true, force: true }));
  return await startDaemonProcess(scope, {
    dir: join(folder, 'd'),
    args: ['--log-level', 'error', '--segment-bytes', String(segmentBytes)],
    ...program,
  });
}
