/** Many processes at once: one order for all, and far fewer fsyncs than appends. */
import test from 'ava';
import { connect } from '../../client/index.js';
import { startDaemonProcess } from '../support/daemon.js';
import { journalPaths, readEvents, readSession, readThread } from '../support/journal-files.js';
import { checkStream, Writers } from '../support/writers.js';

const PROCESSES = Number(process.env['EVENTLOGD_TEST_PROCESSES'] ?? 8);
const APPENDS = Number(process.env['EVENTLOGD_TEST_APPENDS'] ?? 1_000);

test('8 processes × 1,000 appends on one thread and one session: one dense order, few fsyncs', async (t) => {
  const daemon = await startDaemonProcess(t);
  const plan = { dir: daemon.dir, threadId: 't', sessionId: 's', appends: APPENDS, window: 32 };
  const writers = new Writers(t, PROCESSES, plan);
  await writers.ended();
  const log = await connect({ dir: daemon.dir });
  t.teardown(() => log.close());

  const stats = await log.stats();
  t.is(writers.acked, PROCESSES * APPENDS * 2);
  t.is(stats.appends, writers.acked);
  t.true(stats.fsyncs.log < stats.appends / 4, `${stats.fsyncs.log} fsyncs of the log`);

  const [runs, turns] = (['runs', 'turns'] as const).map((name) =>
    writers.outcomes.filter(({ journal }) => journal === name),
  );
  const thread = readThread(daemon.dir, 't');
  const session = readSession(daemon.dir, 's');
  checkStream(t, thread, runs ?? []);
  checkStream(t, session, turns ?? []);
  t.is(session.length, PROCESSES * APPENDS);
  t.is(thread.length, stats.events - session.length);
  for (const path of journalPaths(daemon.dir)) {
    const seqs = readEvents(daemon.dir, path).map(({ seq }) => seq);
    t.deepEqual(
      seqs,
      [...seqs].sort((a, b) => a - b),
      `${path} is not in seq order`,
    );
  }
  const served = await log.runs.listMessages('t', { limit: thread.length + 1 });
  t.deepEqual(
    served.map(({ seq, content }) => [seq, content]),
    [...thread].sort((a, b) => a.seq - b.seq).map(({ seq, content }) => [seq, content]),
  );
  t.is(await daemon.stop(), 0);
});
