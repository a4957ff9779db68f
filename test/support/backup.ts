/** Backups as a client in this process asks for them, and what a daemon on one says that it holds. */
import { rmSync } from 'node:fs';
import type { ExecutionContext } from 'ava';
import { openClient } from '../../client/connect.js';
import type { EventLog } from '../../client/index.js';
import type { WireBackup, WireBackupProgress } from '../../shared/protocol.js';
import { startDaemonProcess } from './daemon.js';
import { client } from './faults.js';
import { offlineCommand } from './offline.js';

/** A request for a backup on a connection of its own. */
export interface BackupRequest {
  readonly done: Promise<WireBackup>;
  /** Ends the connection without waiting for an answer. */
  readonly leave: () => void;
}

/** Asks the daemon of a directory for a backup. */
export async function requestBackup(
  dir: string,
  folder: string,
  onProgress?: (progress: WireBackupProgress) => void,
): Promise<BackupRequest> {
  const { log, connection } = await openClient({ dir, timeoutMs: 1 });
  const leaving = new AbortController();
  const answer = connection.submit(
    { type: 'backup', folder },
    { onProgress, signal: leaving.signal },
  );
  const done = (async () => {
    try {
      const { backup } = await answer;
      if (backup === undefined) throw new Error('answered without a backup');
      return backup;
    } finally {
      await log.close();
    }
  })();
  done.catch(() => undefined);
  return { done, leave: () => leaving.abort() };
}

/** The seqs and contents of every stream that a daemon holds, by its journal and id. */
export async function contentsOf(log: EventLog): Promise<ReadonlyMap<string, readonly string[]>> {
  const streams = new Map<string, readonly string[]>();
  const shown = (event: { readonly seq: number; readonly content?: unknown }): string =>
    `${event.seq} ${String(event.content)}`;
  for (const id of await log.turns.sessionIds()) {
    const { events } = await log.turns.read(id);
    streams.set(
      `turns/${id}`,
      events.map((event) => shown(event as never)),
    );
  }
  for (const id of await log.runs.threadIds()) {
    const events = await log.runs.listMessages(id, { limit: Number.MAX_SAFE_INTEGER });
    streams.set(`runs/${id}`, events.map(shown));
  }
  return streams;
}

/** Starts a daemon on a backup, reads all of it, and verifies it when the daemon has stopped. */
export async function restored(
  t: ExecutionContext,
  folder: string,
): Promise<ReadonlyMap<string, readonly string[]>> {
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const daemon = await startDaemonProcess(t, { dir: folder });
  const log = await client(t, folder);
  const contents = await contentsOf(log);
  await log.close();
  t.is(await daemon.stop(), 0);
  const verified = await offlineCommand(folder, ['verify']);
  t.is(verified.code, 0, JSON.stringify(verified.rows));
  // Deleted runs leave gaps, and others' lines stand where they were written. Nothing else is to be
  // told, and recovery had nothing to mend.
  t.deepEqual(
    verified.rows.filter(({ kind }) => kind !== 'seq-gap' && kind !== 'seq-order'),
    [],
  );
  t.notRegex(daemon.output(), /"what":"(?!adopted)/);
  return contents;
}
