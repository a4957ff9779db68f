/** Subscriptions against real daemons: killed, restarted, slow, filtered, many. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import {
  AbortedError,
  type Cursor,
  CursorExpiredError,
  connect,
  detailsOf,
  type EventLog,
  InvalidArgumentError,
  type LogEntry,
  StreamDeletedError,
  type Subscription,
} from '../../client/index.js';
import { SUBSCRIPTION_CREDIT } from '../../shared/limits.js';
import { watch } from '../support/connected.js';
import { type DaemonProcess, makeFolder, startDaemonProcess } from '../support/daemon.js';

interface Served {
  readonly daemon: DaemonProcess;
  readonly log: EventLog;
}

async function served(t: ExecutionContext): Promise<Served> {
  const daemon = await startDaemonProcess(t);
  const log = await connect({ dir: daemon.dir });
  t.teardown(() => log.close());
  return { daemon, log };
}

async function take<Item>(subscription: Subscription<Item>, count: number): Promise<Item[]> {
  const items: Item[] = [];
  while (items.length < count) {
    const { value, done } = await subscription.next();
    if (done === true) throw new Error('the subscription is done');
    items.push(value);
  }
  return items;
}

function seqsOf(events: readonly { readonly seq: number }[]): number[] {
  return events.map(({ seq }) => seq);
}

function upTo(last: number, first = 1): number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}

async function appendMany(log: EventLog, sessionId: string, count: number): Promise<void> {
  const event = { event: 'token', content: 'x'.repeat(200) };
  await Promise.all(Array.from({ length: count }, () => log.turns.append(sessionId, event)));
}

function runEvent(runId: string, eventType: string, category = 'trace') {
  return { thread_id: 't', run_id: runId, event_type: eventType, category };
}

test('every event once and in order, over daemons that are killed', async (t) => {
  const { daemon: first, log } = await served(t);
  const { dir } = first;
  const rounds = 4;
  const each = 150;
  const writer = await connect({ dir });
  t.teardown(() => writer.close());
  const eager = log.turns.subscribe('s');
  const late = log.turns.subscribe('s');
  const everything = log.subscribeAll({ afterPosition: 0 });
  const states = new Set<string>();
  const eagerSeqs = (async () => {
    const seqs: number[] = [];
    for await (const { seq } of eager) {
      states.add(eager.state);
      seqs.push(seq);
      if (seqs.length === rounds * each) break;
    }
    return seqs;
  })();
  let daemon = first;
  for (let round = 1; round <= rounds; round += 1) {
    const appends = appendMany(writer, 's', each);
    if (round < rounds) {
      await daemon.kill('SIGKILL');
      daemon = await startDaemonProcess(t, { dir });
    }
    await appends;
  }
  t.deepEqual(await eagerSeqs, upTo(rounds * each));
  t.is(eager.state, 'ended');
  t.deepEqual(seqsOf(await take(late, rounds * each)), upTo(rounds * each));
  const entries = await take(everything, rounds * each);
  t.deepEqual(
    entries.map(({ event }) => event?.seq),
    upTo(rounds * each),
  );
});

test('a cursor resumes in another client, behind the last event that was handed out', async (t) => {
  const { daemon, log } = await served(t);
  await appendMany(log, 's', 20);
  const subscription = log.turns.subscribe('s');
  await subscription.caughtUp();
  t.deepEqual(seqsOf(await take(subscription, 7)), upTo(7));
  const cursor: Cursor = { ...subscription.cursor };
  t.is(cursor.seq, 7);
  await daemon.stop();
  await startDaemonProcess(t, { dir: daemon.dir });
  const other = await connect({ dir: daemon.dir });
  t.teardown(() => other.close());
  const resumed = other.turns.subscribe('s', { after: cursor });
  t.deepEqual(seqsOf(await take(resumed, 13)), upTo(20, 8));
  t.deepEqual(seqsOf(await take(subscription, 13)), upTo(20, 8));
});

test("'now', a seq, and a stream that does not exist yet", async (t) => {
  const { log } = await served(t);
  const unborn = log.turns.subscribe('unborn', { after: 'now' });
  await unborn.caughtUp();
  await appendMany(log, 's', 5);
  const now = log.turns.subscribe('s', { after: 'now' });
  await now.caughtUp();
  t.is(now.cursor.seq, 5);
  const behind = log.turns.subscribe('s', { after: 3 });
  await appendMany(log, 's', 1);
  await appendMany(log, 'unborn', 2);
  t.deepEqual(seqsOf(await take(now, 1)), [6]);
  t.deepEqual(seqsOf(await take(behind, 3)), [4, 5, 6]);
  t.deepEqual(seqsOf(await take(unborn, 2)), [1, 2]);
});

test('a slow consumer holds a window and gets everything', async (t) => {
  const { log } = await served(t);
  const content = 'x'.repeat(SUBSCRIPTION_CREDIT / 8);
  const slow = log.turns.subscribe('s');
  const quick = log.turns.subscribe('s');
  for (let round = 0; round < 5; round += 1) {
    const event = { event: 'token', content };
    await Promise.all(upTo(16).map(() => log.turns.append('s', event)));
    t.is((await take(quick, 16)).length, 16);
  }
  t.deepEqual(seqsOf(await take(slow, 80)), upTo(80));
  await slow.caughtUp();
  t.is(slow.state, 'live');
});

test('a filter leaves events out and moves the cursor over them', async (t) => {
  const { log } = await served(t);
  const ends = log.runs.subscribe('t', { runId: 'r1', eventTypes: ['run.end'] });
  const messages = log.runs.subscribe('t', { categories: ['message'] });
  const tasks = log.runs.subscribe('t', { taskId: 'k' });
  await Promise.all([ends, messages, tasks].map((subscription) => subscription.caughtUp()));
  await log.runs.putBatch([
    runEvent('r1', 'run.start'),
    runEvent('r2', 'run.end'),
    runEvent('r1', 'run.end'),
    { ...runEvent('r2', 'said', 'message'), metadata: { task_id: 'k' } },
    runEvent('r2', 'step'),
  ]);
  t.deepEqual(seqsOf(await take(ends, 1)), [3]);
  t.deepEqual(seqsOf(await take(messages, 1)), [4]);
  t.deepEqual(seqsOf(await take(tasks, 1)), [4]);
  const again = log.runs.subscribe('t', { eventTypes: [] });
  await again.caughtUp();
  t.is(again.cursor.seq, 5);
});

test('deleting a stream ends its subscriptions, and its cursors expire', async (t) => {
  const { log } = await served(t);
  await appendMany(log, 's', 3);
  const subscription = log.turns.subscribe('s');
  const everything = log.subscribeAll();
  await Promise.all([subscription.caughtUp(), everything.caughtUp()]);
  const [first] = await take(subscription, 1);
  t.is(first?.seq, 1);
  const { cursor: before } = subscription;
  await log.turns.delete('s');
  t.deepEqual(seqsOf(await take(subscription, 2)), [2, 3]);
  const error = await t.throwsAsync(subscription.next(), { instanceOf: StreamDeletedError });
  t.is(error.cursor.seq, 3);
  const expired = log.turns.subscribe('s', { after: before });
  await t.throwsAsync(expired.next(), { instanceOf: CursorExpiredError });
  const [gone] = await take<LogEntry>(everything, 1);
  t.like(gone, { journal: 'turns', streamId: 's', deleted: true });
});

test('a stream that is deleted while its subscriber is away ends as deleted', async (t) => {
  const { daemon, log } = await served(t);
  await appendMany(log, 's', 2);
  const subscription = log.turns.subscribe('s');
  await subscription.caughtUp();
  t.deepEqual(seqsOf(await take(subscription, 1)), [1]);
  t.is(await daemon.stop(), 0);
  // Whoever cleans up without the daemon removes the files.
  await rm(join(daemon.dir, '_turn_journal', 's.jsonl'));
  await startDaemonProcess(t, { dir: daemon.dir });
  t.deepEqual(seqsOf(await take(subscription, 1)), [2]);
  const error = await t.throwsAsync(subscription.next(), { instanceOf: StreamDeletedError });
  t.is(error.cursor.seq, 2);
});

test('leaving, closing and aborting end a subscription in the daemon too', async (t) => {
  const { log } = await served(t);
  await appendMany(log, 's', 2);
  const controller = new AbortController();
  const left = log.turns.subscribe('s');
  const closed = log.turns.subscribe('s');
  const aborted = log.turns.subscribe('s', { signal: controller.signal });
  await Promise.all([left, closed, aborted].map((subscription) => subscription.caughtUp()));
  t.is((await log.stats()).subscriptions, 3);
  for await (const { seq } of left) {
    t.is(seq, 1);
    break;
  }
  closed.close();
  const waiting = watch(aborted.next().then(() => aborted.next().then(() => aborted.next())));
  await take(log.turns.subscribe('s'), 2);
  controller.abort();
  await t.throwsAsync(waiting, { instanceOf: AbortedError });
  // What is not answered goes behind the calls of its tick.
  await log.turns.head('s');
  t.is((await log.stats()).subscriptions, 1);
});

test('2,000 subscriptions on one connection each get theirs', async (t) => {
  const { log } = await served(t);
  const ids = upTo(2_000).map((number) => `s${number}`);
  const half = ids.slice(0, 1_000);
  await Promise.all(half.map((id) => log.turns.append(id, { event: 'token', of: id })));
  const subscriptions = ids.map((id) => log.turns.subscribe(id));
  await Promise.all(subscriptions.map((subscription) => subscription.caughtUp()));
  await Promise.all(ids.map((id) => log.turns.append(id, { event: 'token', of: id })));
  for (const [at, subscription] of subscriptions.entries()) {
    const count = at < half.length ? 2 : 1;
    const events = await take(subscription, count);
    if (!events.every(({ of }) => of === ids[at])) t.fail(`${ids[at]} got another's event`);
    if (seqsOf(events).join() !== upTo(count).join())
      t.fail(`${ids[at]}: ${seqsOf(events).join()}`);
  }
  t.is((await log.stats()).subscriptions, ids.length);
});

test('old rows of equal seq come all, and the cursor moves with the last of them', async (t) => {
  const dir = join(await makeFolder(t), 'd');
  const folder = join(dir, 'threads', 't', 'runs');
  await mkdir(folder, { recursive: true });
  const seqs = [0, 0, 1, 2, 2, 2, 5];
  const lines = seqs.map((seq, n) => JSON.stringify({ ...runEvent('r', `e${n}`), seq }));
  await writeFile(join(folder, 'r.jsonl'), `${lines.join('\n')}\n`);
  const first = await startDaemonProcess(t, { dir });
  const log = await connect({ dir });
  t.teardown(() => log.close());
  const subscription = log.runs.subscribe('t');
  const cursors: number[] = [];
  const types: string[] = [];
  const takeOne = async (): Promise<void> => {
    const [event] = await take(subscription, 1);
    types.push(event?.event_type ?? '');
    cursors.push(subscription.cursor.seq);
  };
  for (let taken = 0; taken < 4; taken += 1) await takeOne();
  await first.kill('SIGKILL');
  await startDaemonProcess(t, { dir });
  for (let taken = 4; taken < seqs.length; taken += 1) await takeOne();
  t.deepEqual(types, ['e0', 'e1', 'e2', 'e3', 'e4', 'e5', 'e6']);
  t.deepEqual(cursors, [0, 0, 1, 1, 1, 2, 5]);
});

test('a position that was never given is refused', async (t) => {
  const { log } = await served(t);
  const subscription = log.subscribeAll({ afterPosition: 1_000_000 });
  await t.throwsAsync(subscription.next(), { instanceOf: InvalidArgumentError });
});

test('runs that are deleted while their thread is caught up on make nothing come twice', async (t) => {
  const { log } = await served(t);
  const runs = Array.from({ length: 200 }, (_, at) => `r${at}`);
  // Neighbours by seq lie in different files: a page is read piece by piece.
  for (let round = 0; round < 3; round += 1) {
    await log.runs.putBatch(
      runs.map((run_id) => ({ thread_id: 't', run_id, event_type: 'e', category: 'c' })),
    );
  }
  let isChurning = true;
  const follow = async (): Promise<void> => {
    while (isChurning) {
      const subscription = log.runs.subscribe('t');
      let last = 0;
      for await (const event of subscription) {
        const { seq } = detailsOf(event).cursor;
        t.true(seq > last);
        last = seq;
        if (seq === 600) break;
      }
    }
  };
  const following = [follow(), follow()];
  for (const run of runs.slice(0, -1)) await log.runs.deleteByRun('t', run);
  isChurning = false;
  await Promise.all(following);
});
