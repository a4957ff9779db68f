/** Subscribers of every kind while the daemon is killed again and again. */
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import { connect } from '../../client/index.js';
import { startDaemonProcess } from '../support/daemon.js';
import type { Followed } from '../support/follower.process.js';
import { Follower } from '../support/followers.js';
import { readSession, readThread } from '../support/journal-files.js';
import { seededRandom } from '../support/random.js';
import { checkStream, Writers } from '../support/writers.js';

const KILLS = 10;
const WRITERS = 4;
const APPENDS_PER_KILL = 30;

const seqAndContent = ({
  seq,
  content,
}: {
  seq: number;
  content?: unknown;
}): readonly unknown[] => [seq, content];

test('4 writers and 6 subscribers over 10 times kill -9: all events, once and in order', async (t) => {
  const random = seededRandom(t);
  let daemon = await startDaemonProcess(t);
  const { dir } = daemon;
  const writers = new Writers(t, WRITERS, {
    dir,
    threadId: 't',
    sessionId: 's',
    appends: null,
    window: 4,
  });
  const base = { dir, pauseMs: 0, ends: 1 };
  const slowTurns = new Follower(t, { ...base, what: 'turns', id: 's', pauseMs: 1 });
  const slowRuns = new Follower(t, { ...base, what: 'runs', id: 't', pauseMs: 1 });
  const filtered = new Follower(t, { ...base, what: 'runs', id: 't', runId: 'r1' });
  const killed = new Follower(t, { ...base, what: 'turns', id: 's' });
  const everything = new Follower(t, { ...base, what: 'all', id: '', ends: 2 });
  const plain = new Follower(t, { ...base, what: 'runs', id: 't' });
  for (let kill = 1; kill <= KILLS; kill += 1) {
    writers.grant(APPENDS_PER_KILL);
    await writers.answers(1 + random(WRITERS * APPENDS_PER_KILL));
    // Where in a commit it dies is left to chance; nothing waits for this time.
    await delay(random(10));
    await daemon.kill('SIGKILL');
    if (kill % 3 === 0) await killed.killAndResume();
    daemon = await startDaemonProcess(t, { dir });
  }
  await writers.stop();
  t.deepEqual(
    writers.outcomes.filter(({ outcome }) => outcome !== 'acked'),
    [],
    'no call failed',
  );
  const log = await connect({ dir });
  await log.turns.append('s', { event: 'token', content: 'end' });
  const end = { thread_id: 't', run_id: 'r1', event_type: 'text', category: 'message' };
  await log.runs.put({ ...end, content: 'end' });
  const followers = [slowTurns, slowRuns, filtered, killed, everything, plain];
  await Promise.all(followers.map((follower) => follower.ended()));

  const turns = (await log.turns.read('s')).events;
  const runs = await log.runs.listMessages('t', { limit: 1_000_000 });
  const run = await log.runs.listEvents('t', 'r1', { limit: 1_000_000 });
  await log.close();
  const told = (events: readonly Followed[]): unknown => events.map(seqAndContent);
  t.deepEqual(told(slowTurns.events), turns.map(seqAndContent));
  t.deepEqual(told(killed.events), turns.map(seqAndContent));
  t.deepEqual(told(slowRuns.events), runs.map(seqAndContent));
  t.deepEqual(told(plain.events), runs.map(seqAndContent));
  t.deepEqual(told(filtered.events), run.map(seqAndContent));
  const positions = everything.events.map(({ at }) => Number(at));
  t.true(positions.every((position, index) => position > (positions[index - 1] ?? 0)));
  const of = (stream: string): readonly Followed[] =>
    everything.events.filter((event) => event.stream === stream);
  t.deepEqual(told(of('turns/s')), turns.map(seqAndContent));
  t.deepEqual(told(of('runs/t')), runs.map(seqAndContent));

  t.is(await daemon.stop(), 0);
  const kept = writers.outcomes;
  const isAppended = ({ content }: { readonly content?: unknown }): boolean => content !== 'end';
  checkStream(
    t,
    readSession(dir, 's').filter(isAppended),
    kept.filter(({ journal }) => journal === 'turns'),
  );
  checkStream(
    t,
    readThread(dir, 't').filter(isAppended),
    kept.filter(({ journal }) => journal === 'runs'),
  );
});
