/** Reads, and appends that have to show an event, of streams that are deleted at the same time. */
import test, { type ExecutionContext } from 'ava';
import { connect, detailsOf, type EventLog, TurnTerminalError } from '../../../client/index.js';
import { startDaemonProcess } from '../../support/daemon.js';

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
): Promise<EventLog> {
  const first = await startDaemonProcess(t);
  const log = await connect({ dir: first.dir });
  await Promise.all(ids.map((id) => fill(log, id)));
  await log.close();
  await first.stop();
  await startDaemonProcess(t, { dir: first.dir });
  const again = await connect({ dir: first.dir });
  t.teardown(() => again.close());
  return again;
}

const ids = Array.from({ length: STREAMS }, (_, at) => `s${at}`);
const many = <T>(ask: () => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: READS }, ask));

test('a session is there or not, and never half deleted', async (t) => {
  const log = await restarted(t, (writer, id) => writer.turns.append(id, { event: 'submitted' }));
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
  const log = await restarted(t, (writer, id) => writer.turns.append(id, { event: 'submitted' }));
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
  const log = await restarted(t, (writer, id) => writer.runs.put(run(id)));
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
  const log = await restarted(t, async (writer, id) => {
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
