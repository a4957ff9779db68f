/** SIGTERM and SIGINT under load: what was accepted is answered, and nothing is left to redo. */
import test, { type ExecutionContext } from 'ava';
import { startDaemonProcess } from '../support/daemon.js';
import { readSession, readThread } from '../support/journal-files.js';
import { checkStream, Writers } from '../support/writers.js';

const stops = test.macro(
  async (t: ExecutionContext, first: NodeJS.Signals, second: NodeJS.Signals) => {
    const daemon = await startDaemonProcess(t);
    const { dir } = daemon;
    const plan = { dir, threadId: 't', sessionId: 's', appends: null, window: 16 };
    const writers = new Writers(t, 4, plan);
    writers.grant(200);
    await writers.answers(100);
    daemon.process.kill(first);
    daemon.process.kill(second);
    t.is(await daemon.kill(second), 0, daemon.output());
    const told = [...writers.outcomes];
    checkStream(
      t,
      readThread(dir, 't'),
      told.filter(({ journal }) => journal === 'runs'),
    );
    checkStream(
      t,
      readSession(dir, 's'),
      told.filter(({ journal }) => journal === 'turns'),
    );

    const next = await startDaemonProcess(t, { dir });
    t.regex(next.output(), /"clean":true/);
    await writers.stop();
    t.is(await next.stop(), 0);
    const [turns, runs] = (['turns', 'runs'] as const).map((name) =>
      writers.outcomes.filter(({ journal }) => journal === name),
    );
    checkStream(t, readSession(dir, 's'), turns ?? []);
    checkStream(t, readThread(dir, 't'), runs ?? []);
    // The daemon answers all that it took, refuses what came too late, and closes when its clients
    // have heard: no call ends without an answer, and none is answered but once.
    const unanswered = writers.outcomes.filter(({ outcome }) => outcome !== 'acked');
    t.deepEqual(unanswered, []);
  },
);

test('SIGTERM under load, SIGINT after it', stops, 'SIGTERM', 'SIGINT');
test('SIGINT under load, SIGTERM after it', stops, 'SIGINT', 'SIGTERM');

test('SIGTERM and a new start, 5 times over under load: no call of a client fails', async (t) => {
  let daemon = await startDaemonProcess(t);
  const { dir } = daemon;
  const plan = { dir, threadId: 't', sessionId: 's', appends: null, window: 16 };
  const writers = new Writers(t, 4, plan);
  for (let restart = 0; restart < 5; restart += 1) {
    writers.grant(100);
    await writers.answers(100);
    t.is(await daemon.stop(), 0, daemon.output());
    daemon = await startDaemonProcess(t, { dir });
  }
  await writers.stop();
  t.is(await daemon.stop(), 0);
  const [turns, runs] = (['turns', 'runs'] as const).map((name) =>
    writers.outcomes.filter(({ journal }) => journal === name),
  );
  checkStream(t, readSession(dir, 's'), turns ?? []);
  checkStream(t, readThread(dir, 't'), runs ?? []);
  t.is(writers.acked, writers.outcomes.length);
});
