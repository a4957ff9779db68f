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
    const unanswered = writers.outcomes.filter(({ outcome }) => outcome !== 'acked');
    t.deepEqual(unanswered, []);
    t.is(await next.stop(), 0);
    const turns = writers.outcomes.filter(({ journal }) => journal === 'turns');
    checkStream(t, readSession(dir, 's'), turns);
    t.is(readSession(dir, 's').length, turns.length);
  },
);

test('SIGTERM under load, SIGINT after it', stops, 'SIGTERM', 'SIGINT');
test('SIGINT under load, SIGTERM after it', stops, 'SIGINT', 'SIGTERM');
