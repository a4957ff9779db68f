/**
 * What eventlogd replaces: each event opens its file, appends under a lock on it, syncs file and
 * folder, and closes.
 */
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { waitForLock } from 'fs-native-extensions';
import type { Append, Peer } from './peer.js';

/** Threads for one process's appends: each may wait for a lock, and more are needed to free it. */
const THREADS = 96;

export const oldWay: Peer = {
  name: 'old-way',
  title: 'the old way',
  clientEnvironment: (disk) => ({ ...disk.environment, UV_THREADPOOL_SIZE: String(THREADS) }),
  presence: async () => ({ version: 'node:fs' }),
  serve: async (folder) => {
    const journal = join(folder, '_turn_journal');
    await mkdir(journal);
    return {
      target: { peer: 'old-way', at: journal },
      pid: null,
      [Symbol.asyncDispose]: async () => undefined,
    };
  },
};

export async function openOldWay(journal: string): Promise<Append> {
  return async (stream, event) => {
    const file = await open(join(journal, `${stream}.jsonl`), 'a', 0o600);
    try {
      await waitForLock(file.fd);
      await file.write(`${JSON.stringify(event)}\n`);
      await file.sync();
    } finally {
      // Closing gives the lock back.
      await file.close();
    }
    const folder = await open(journal, 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  };
}
