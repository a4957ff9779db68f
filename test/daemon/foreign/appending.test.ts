/** Another program appends to a session's file in a tight loop while clients append through the daemon. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { EventLog, TurnEvent } from '../../../client/index.js';
import { startDaemonProcess } from '../../support/daemon.js';
import { client, eventually, sessionFile, testWith } from '../../support/faults.js';
import { appendFromPython } from '../../support/foreign.js';
import { readSession } from '../../support/journal-files.js';
import { checkStream, Writers } from '../../support/writers.js';

interface Load {
  readonly foreign: number;
  readonly padding: number;
  readonly appends: number;
}

/** Everything of the session, once it is all there. */
async function whole(log: EventLog, count: number): Promise<readonly TurnEvent[]> {
  await eventually(
    async () => (await log.turns.head('s')).seq,
    (seq) => seq >= count,
  );
  return (await log.turns.read('s')).events;
}

async function sharedSession(t: ExecutionContext, load: Load): Promise<void> {
  const daemon = await startDaemonProcess(t);
  const { dir } = daemon;
  const log = await client(t, dir);
  // The stream is open before the others begin.
  await log.turns.append('s', { event: 'token', content: 'own-1-0' });
  const writers = new Writers(t, 4, {
    dir,
    threadId: 't',
    sessionId: 's',
    appends: load.appends,
    window: 8,
  });
  const path = sessionFile(dir, 's');
  await Promise.all([
    appendFromPython({ path, count: load.foreign, padding: load.padding }),
    writers.ended(),
  ]);
  const count = 1 + load.foreign + 4 * load.appends;
  const events = await whole(log, count);
  t.is(events.length, count);
  t.deepEqual((await log.turns.read('s')).malformed, []);
  const outcomes = writers.outcomes.filter(({ journal }) => journal === 'turns');
  t.true(outcomes.every(({ outcome }) => outcome === 'acked'));
  checkStream(t, events, outcomes);
  const lines = readSession(dir, 's');
  t.is(new Set(lines.map(({ content }) => content)).size, count);
  t.is(lines.length, count);

  const numbering = new Map(events.map(({ content, seq }) => [content, seq]));
  const { generation } = await log.turns.head('s');
  for (const end of ['SIGKILL', 'SIGTERM'] as const) {
    const running = end === 'SIGKILL' ? daemon : await startDaemonProcess(t, { dir });
    await running.kill(end);
    const again = await startDaemonProcess(t, { dir });
    const reader = await client(t, dir);
    const later = await reader.turns.read('s');
    t.deepEqual(new Map(later.events.map(({ content, seq }) => [content, seq])), numbering, end);
    t.is(later.generation, generation);
    await again.kill('SIGKILL');
  }
}

testWith(['python3'], '20,000 lines of a Python process', (t) =>
  sharedSession(t, { foreign: 20_000, padding: 0, appends: 1_500 }),
);

testWith(['python3'], 'lines of 100 KiB', (t) =>
  sharedSession(t, { foreign: 300, padding: 100 * 1024, appends: 300 }),
);

testWith(['python3'], 'kill -9 while lines are adopted', async (t) => {
  const dir = join((await startDaemonProcess(t)).dir, '..', 'k');
  mkdirSync(join(dir, '_turn_journal'), { recursive: true });
  let written = Promise.resolve();
  const seen = new Map<unknown, number>();
  for (let round = 1; round <= 4; round += 1) {
    const daemon = await startDaemonProcess(t, { dir });
    const log = await client(t, dir);
    await log.turns.append('s', { event: 'token', content: `own-${round}-0` });
    written = appendFromPython({ path: sessionFile(dir, 's'), count: 2_000, name: `p${round}` });
    // Some of the lines have their place; then the daemon dies with the others on their way.
    await eventually(
      async () => {
        const { events } = await log.turns.read('s');
        for (const { content, seq } of events) {
          t.true(!seen.has(content) || seen.get(content) === seq, String(content));
          seen.set(content, seq);
        }
        return events.length;
      },
      (length) => length >= (round - 1) * 2_001 + 500,
    );
    await daemon.kill('SIGKILL');
    await written;
  }
  await startDaemonProcess(t, { dir });
  const log = await client(t, dir);
  const events = await whole(log, 4 * 2_001);
  checkStream(t, events, []);
  t.is(events.length, 4 * 2_001);
  for (const { content, seq } of events) {
    if (seen.has(content)) t.is(seen.get(content), seq, String(content));
  }
});
