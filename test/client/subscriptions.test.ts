/** Subscriptions against a scripted peer: what a daemon may send when, and what a client makes of it. */
import test from 'ava';
import {
  AbortedError,
  ClientClosedError,
  CursorExpiredError,
  detailsOf,
  InvalidArgumentError,
  InvalidIdError,
  type LogEntry,
  PositionExpiredError,
  ProtocolError,
  type RunEvent,
  StreamDeletedError,
  type Subscription,
  type TurnEvent,
} from '../../client/index.js';
import {
  CLIENT_SUBSCRIBES_MAX,
  CLIENT_SUBSCRIPTIONS_CREDIT,
  SUBSCRIPTION_CREDIT,
} from '../../shared/limits.js';
import { rowCredit } from '../../shared/protocol.js';
import { connected, type Scene, turn, watch } from '../support/connected.js';
import type { Message, PushedRow, RawConnection } from '../support/raw-server.js';

const START = { cursor: { generation: 7, seq: 0 } };

/** Answers a request to subscribe and says where it begins. */
function begin(peer: RawConnection, request: Message, progress: object = START): void {
  peer.answer(request, {});
  peer.progress(request, progress);
}

async function takeSeqs(
  subscription: Subscription<TurnEvent | RunEvent>,
  count: number,
): Promise<number[]> {
  const seqs: number[] = [];
  while (seqs.length < count) seqs.push(await takeSeq(subscription));
  return seqs;
}

async function takeSeq(subscription: Subscription<TurnEvent | RunEvent>): Promise<number> {
  const { value, done } = await subscription.next();
  if (done === true) throw new Error('the subscription is done');
  return value.seq;
}

/** Cuts the connection, and gives the next one when the client has made it. */
async function reconnected({ server, peer, log }: Scene): Promise<RawConnection> {
  const isBack = new Promise<void>((resolve) => {
    const stop = log.on('reconnect', () => {
      stop();
      resolve();
    });
  });
  peer.end();
  const next = await server.accept();
  await isBack;
  return next;
}

/** Waits until everything that the peer has sent was read by the client. */
async function settled({ peer, log }: Pick<Scene, 'peer' | 'log'>): Promise<void> {
  const head = log.turns.head('s');
  let request = await peer.next();
  while (request['type'] !== 'turns.head') request = await peer.next();
  peer.answer(request, {});
  await head;
}

function rowsOf(...seqs: readonly number[]): PushedRow[] {
  return seqs.map((seq) => ({ seq }));
}

test('bad arguments are refused at once', async (t) => {
  const { log } = await connected(t);
  const bad = <T>(value: unknown): T => value as T;
  t.throws(() => log.turns.subscribe('a/b'), { instanceOf: InvalidIdError });
  t.throws(() => log.runs.subscribe('t', { runId: 'a\n' }), { instanceOf: InvalidIdError });
  const isInvalid = { instanceOf: InvalidArgumentError };
  for (const after of [-1, 1.5, 'end', null, { seq: 1 }, { generation: 1, seq: -1 }]) {
    t.throws(() => log.turns.subscribe('s', { after: bad(after) }), isInvalid);
  }
  t.throws(() => log.runs.subscribe('t', { categories: bad('message') }), isInvalid);
  t.throws(() => log.runs.subscribe('t', { eventTypes: bad([undefined]) }), isInvalid);
  t.throws(() => log.runs.subscribe('t', { taskId: bad(1) }), isInvalid);
  t.throws(() => log.subscribeAll({ afterPosition: -1 }), isInvalid);
  t.throws(() => log.subscribeAll({ journal: bad('both') }), isInvalid);
  t.throws(() => log.subscribeAll({ signal: bad({}) }), isInvalid);
});

test('a subscription says what it asks for', async (t) => {
  const { peer, log } = await connected(t);
  const categories = ['message'];
  log.turns.subscribe('s', { after: { generation: 3, seq: 4 } });
  log.turns.subscribe('s', { after: 'now' });
  log.runs.subscribe('t', { after: 9, runId: 'r', categories, eventTypes: ['x'], taskId: 'k' });
  log.subscribeAll({ afterPosition: 5, journal: 'runs' });
  const [one, two, three, four] = await peer.take(4);
  t.like(one, { type: 'turns.subscribe', sessionId: 's', after: { generation: 3, seq: 4 } });
  t.like(two, { type: 'turns.subscribe', after: 'now', credit: SUBSCRIPTION_CREDIT });
  t.like(three, {
    type: 'runs.subscribe',
    threadId: 't',
    after: 9,
    runId: 'r',
    categories,
    eventTypes: ['x'],
    taskId: 'k',
  });
  t.like(four, { type: 'subscribeAll', afterPosition: 5, journal: 'runs' });
  const numbers = [one, two, three, four].map((request) => request?.['subscription']);
  t.is(new Set(numbers).size, 4);
});

test('events are handed out in order, with their details, and the cursor moves with them', async (t) => {
  const { peer, log } = await connected(t);
  const subscription = log.turns.subscribe('s');
  t.deepEqual(subscription.cursor, { generation: 0, seq: 0 });
  t.is(subscription.state, 'connecting');
  const request = await peer.next();
  begin(peer, request);
  peer.push(request, [{ seq: 1, text: '{"event":"a"}' }, { seq: 2 }]);
  peer.progress(request, { cursor: { generation: 7, seq: 4 }, caughtUp: true });
  const first = await subscription.next();
  t.false(first.done);
  const event = first.value as TurnEvent;
  t.deepEqual(event, { event: 'a', seq: 1 });
  t.deepEqual(detailsOf(event), {
    cursor: { generation: 7, seq: 1 },
    duplicate: false,
    text: '{"event":"a"}',
  });
  t.deepEqual(subscription.cursor, { generation: 7, seq: 1 });
  t.is(subscription.state, 'catching-up');
  t.is(await takeSeq(subscription), 2);
  t.is(subscription.state, 'live');
  t.deepEqual(subscription.cursor, { generation: 7, seq: 4 });
});

test('what the daemon sends before its answer counts, and what it sends to others does not', async (t) => {
  const { peer, log } = await connected(t);
  const one = log.turns.subscribe('s1');
  const two = log.turns.subscribe('s2');
  const [first, second] = (await peer.take(2)) as [Message, Message];
  peer.progress(second, START);
  peer.push(second, rowsOf(1));
  peer.answer(second, {});
  begin(peer, first);
  peer.push({ subscription: 99 }, rowsOf(5));
  peer.push(first, rowsOf(2));
  t.is(await takeSeq(two), 1);
  t.is(await takeSeq(one), 2);
});

test('a text that spans pushes is one event', async (t) => {
  const { peer, log } = await connected(t);
  const subscription = log.turns.subscribe('s');
  const request = await peer.next();
  begin(peer, request);
  peer.push(request, [{ seq: 1 }, { seq: 2, text: '{"event":' }], { split: true });
  peer.push(request, [{ seq: 2, text: '"long' }], { split: true });
  peer.push(request, [{ seq: 2, text: '"}' }, { seq: 3 }]);
  t.is(await takeSeq(subscription), 1);
  t.deepEqual((await subscription.next()).value as unknown, { event: 'long', seq: 2 });
  t.is(await takeSeq(subscription), 3);
});

test('caughtUp() waits for what was received only while somebody takes it', async (t) => {
  const scene = await connected(t);
  const { peer, log } = scene;
  const idle = log.turns.subscribe('s1');
  const taken = log.turns.subscribe('s2');
  const [one, two] = (await peer.take(2)) as [Message, Message];
  const first = taken.next();
  for (const request of [one, two]) {
    begin(peer, request);
    peer.push(request, rowsOf(1, 2));
    peer.progress(request, { cursor: { generation: 7, seq: 2 }, caughtUp: true });
  }
  await idle.caughtUp();
  t.is(idle.state, 'live');
  t.deepEqual(idle.cursor, { generation: 7, seq: 0 });
  t.is((await first).value?.seq, 1);
  let isCaughtUp = false;
  const caughtUp = taken.caughtUp().then(() => {
    isCaughtUp = true;
  });
  await settled(scene);
  t.false(isCaughtUp);
  t.is(await takeSeq(taken), 2);
  await caughtUp;
  t.is(taken.state, 'live');
  t.deepEqual(await takeSeqs(idle, 2), [1, 2]);
});

test('after a lost connection it goes on behind the last row that came, whatever was taken', async (t) => {
  const scene = await connected(t);
  const { peer, log } = scene;
  const subscription = log.turns.subscribe('s', { after: 'now' });
  const request = await peer.next();
  begin(peer, request, { cursor: { generation: 7, seq: 2 } });
  peer.push(request, rowsOf(3, 4, 5));
  peer.push(request, [{ seq: 6, text: '{"half' }], { split: true });
  await settled(scene);
  t.is(await takeSeq(subscription), 3);
  t.is(subscription.state, 'catching-up');
  const next = await reconnected(scene);
  t.is(subscription.state, 'connecting');
  t.deepEqual(subscription.cursor, { generation: 7, seq: 3 });
  const again = await next.next();
  t.like(again, { type: 'turns.subscribe', after: { generation: 7, seq: 5 } });
  const held = 2 * rowCredit('{"event":"token","seq":4}'.length);
  t.is(again['credit'], SUBSCRIPTION_CREDIT - held);
  begin(next, again, { cursor: { generation: 7, seq: 5 } });
  next.push(again, rowsOf(6));
  next.progress(again, { cursor: { generation: 7, seq: 6 }, caughtUp: true });
  t.deepEqual(await takeSeqs(subscription, 3), [4, 5, 6]);
  t.is(subscription.state, 'live');
});

test('a stream that did not exist is followed from its start after a lost connection', async (t) => {
  const scene = await connected(t);
  const subscription = scene.log.turns.subscribe('s', { after: 'now' });
  const request = await scene.peer.next();
  begin(scene.peer, request, { cursor: { generation: 0, seq: 0 }, caughtUp: true });
  await subscription.caughtUp();
  const next = await reconnected(scene);
  const again = await next.next();
  t.is(again['after'], 'start');
  begin(next, again, { cursor: { generation: 9, seq: 0 } });
  next.push(again, [{ seq: 1, generation: 9 }]);
  t.is(await takeSeq(subscription), 1);
  t.deepEqual(subscription.cursor, { generation: 9, seq: 1 });
});

test('a number ahead of the stream stays ahead of it over a lost connection', async (t) => {
  const scene = await connected(t);
  const subscription = scene.log.turns.subscribe('s', { after: 6 });
  const request = await scene.peer.next();
  begin(scene.peer, request, { cursor: { generation: 7, seq: 3 }, caughtUp: true });
  await subscription.caughtUp();
  const next = await reconnected(scene);
  const again = await next.next();
  t.deepEqual(again['after'], { generation: 7, seq: 3 });
  begin(next, again, { cursor: { generation: 7, seq: 3 } });
  next.push(again, [{ seq: 4 }, { seq: 5 }, { seq: 6 }, { seq: 7 }]);
  t.is(await takeSeq(subscription), 7);
  const last = await reconnected({ ...scene, peer: next });
  t.deepEqual((await last.next())['after'], { generation: 7, seq: 7 });
});

test("'now' stays now until the daemon has said where that is", async (t) => {
  const scene = await connected(t);
  scene.log.turns.subscribe('s', { after: 'now' });
  await scene.peer.next();
  const next = await reconnected(scene);
  t.is((await next.next())['after'], 'now');
});

test('rows of equal seq move the cursor with the last, and come once over a lost connection', async (t) => {
  const scene = await connected(t);
  const { peer, log } = scene;
  const subscription = log.runs.subscribe('t');
  const request = await peer.next();
  begin(peer, request);
  const text = (name: string): string => JSON.stringify({ event_type: name });
  const group: PushedRow[] = [
    { seq: 4, text: text('a') },
    { seq: 5, text: text('b'), sameSeqFollows: true },
    { seq: 5, text: text('c'), sameSeqFollows: true },
    { seq: 5, text: text('d') },
    { seq: 6, text: text('e') },
  ];
  const names: string[] = [];
  const take = async (): Promise<void> => {
    const { value } = await subscription.next();
    names.push((value as RunEvent).event_type);
  };
  peer.push(request, group.slice(0, 3));
  for (let taken = 0; taken < 3; taken += 1) await take();
  t.deepEqual(subscription.cursor, { generation: 7, seq: 4 });
  const next = await reconnected(scene);
  const again = await next.next();
  t.deepEqual(again['after'], { generation: 7, seq: 4 });
  begin(next, again, { cursor: { generation: 7, seq: 4 } });
  next.push(again, group.slice(1));
  await take();
  t.deepEqual(subscription.cursor, { generation: 7, seq: 5 });
  await take();
  t.deepEqual(names, ['a', 'b', 'c', 'd', 'e']);
});

test('rows of seq 0 have no cursor before them: the start stands for it', async (t) => {
  const scene = await connected(t);
  const { peer, log } = scene;
  const subscription = log.runs.subscribe('t');
  const request = await peer.next();
  begin(peer, request);
  const rows: PushedRow[] = [
    { seq: 0, text: '{"n":1}', sameSeqFollows: true },
    { seq: 0, text: '{"n":2}' },
    { seq: 1, text: '{"n":3}', sameSeqFollows: true },
    { seq: 1, text: '{"n":4}' },
  ];
  const take = async (): Promise<unknown> => {
    const { value } = await subscription.next();
    return (value as unknown as { n: number }).n;
  };
  peer.push(request, rows.slice(0, 3));
  t.deepEqual([await take(), await take(), await take()], [1, 2, 3]);
  t.deepEqual(subscription.cursor, { generation: 7, seq: 0 });
  const next = await reconnected(scene);
  const again = await next.next();
  t.deepEqual(again['after'], { generation: 7, seq: 0 });
  begin(next, again);
  next.push(again, rows);
  t.is(await take(), 4);
  t.deepEqual(subscription.cursor, { generation: 7, seq: 1 });
});

test('a stream that was deleted while the connection was lost ends as deleted', async (t) => {
  const scene = await connected(t);
  const subscription = scene.log.turns.subscribe('s');
  const request = await scene.peer.next();
  begin(scene.peer, request);
  scene.peer.push(request, rowsOf(1, 2));
  await settled(scene);
  const next = await reconnected(scene);
  next.refuse(await next.next(), 'CURSOR_EXPIRED', { generation: 0 });
  t.deepEqual(await takeSeqs(subscription, 2), [1, 2]);
  const error = await t.throwsAsync(subscription.next(), { instanceOf: StreamDeletedError });
  t.deepEqual(error.cursor, { generation: 7, seq: 2 });
});

test("a caller's own cursor expires as that, and so does one ahead of an older copy", async (t) => {
  const scene = await connected(t);
  const after = { generation: 3, seq: 3 };
  const own = scene.log.turns.subscribe('s', { after });
  const followed = scene.log.turns.subscribe('s');
  const [one, two] = (await scene.peer.take(2)) as [Message, Message];
  scene.peer.refuse(one, 'CURSOR_EXPIRED', { generation: 7 });
  const error = await t.throwsAsync(own.next(), { instanceOf: CursorExpiredError });
  t.is(error.generation, 7);
  t.deepEqual(own.cursor, after);
  begin(scene.peer, two, { cursor: { generation: 7, seq: 9 }, caughtUp: true });
  await followed.caughtUp();
  const next = await reconnected(scene);
  next.refuse(await next.next(), 'CURSOR_EXPIRED', { generation: 7 });
  await t.throwsAsync(followed.next(), { instanceOf: CursorExpiredError });
});

test('what ends a subscription is thrown once, behind all that came before', async (t) => {
  const scene = await connected(t);
  const subscription = scene.log.turns.subscribe('s');
  const request = await scene.peer.next();
  begin(scene.peer, request);
  scene.peer.push(request, rowsOf(1, 2));
  const cursor = { generation: 7, seq: 2 };
  scene.peer.endSubscription(request, 'STREAM_DELETED', { cursor });
  await settled(scene);
  const caughtUp = watch(subscription.caughtUp());
  t.not(subscription.state, 'ended');
  const seqs: number[] = [];
  const error = await t.throwsAsync(
    async () => {
      for await (const { seq } of subscription) seqs.push(seq);
    },
    { instanceOf: StreamDeletedError },
  );
  t.deepEqual(error.cursor, cursor);
  t.deepEqual(seqs, [1, 2]);
  t.is(subscription.state, 'ended');
  await t.throwsAsync(caughtUp, { is: error });
  await t.throwsAsync(subscription.caughtUp(), { is: error });
  t.deepEqual(await subscription.next(), { value: undefined, done: true });
  await settled(scene);
  t.deepEqual(scene.peer.waiting, []);
});

test('a refusal that passes is asked again, after what the connection then holds', async (t) => {
  const { peer, log } = await connected(t);
  const subscription = log.turns.subscribe('s');
  peer.refuse(await peer.next(), 'OVERLOADED');
  peer.refuse(await peer.next(), 'STORAGE_FAILED');
  const third = await peer.next();
  begin(peer, third);
  peer.push(third, rowsOf(1));
  peer.endSubscription(third, 'STORAGE_FAILED');
  const fourth = await peer.next();
  t.deepEqual(fourth['after'], { generation: 7, seq: 1 });
  begin(peer, fourth, { cursor: { generation: 7, seq: 1 } });
  peer.push(fourth, rowsOf(2));
  t.deepEqual(await takeSeqs(subscription, 2), [1, 2]);
});

test('a daemon that stops is waited for', async (t) => {
  const scene = await connected(t);
  const subscription = scene.log.turns.subscribe('s');
  scene.peer.refuse(await scene.peer.next(), 'DRAINING');
  const next = await scene.server.accept();
  const again = await next.next();
  begin(next, again);
  next.push(again, rowsOf(1));
  t.is(await takeSeq(subscription), 1);
});

test('other refusals end the subscription', async (t) => {
  const { peer, log } = await connected(t);
  const subscription = log.turns.subscribe('s');
  const caughtUp = watch(subscription.caughtUp());
  peer.refuse(await peer.next(), 'INVALID_ID');
  await t.throwsAsync(caughtUp, { instanceOf: InvalidIdError });
  t.is(subscription.state, 'ended');
  await t.throwsAsync(subscription.next(), { instanceOf: InvalidIdError });
});

test('leaving the loop unsubscribes, and what comes after that is nobody’s', async (t) => {
  const scene = await connected(t);
  const { peer, log } = scene;
  const subscription = log.turns.subscribe('s');
  const request = await peer.next();
  begin(peer, request);
  peer.push(request, rowsOf(1, 2));
  for await (const event of subscription) {
    t.is(event.seq, 1);
    break;
  }
  t.is(subscription.state, 'ended');
  const notice = await peer.next();
  t.deepEqual(notice, { type: 'unsubscribe', subscription: request['subscription'] });
  peer.push(request, rowsOf(3));
  peer.endSubscription(request, 'STREAM_DELETED');
  await settled(scene);
  t.deepEqual(await subscription.next(), { value: undefined, done: true });
});

test('a subscription that is closed before its answer is ended behind it', async (t) => {
  const { peer, log } = await connected(t);
  const subscription = log.turns.subscribe('s');
  const waiting = subscription.next();
  const request = await peer.next();
  const caughtUp = watch(subscription.caughtUp());
  {
    await using closed = subscription;
    t.is(closed, subscription);
  }
  t.deepEqual(await waiting, { value: undefined, done: true });
  await t.throwsAsync(caughtUp, { instanceOf: AbortedError });
  peer.answer(request, {});
  t.like(await peer.next(), { type: 'unsubscribe', subscription: request['subscription'] });
});

test('a subscription that is closed without a connection is not asked for again', async (t) => {
  const scene = await connected(t);
  const subscription = scene.log.turns.subscribe('s');
  await scene.peer.next();
  scene.peer.end();
  await scene.peer.closed;
  subscription.close();
  const next = await scene.server.accept();
  await settled({ peer: next, log: scene.log });
  t.deepEqual(next.waiting, []);
});

test('an aborted subscription throws AbortError at once and drops what waits', async (t) => {
  const scene = await connected(t);
  const { peer, log } = scene;
  const controller = new AbortController();
  const { signal } = controller;
  const subscriptions = Array.from({ length: 20 }, () => log.turns.subscribe('s', { signal }));
  for (const request of await peer.take(20)) {
    begin(peer, request);
    peer.push(request, rowsOf(1));
  }
  await settled(scene);
  controller.abort(new Error('enough'));
  for (const subscription of subscriptions) {
    const error = await t.throwsAsync(subscription.next(), { instanceOf: AbortedError });
    t.is(error.name, 'AbortError');
    t.is((error.cause as Error).message, 'enough');
    t.true((await subscription.next()).done);
  }
  const notices = await peer.take(20);
  t.true(notices.every(({ type }) => type === 'unsubscribe'));
  const late = log.turns.subscribe('s', { signal });
  await t.throwsAsync(late.next(), { instanceOf: AbortedError });
  await settled(scene);
});

test('closing the client ends its subscriptions', async (t) => {
  const { peer, log } = await connected(t);
  const waiting = log.turns.subscribe('s1');
  const idle = log.turns.subscribe('s2');
  const next = watch(waiting.next());
  for (const request of await peer.take(2)) begin(peer, request);
  await log.close();
  await t.throwsAsync(next, { instanceOf: ClientClosedError });
  await t.throwsAsync(idle.next(), { instanceOf: ClientClosedError });
  t.throws(() => log.turns.subscribe('s3'), { instanceOf: ClientClosedError });
});

test('credit is granted by the half window, for what was taken', async (t) => {
  const scene = await connected(t);
  const { peer, log } = scene;
  const subscription = log.turns.subscribe('s');
  const request = await peer.next();
  t.is(request['credit'], SUBSCRIPTION_CREDIT);
  begin(peer, request);
  const text = JSON.stringify({ event: 'x'.repeat(SUBSCRIPTION_CREDIT / 4) });
  peer.push(request, [
    { seq: 1, text },
    { seq: 2, text },
    { seq: 3, text },
  ]);
  await settled(scene);
  t.is(await takeSeq(subscription), 1);
  await settled(scene);
  t.deepEqual(peer.waiting, []);
  t.is(await takeSeq(subscription), 2);
  const grant = await peer.next();
  const { subscription: number } = request;
  t.deepEqual(grant, { type: 'credit', subscription: number, credit: 2 * rowCredit(text.length) });
});

test('a window that is full is not asked for again, nor is more than is left of it', async (t) => {
  const scene = await connected(t);
  const { peer, log } = scene;
  const subscription = log.turns.subscribe('s');
  const request = await peer.next();
  begin(peer, request);
  const text = JSON.stringify({ event: 'x'.repeat(SUBSCRIPTION_CREDIT) });
  peer.push(request, [{ seq: 1 }, { seq: 2, text }]);
  await settled(scene);
  const next = await reconnected(scene);
  const again = await next.next();
  t.is(again['credit'], 0);
  begin(next, again, { cursor: { generation: 7, seq: 2 } });
  t.deepEqual(await takeSeqs(subscription, 2), [1, 2]);
  const { credit } = await next.next();
  t.is(credit, SUBSCRIPTION_CREDIT);
});

test('very many subscriptions share what a client holds, and are asked for a few at a time', async (t) => {
  const { peer, log } = await connected(t);
  const count = 2_000;
  const subscriptions = Array.from({ length: count }, (_, at) => log.turns.subscribe(`s${at}`));
  const first = await peer.take(CLIENT_SUBSCRIBES_MAX);
  await turn();
  t.deepEqual(peer.waiting, []);
  for (const request of first) begin(peer, request);
  for (let asked = first.length; asked < count; asked += 1) {
    const request = await peer.next();
    t.true(Number(request['credit']) <= CLIENT_SUBSCRIPTIONS_CREDIT / count);
    begin(peer, request);
    peer.push(request, [{ seq: Number(String(request['sessionId']).slice(1)) + 1 }]);
  }
  for (const [at, subscription] of subscriptions.entries()) {
    if (at >= first.length) t.is(await takeSeq(subscription), at + 1);
  }
});

test('what the daemon cannot mean ends the subscription alone', async (t) => {
  const scene = await connected(t);
  const { peer, log } = scene;
  const subscriptions = Array.from({ length: 4 }, () => log.turns.subscribe('s'));
  const requests = await peer.take(4);
  for (const request of requests) begin(peer, request);
  const [one, two, three, four] = requests as [Message, Message, Message, Message];
  peer.push(one, [{ seq: 1, text: 'no JSON' }]);
  peer.send({ type: 'push', subscription: two['subscription'], rows: [{ seq: 1, generation: 7 }] });
  peer.progress(three, {});
  peer.push(four, rowsOf(1));
  for (const subscription of subscriptions.slice(0, 3)) {
    await t.throwsAsync(subscription.next(), { instanceOf: ProtocolError });
  }
  t.is(await takeSeq(subscriptions[3] as Subscription<TurnEvent>), 1);
  const ended = (await peer.take(3)).map(({ subscription }) => subscription);
  t.deepEqual(new Set(ended), new Set([one, two, three].map(({ subscription }) => subscription)));
});

test('following everything gives entries with their positions', async (t) => {
  const scene = await connected(t);
  const subscription = scene.log.subscribeAll();
  const request = await scene.peer.next();
  t.false('afterPosition' in request);
  const number = request['subscription'];
  begin(scene.peer, request, { position: 10 });
  const text = (line: string): Uint8Array => Buffer.from(line);
  const rows = [
    {
      position: 11,
      journal: 'turns',
      streamId: 's',
      event: { seq: 1, generation: 11, text: text('{"event":"a","seq":1}') },
    },
    {
      position: 12,
      journal: 'runs',
      streamId: 't',
      event: { seq: 4, generation: 2, text: text('{"event_type":"b"}') },
    },
    { position: 13, journal: 'runs', streamId: 't', runId: 'r', deleted: true },
    { position: 14, journal: 'turns', streamId: 's', deleted: true },
  ];
  scene.peer.send({ type: 'push', subscription: number, rows });
  scene.peer.progress(request, { position: 20, caughtUp: true });
  const entries: LogEntry[] = [];
  for await (const entry of subscription) {
    entries.push(entry);
    t.is(subscription.position, entries.length === 4 ? 20 : entry.position);
    if (entries.length === 4) break;
  }
  const [turnEntry, runEntry, runGone, gone] = entries;
  t.like(turnEntry, { position: 11, journal: 'turns', streamId: 's', event: { seq: 1 } });
  t.like(runEntry, { position: 12, journal: 'runs', event: { event_type: 'b' } });
  t.deepEqual(runGone, {
    position: 13,
    journal: 'runs',
    streamId: 't',
    runId: 'r',
    deleted: true,
  });
  t.deepEqual(gone, { position: 14, journal: 'turns', streamId: 's', deleted: true });
  const { event } = runEntry as { event: RunEvent };
  t.like(detailsOf(event), { position: 12, cursor: { generation: 2, seq: 4 } });
});

test('following everything goes on behind the last position, or ends where that is gone', async (t) => {
  const scene = await connected(t);
  const subscription = scene.log.subscribeAll();
  const request = await scene.peer.next();
  begin(scene.peer, request, { position: 10 });
  const row = { position: 13, journal: 'turns', streamId: 's', deleted: true };
  scene.peer.send({ type: 'push', subscription: request['subscription'], rows: [row] });
  await settled(scene);
  const next = await reconnected(scene);
  const again = await next.next();
  t.is(again['afterPosition'], 13);
  next.refuse(again, 'POSITION_EXPIRED', { earliest: 40 });
  t.is((await subscription.next()).value?.position, 13);
  const error = await t.throwsAsync(subscription.next(), { instanceOf: PositionExpiredError });
  t.is(error.earliest, 40);
  t.is(subscription.position, 13);
});
