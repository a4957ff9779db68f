/** Reads, and appends that have to show an event, of streams that are deleted at the same time. */
import { rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { connect, detailsOf, type EventLog, TurnTerminalError } from '../../../client/index.js';
import type { WireRow } from '../../../shared/protocol.js';
import { type DaemonProcess, startDaemonProcess } from '../../support/daemon.js';
import { client, sessionFile } from '../../support/faults.js';
import { type Message, RawConnection } from '../../support/raw-server.js';

const COMPLETED = { event: 'completed', turn_id: 't' };
const STREAMS = 25;
const READS = 40;
const run = (threadId: string) => ({
  thread_id: threadId,
  run_id: 'r',
  event_type: 'e',
  category: 'message',
});

/** A daemon that has met none of these streams yet, so that it opens their files for each read. */
async function restarted(
  t: ExecutionContext,
  fill: (log: EventLog, id: string) => Promise<unknown>,
): Promise<{ readonly daemon: DaemonProcess; readonly log: EventLog }> {
  const first = await startDaemonProcess(t);
  const writer = await connect({ dir: first.dir });
  await Promise.all(ids.map((id) => fill(writer, id)));
  await writer.close();
  await first.stop();
  const daemon = await startDaemonProcess(t, { dir: first.dir });
  return { daemon, log: await client(t, daemon.dir) };
}

const ids = Array.from({ length: STREAMS }, (_, at) => `s${at}`);
const many = <T>(ask: () => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: READS }, ask));

test('a session is there or not, and never half deleted', async (t) => {
  const { log } = await restarted(t, (writer, id) =>
    writer.turns.append(id, { event: 'submitted' }),
  );
  for (const id of ids) {
    const asked = many(async () => {
      const { events } = await log.turns.read(id);
      t.true(events.length <= 1);
      const { states } = await log.turns.states(id);
      t.true(Object.keys(states).length <= 1);
      const pending = await log.turns.pending({ sessionId: id });
      t.true(pending.length <= 1);
    });
    t.is(await log.turns.delete(id), 1);
    await asked;
    t.deepEqual((await log.turns.read(id)).events, []);
  }
  t.deepEqual(await log.turns.pending(), []);
});

test('the turns of all sessions, while sessions are deleted', async (t) => {
  const { log } = await restarted(t, (writer, id) =>
    writer.turns.append(id, { event: 'submitted' }),
  );
  let left = STREAMS;
  const asked = many(async () => {
    const before = left;
    t.true((await log.turns.pending()).length <= before);
  });
  for (const id of ids) {
    await log.turns.delete(id);
    left -= 1;
  }
  await asked;
  t.deepEqual(await log.turns.pending(), []);
});

test('a thread is there or not, and never half deleted', async (t) => {
  const { log } = await restarted(t, (writer, id) => writer.runs.put(run(id)));
  for (const id of ids) {
    const asked = many(async () => {
      t.true((await log.runs.listMessages(id)).length <= 1);
      t.true((await log.runs.listEvents(id, 'r')).length <= 1);
    });
    t.is(await log.runs.deleteByRun(id, 'r'), 1);
    await asked;
  }
});

test('an event that is in the way of an append is shown, or is not in its way', async (t) => {
  const { log } = await restarted(t, async (writer, id) => {
    await writer.runs.put(run(id));
    await writer.turns.append(id, COMPLETED, { idempotencyKey: 'k' });
  });
  for (const id of ids) {
    const puts = many(() => log.runs.putIfAbsent(run(id)));
    const deleted = log.runs.deleteByThread(id);
    for (const { event } of await puts) t.like(event, run(id));
    t.true((await deleted) >= 1);
    const keyed = many(() => log.turns.append(id, COMPLETED, { idempotencyKey: 'k' }));
    const others = many(async () => {
      try {
        await log.turns.append(id, { event: 'token', turn_id: 't' }, { unlessTerminal: true });
      } catch (error) {
        if (!(error instanceof TurnTerminalError)) throw error;
        t.like(error.event, COMPLETED);
      }
    });
    t.true((await log.turns.delete(id)) >= 1);
    await others;
    t.true((await keyed).every((event) => detailsOf(event).duplicate));
  }
});

for (const [what, remove] of [
  ['is deleted and begins anew', async (log: EventLog) => void (await log.turns.delete('s0'))],
  ['loses its file', async (_: EventLog, dir: string) => rmSync(sessionFile(dir, 's0'))],
] as const) {
  test(`a page of a session that ${what} while it is sent restarts`, async (t) => {
    // More than daemon and sockets hold of it while nobody reads.
    const content = 'x'.repeat(1024 * 1024);
    const { daemon, log } = await restarted(t, async (writer, id) => {
      if (id !== 's0') return;
      for (let seq = 1; seq <= 8; seq += 1)
        await writer.turns.append(id, { event: 'old', content });
    });
    const wire = new RawConnection(createConnection({ path: daemon.socketPath }));
    t.teardown(() => wire.socket.destroy());
    wire.send({ type: 'hello', protocolMin: 1, protocolMax: 1, clientId: 'ab'.repeat(16) });
    await wire.next();
    wire.send({ type: 'turns.read', id: 1, sessionId: 's0' });
    t.is((await wire.next())['restart'], undefined);
    wire.socket.pause();
    await remove(log, daemon.dir);
    await log.turns.append('s0', { event: 'new' });
    wire.socket.resume();
    const answer: Message[] = [];
    do answer.push(await wire.next());
    while (answer.at(-1)?.['more'] === true);
    const restart = answer.findIndex((frame) => frame['restart'] === true);
    t.not(restart, -1);
    const rows = answer.slice(restart).flatMap((frame) => (frame['rows'] ?? []) as WireRow[]);
    t.is(rows.length, 1);
    t.is(
      (JSON.parse(Buffer.from(rows[0]?.text ?? []).toString()) as { event: string }).event,
      'new',
    );
  });
}
