/** The least that durable costs: one process, one growing file, write and fdatasync. */
import { fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Append, Peer } from './peer.js';

export const bare: Peer = {
  name: 'bare',
  title: 'bare write + fdatasync',
  clientEnvironment: (disk) => disk.environment,
  presence: async () => ({ version: 'node:fs' }),
  serve: async (folder) => ({
    target: { peer: 'bare', at: join(folder, 'bare.jsonl') },
    pid: null,
    [Symbol.asyncDispose]: async () => undefined,
  }),
};

export async function openBare(path: string): Promise<Append> {
  const fd = openSync(path, 'a', 0o600);
  return async (_stream, event) => {
    writeSync(fd, `${JSON.stringify(event)}\n`);
    fdatasyncSync(fd);
  };
}
