/**
 * SQLite in WAL mode with synchronous=FULL, one table for all streams, a dense seq in each. What
 * a process has in flight goes into one transaction, so it has a group commit too.
 */
import { join } from 'node:path';
import type { DatabaseSyncInstance } from '@photostructure/sqlite';
import { packageWithVersion } from '../support/versions.js';
import type { Append, Peer } from './peer.js';

const BUSY_MS = 30_000;
const SCHEMA = `CREATE TABLE IF NOT EXISTS events
  (stream TEXT, seq INTEGER, text TEXT, PRIMARY KEY (stream, seq)) WITHOUT ROWID`;
const INSERT = `INSERT INTO events
  SELECT ?1, coalesce(max(seq), 0) + 1, ?2 FROM events WHERE stream = ?1 RETURNING seq`;

interface Waiting {
  readonly stream: string;
  readonly text: string;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export const sqlite: Peer = {
  name: 'sqlite',
  title: 'SQLite WAL',
  clientEnvironment: (disk) => disk.environment,
  presence: async () => {
    try {
      const database = await open(':memory:');
      const row = database.prepare('SELECT sqlite_version() AS version').get();
      database.close();
      const { version } = row as { readonly version: string };
      return { version: `${version}, ${packageWithVersion('@photostructure/sqlite')}` };
    } catch (error) {
      return { missing: `its driver does not run here: ${String(error)}` };
    }
  },
  serve: async (folder) => {
    const path = join(folder, 'events.db');
    const database = await open(path);
    database.exec(SCHEMA);
    database.close();
    return {
      target: { peer: 'sqlite', at: path },
      pid: null,
      [Symbol.asyncDispose]: async () => undefined,
    };
  },
};

/** The driver is native: where there is none for a platform, only this peer is left out. */
async function open(path: string): Promise<DatabaseSyncInstance> {
  const driver = await import('@photostructure/sqlite');
  const database = new driver.DatabaseSync(path);
  database.exec(
    `PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL`,
  );
  return database;
}

export async function openSqlite(path: string): Promise<Append> {
  const database = await open(path);
  const insert = database.prepare(INSERT);
  let waiting: Waiting[] = [];
  const commit = (): void => {
    const batch = waiting;
    waiting = [];
    try {
      database.exec('BEGIN IMMEDIATE');
      for (const { stream, text } of batch) insert.get(stream, text);
      database.exec('COMMIT');
      for (const { resolve } of batch) resolve();
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  };
  return (stream, event) =>
    new Promise<void>((resolve, reject) => {
      if (waiting.length === 0) setImmediate(commit);
      waiting.push({ stream, text: JSON.stringify(event), resolve, reject });
    });
}
