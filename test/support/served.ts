/** A daemon that serves, and a client of it. */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { EventLog } from '../../client/index.js';
import { type DaemonProcess, makeFolder, startDaemonProcess } from './daemon.js';
import { FaultShim } from './fault-shim/fault-shim.js';
import { client } from './faults.js';

export interface Served {
  readonly daemon: DaemonProcess;
  readonly dir: string;
  readonly log: EventLog;
}

export async function served(t: ExecutionContext): Promise<Served> {
  const daemon = await startDaemonProcess(t);
  return { daemon, dir: daemon.dir, log: await client(t, daemon.dir) };
}

/** The same, with a shim between the daemon and its disk and clock. */
export async function servedUnderShim(
  t: ExecutionContext,
): Promise<Served & { readonly shim: FaultShim }> {
  const folder = await makeFolder(t);
  const shim = await FaultShim.make(folder);
  t.teardown(() => shim.close());
  const dir = join(folder, 'd');
  const daemon = await startDaemonProcess(t, { dir, env: shim.env });
  return { daemon, dir, log: await client(t, dir), shim };
}
