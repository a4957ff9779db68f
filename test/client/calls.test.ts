import test from 'ava';
import {
  AbortedError,
  ClientClosedError,
  connect,
  type EventLog,
  type Outcome,
  OverloadedError,
  ProtocolError,
  ProtocolVersionError,
  StorageFullError,
  TimeoutError,
} from '../../client/index.js';
import { CLIENT_QUEUE_CALLS_MAX } from '../../shared/limits.js';
import { connected, turn, watch } from '../support/connected.js';
import { startRawServer } from '../support/raw-server.js';

const EVENT = { event: 'submitted' };

test('calls made in one tick share one write, in call order', async (t) => {
  const { peer, log } = await connected(t);
  const calls = Array.from({ length: 50 }, (_, index) =>
    log.turns.append(`s${index}`, { event: 'submitted' }),
  );
  const requests = await peer.take(50);
  t.is(peer.chunks, 1);
  t.deepEqual(
    requests.map(({ sessionId }) => sessionId),
    Array.from({ length: 50 }, (_, index) => `s${index}`),
  );
  for (const request of requests) peer.ack(request);
  await Promise.all(calls);
});

test('answers may come in any order', async (t) => {
  const { peer, log } = await connected(t);
  const one = log.turns.head('one');
  const two = log.turns.head('two');
  const [first, second] = await peer.take(2);
  peer.answer(second ?? {}, { head: { generation: 2, seq: 2 } });
  t.deepEqual(await two, { generation: 2, seq: 2 });
  peer.answer(first ?? {}, { head: { generation: 1, seq: 1 } });
  t.deepEqual(await one, { generation: 1, seq: 1 });
});

test('writes carry a number each and the lowest that is awaited', async (t) => {
  const { peer, log } = await connected(t);
  const first = log.turns.append('s', EVENT);
  const deleted = log.turns.delete('s');
  const head = log.turns.head('s');
  const [one, two, three] = await peer.take(3);
  t.like(one, { type: 'turns.append', number: 1, lowest: 1 });
  t.like(two, { type: 'turns.delete', number: 2, lowest: 1 });
  t.false('number' in (three ?? {}));
  t.false('lowest' in (three ?? {}));
  peer.answer(two ?? {}, { count: 3 });
  t.is(await deleted, 3);
  const fourth = log.turns.append('s', EVENT);
  const four = await peer.next();
  t.like(four, { number: 3, lowest: 1 });
  peer.ack(one ?? {});
  await first;
  const fifth = log.runs.deleteByThread('t');
  const five = await peer.next();
  t.like(five, { number: 4, lowest: 3 });
  peer.ack(four);
  peer.answer(five, { count: 0 });
  peer.answer(three ?? {}, { head: { generation: 0, seq: 0 } });
  await Promise.all([fourth, fifth, head]);
});

test('a read whose answer was cut is read again from its start', async (t) => {
  const { server, peer, log } = await connected(t);
  const reading = log.turns.read('s');
  const request = await peer.next();
  const row = (seq: number): object => ({
    text: Buffer.from(`{"event":"e","seq":${seq}}`),
    seq,
    generation: 1,
  });
  peer.answer(request, { rows: [row(1), row(2)], more: true, split: true });
  await turn();
  peer.end();
  const next = await server.accept();
  next.answer(await next.next(), { rows: [row(1), row(2)] });
  t.deepEqual((await reading).events, [
    { event: 'e', seq: 1 },
    { event: 'e', seq: 2 },
  ]);
});

test('calls made while there is no connection wait for the next one', async (t) => {
  const { server, peer, log } = await connected(t);
  const lost = new Promise((resolve) => log.on('disconnect', resolve));
  peer.end();
  await lost;
  t.is(log.state, 'reconnecting');
  const appending = log.turns.append('s', EVENT);
  const next = await server.connection();
  await next.next();
  t.is(log.state, 'handshaking');
  next.welcome();
  next.ack(await next.next());
  t.is((await appending).seq, 1);
  t.is(log.state, 'ready');
});

test('reconnecting goes on through connections that end before hello', async (t) => {
  const { server, peer, log } = await connected(t);
  const heading = log.turns.head('s');
  await peer.next();
  peer.end();
  (await server.connection()).socket.destroy();
  const refused = await server.connection();
  await refused.next();
  refused.send({ error: { code: 'DRAINING', message: 'no', outcome: 'not-committed' } });
  refused.end();
  const next = await server.accept();
  next.answer(await next.next(), { head: { generation: 1, seq: 1 } });
  t.deepEqual(await heading, { generation: 1, seq: 1 });
});

test('a daemon of another protocol refuses what waits; a later one serves again', async (t) => {
  const { server, peer, log } = await connected(t);
  const lost = new Promise((resolve) => log.on('disconnect', resolve));
  peer.end();
  await lost;
  const appending = watch(log.turns.append('s', EVENT));
  const other = await server.connection();
  await other.next();
  other.send({ error: { code: 'PROTOCOL_VERSION', message: 'no', outcome: 'not-committed' } });
  const error = await t.throwsAsync(appending, { instanceOf: ProtocolVersionError });
  t.is(error?.outcome, 'not-committed');
  const again = log.turns.append('s', EVENT);
  const next = await server.accept();
  next.ack(await next.next());
  await again;
});

test('what is refused as DRAINING is sent on the next connection, in call order', async (t) => {
  const { server, peer, log } = await connected(t, { limits: { callsInFlightMax: 3 } });
  const calls = ['a', 'b', 'c', 'd'].map((id) => log.turns.append(id, EVENT));
  const [one, two, three] = await peer.take(3);
  // Refused in another order than called; nothing is sent into the room that this makes.
  peer.refuse(two ?? {}, 'DRAINING');
  peer.refuse(one ?? {}, 'DRAINING');
  peer.ack(three ?? {});
  await calls[2];
  // All that was sent is answered, so the client leaves, and the daemon can close.
  t.is(log.state, 'reconnecting');
  t.deepEqual(peer.waiting, []);
  const next = await server.accept();
  const requests = await next.take(3);
  t.deepEqual(
    requests.map(({ sessionId, number }) => [sessionId, number]),
    [
      ['a', 1],
      ['b', 2],
      ['d', 4],
    ],
  );
  for (const request of requests) next.ack(request);
  await Promise.all(calls);
});

test('after the notice that the daemon drains nothing more is sent to it', async (t) => {
  const { server, peer, log } = await connected(t);
  const before = log.turns.append('before', EVENT);
  const request = await peer.next();
  const during = log.turns.append('during', EVENT);
  const request2 = await peer.next();
  peer.send({ type: 'draining' });
  peer.ack(request);
  await before;
  t.is(log.state, 'draining');
  peer.ack(request2);
  await during;
  t.is(log.state, 'reconnecting');
  const after = log.turns.append('after', EVENT);
  await turn();
  t.deepEqual(peer.waiting, []);
  const next = await server.accept();
  const [sent] = await next.take(1);
  t.is(sent?.['sessionId'], 'after');
  next.ack(sent ?? {});
  await after;
});

test('an append refused as DRAINING that is given up was not committed', async (t) => {
  const { peer, log } = await connected(t);
  const controller = new AbortController();
  const appending = watch(log.turns.append('s', EVENT, { signal: controller.signal }));
  const head = log.turns.head('s');
  const [append, other] = await peer.take(2);
  peer.refuse(append ?? {}, 'DRAINING');
  peer.answer(other ?? {}, { head: { generation: 0, seq: 0 } });
  await head;
  controller.abort();
  const error = await t.throwsAsync(appending, { instanceOf: AbortedError });
  t.is(error?.outcome, 'not-committed');
});

test('timeouts: unsent is not committed, a sent append unknown, a read not committed', async (t) => {
  const { peer, log } = await connected(t, { limits: { callsInFlightMax: 2 } });
  const options = { timeoutMs: 30 };
  const calls: [Promise<unknown>, Outcome, boolean][] = [
    [watch(log.turns.append('s', EVENT, options)), 'unknown', false],
    [watch(log.turns.head('s', options)), 'not-committed', true],
    [watch(log.turns.append('s', EVENT, options)), 'not-committed', true],
  ];
  await peer.take(2);
  for (const [call, outcome, retryable] of calls) {
    const error = await t.throwsAsync(call, { instanceOf: TimeoutError });
    t.is(error?.code, 'TIMEOUT');
    t.is(error?.outcome, outcome);
    t.is(error?.retryable, retryable);
  }
  t.deepEqual(peer.waiting, []);
});

test('the answer of a call that was given up is dropped and its room is used again', async (t) => {
  const { peer, log } = await connected(t, { limits: { callsInFlightMax: 1 } });
  const controller = new AbortController();
  const reading = watch(log.turns.read('s', { signal: controller.signal }));
  const request = await peer.next();
  controller.abort();
  await t.throwsAsync(reading, { instanceOf: AbortedError });
  const next = log.turns.head('s');
  await turn();
  t.deepEqual(peer.waiting, []);
  const row = { text: Buffer.from('{}'), seq: 1, generation: 1 };
  peer.answer(request, { rows: [row], more: true });
  await turn();
  t.deepEqual(peer.waiting, []);
  peer.answer(request, { rows: [row] });
  peer.answer(await peer.next(), { head: { generation: 1, seq: 1 } });
  t.deepEqual(await next, { generation: 1, seq: 1 });
});

test('an error answers a call that was given up too', async (t) => {
  const { peer, log } = await connected(t, { limits: { callsInFlightMax: 1 } });
  const controller = new AbortController();
  const appending = watch(log.turns.append('s', EVENT, { signal: controller.signal }));
  const request = await peer.next();
  controller.abort();
  await t.throwsAsync(appending, { instanceOf: AbortedError });
  peer.refuse(request, 'STORAGE_FULL');
  const next = log.turns.head('s');
  peer.answer(await peer.next(), { head: { generation: 1, seq: 1 } });
  await next;
});

test('abort before the write is not committed and nothing is sent', async (t) => {
  const { peer, log } = await connected(t, { limits: { callsInFlightMax: 1 } });
  const reason = new Error('user left');
  const early = await t.throwsAsync(
    log.turns.append('s', EVENT, { signal: AbortSignal.abort(reason) }),
    { instanceOf: AbortedError, name: 'AbortError' },
  );
  t.is(early?.outcome, 'not-committed');
  t.is(early?.cause, reason);

  const first = log.turns.append('first', EVENT);
  const controller = new AbortController();
  const waiting = watch(log.turns.append('waiting', EVENT, { signal: controller.signal }));
  const third = log.turns.append('third', EVENT);
  const request = await peer.next();
  controller.abort(reason);
  const error = await t.throwsAsync(waiting, { instanceOf: AbortedError });
  t.is(error?.outcome, 'not-committed');
  peer.ack(request);
  const next = await peer.next();
  t.is(next['sessionId'], 'third');
  peer.ack(next);
  await Promise.all([first, third]);
});

test('abort in the tick of the call is before the write', async (t) => {
  const { peer, log } = await connected(t);
  const controller = new AbortController();
  const appending = watch(log.turns.append('s', EVENT, { signal: controller.signal }));
  controller.abort();
  const error = await t.throwsAsync(appending, { instanceOf: AbortedError });
  t.is(error?.outcome, 'not-committed');
  const head = log.turns.head('next');
  const request = await peer.next();
  t.is(request['type'], 'turns.head');
  peer.answer(request, { head: { generation: 0, seq: 0 } });
  await head;
});

test('abort after the write is unknown for an append, not committed for a read', async (t) => {
  const { peer, log } = await connected(t);
  const controller = new AbortController();
  const { signal } = controller;
  const append = watch(log.turns.append('s', EVENT, { signal }));
  const batch = watch(
    log.runs.putBatch([{ thread_id: 't', run_id: 'r', event_type: 'e', category: 'c' }], {
      signal,
    }),
  );
  const read = watch(log.turns.read('s', { signal }));
  await peer.take(3);
  controller.abort();
  for (const [call, outcome] of [
    [append, 'unknown'],
    [batch, 'unknown'],
    [read, 'not-committed'],
  ] as const) {
    const error = await t.throwsAsync<AbortedError>(call as Promise<unknown>, {
      instanceOf: AbortedError,
    });
    t.is(error?.outcome, outcome);
  }
});

test('many calls may share one signal, and leave nothing on it', async (t) => {
  const { peer, log } = await connected(t);
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  const { signal } = new AbortController();
  const calls = Array.from({ length: 100 }, () => log.turns.head('s', { signal }));
  for (const request of await peer.take(100)) {
    peer.answer(request, { head: { generation: 1, seq: 1 } });
  }
  await Promise.all(calls);
  await turn();
  process.off('warning', onWarning);
  t.deepEqual(warnings, []);
});

test('past the window calls wait, past the queue they are refused', async (t) => {
  const { peer, log } = await connected(t, { limits: { callsInFlightMax: 2 } });
  const calls = Array.from({ length: CLIENT_QUEUE_CALLS_MAX + 2 }, () =>
    watch(log.turns.head('s')),
  );
  const error = await t.throwsAsync(log.turns.append('s', EVENT), { instanceOf: OverloadedError });
  t.like(error, { outcome: 'not-committed', retryable: true });
  let answered = 0;
  for (;;) {
    const request = await peer.next();
    t.true(peer.waiting.length <= 1);
    peer.answer(request, { head: { generation: 1, seq: 1 } });
    answered += 1;
    if (answered === calls.length) break;
  }
  await Promise.all(calls);
  const again = log.turns.head('s');
  peer.answer(await peer.next(), { head: { generation: 1, seq: 1 } });
  await again;
});

test('a call that is given up lets those go that waited behind it', async (t) => {
  const { peer, log } = await connected(t, { limits: { bytesInFlightMax: 5_000 } });
  const aborting = new AbortController();
  const first = watch(log.turns.append('s', { event: 'first' }));
  const request = await peer.next();
  const large = { event: 'large', content: 'x'.repeat(5_000) };
  const held = watch(log.turns.append('s', large, { signal: aborting.signal }));
  const behind = watch(log.turns.append('s', { event: 'behind' }));
  await turn();
  t.deepEqual(peer.waiting, []);
  aborting.abort();
  await t.throwsAsync(held, { instanceOf: AbortedError });
  peer.ack(await peer.next());
  peer.ack(request);
  await Promise.all([first, behind]);
});

test('the window counts bytes too', async (t) => {
  const limits = { bytesInFlightMax: 5_000 };
  const { server, peer, log } = await connected(t, { limits });
  const content = 'x'.repeat(2_000);
  const calls = [1, 2, 3].map((n) => watch(log.turns.append(`s${n}`, { event: 'e', content })));
  const [one] = await peer.take(2);
  await turn();
  t.deepEqual(peer.waiting, []);
  peer.ack(one ?? {});
  const three = await peer.next();
  t.is(three['sessionId'], 's3');
  // One call larger than the window goes alone.
  const large = watch(log.turns.append('large', { event: 'e', content: 'x'.repeat(9_000) }));
  await turn();
  t.deepEqual(peer.waiting, []);
  peer.end();
  const next = await server.accept(limits, { known: true });
  for (const request of await next.take(2)) next.ack(request);
  next.ack(await next.next());
  await Promise.all([...calls, large]);
});

test('a queue of too many bytes refuses what is more', async (t) => {
  const limits = { callsInFlightMax: 1, bytesInFlightMax: 1 };
  const { log } = await connected(t, { limits, timeoutMs: 500 });
  const event = { event: 'e', content: 'x'.repeat(10 * 1024 * 1024) };
  const calls = Array.from({ length: 6 }, () => watch(log.turns.append('s', event)));
  await t.throwsAsync(log.turns.append('s', event), { instanceOf: OverloadedError });
  for (const call of calls) await t.throwsAsync(call, { instanceOf: TimeoutError });
});

test('a socket that takes no more bytes holds calls back unsent', async (t) => {
  const { peer, log } = await connected(t);
  peer.socket.pause();
  const content = 'x'.repeat(1024 * 1024);
  const first = log.turns.append('s1', { event: 'e', content });
  await turn();
  const controller = new AbortController();
  const second = watch(
    log.turns.append('s2', { event: 'e', content }, { signal: controller.signal }),
  );
  const third = log.turns.append('s3', { event: 'e', content });
  await turn();
  controller.abort();
  const error = await t.throwsAsync(second, { instanceOf: AbortedError });
  t.is(error?.outcome, 'not-committed');
  peer.socket.resume();
  for (const request of await peer.take(2)) peer.ack(request);
  t.is((await first)['content'], content);
  t.is((await third)['content'], content);
});

test('an answer to a call that does not exist ends the connection', async (t) => {
  const { server, peer, log } = await connected(t);
  const lost = new Promise<Error>((resolve) => log.on('disconnect', resolve));
  peer.send({ id: 99, head: { generation: 1, seq: 1 } });
  t.true((await lost) instanceof ProtocolError);
  const next = await server.accept();
  const again = new Promise<Error>((resolve) => log.on('disconnect', resolve));
  next.send({ type: 'gossip' });
  t.true((await again) instanceof ProtocolError);
  const third = await server.accept();
  const broken = new Promise<Error>((resolve) => log.on('disconnect', resolve));
  third.socket.write(Buffer.alloc(8));
  t.true((await broken) instanceof ProtocolError);
  await server.accept();
});

for (const [title, fields] of [
  ['no acks', {}],
  [
    'too many acks',
    {
      acks: [
        { seq: 1, generation: 1 },
        { seq: 2, generation: 1 },
      ],
    },
  ],
  ['an ack without seq', { acks: [{ generation: 1 }] }],
  ['acks that are no array', { acks: 7 }],
] as const) {
  test(`an append answered by ${title} is unknown`, async (t) => {
    const { peer, log } = await connected(t);
    const appending = watch(log.turns.append('s', EVENT));
    peer.answer(await peer.next(), fields);
    const error = await t.throwsAsync(appending, { instanceOf: ProtocolError });
    t.is(error?.outcome, 'unknown');
    t.is(log.state, 'ready');
  });
}

test('an answer that ends inside a row, or has a row without text, fails its call alone', async (t) => {
  const { peer, log } = await connected(t);
  const row = { text: Buffer.from('{"a'), seq: 1, generation: 1 };
  const one = watch(log.turns.read('s'));
  peer.answer(await peer.next(), { rows: [row], split: true });
  await t.throwsAsync(one, { instanceOf: ProtocolError });
  const two = watch(log.turns.read('s'));
  const request = await peer.next();
  peer.answer(request, { rows: [{ ...row, text: null }], more: true });
  await t.throwsAsync(two, { instanceOf: ProtocolError });
  peer.answer(request, { rows: [{ ...row, text: null }] });
  const three = watch(log.turns.read('s'));
  peer.answer(await peer.next(), { rows: [row] });
  await t.throwsAsync(three, { instanceOf: ProtocolError, message: /not JSON/ });
  t.is(log.state, 'ready');
});

test('errors of the daemon come as their classes', async (t) => {
  const { peer, log } = await connected(t);
  const appending = watch(log.turns.append('s', EVENT));
  peer.refuse(await peer.next(), 'STORAGE_FULL');
  const error = await t.throwsAsync(appending, { instanceOf: StorageFullError });
  t.like(error, { code: 'STORAGE_FULL', outcome: 'not-committed', retryable: true });
});

test('close waits for the answers and refuses new calls', async (t) => {
  const { peer, log } = await connected(t);
  const appending = log.turns.append('s', EVENT);
  const closing = log.close();
  t.is(log.close(), closing);
  const error = await t.throwsAsync(log.turns.append('s', EVENT), {
    instanceOf: ClientClosedError,
  });
  t.is(error?.outcome, 'not-committed');
  peer.ack(await peer.next());
  t.is((await appending).seq, 1);
  await closing;
  t.is(log.state, 'closed');
  await peer.closed;
  await t.throwsAsync(log.stats(), { instanceOf: ClientClosedError });
});

test('close gives up what is unanswered after timeoutMs', async (t) => {
  const { peer, log } = await connected(t, { limits: { callsInFlightMax: 2 }, timeoutMs: 50 });
  const options = { timeoutMs: 60_000 };
  const calls: [Promise<unknown>, Outcome][] = [
    [watch(log.turns.append('s', EVENT, options)), 'unknown'],
    [watch(log.turns.head('s', options)), 'not-committed'],
    [watch(log.turns.append('s', EVENT, options)), 'not-committed'],
  ];
  await peer.take(2);
  await log.close();
  for (const [call, outcome] of calls) {
    const error = await t.throwsAsync(call, { instanceOf: ClientClosedError });
    t.is(error?.outcome, outcome);
  }
});

test('close while there is no connection ends the attempts', async (t) => {
  const { server, peer, log } = await connected(t);
  const lost = new Promise((resolve) => log.on('disconnect', resolve));
  peer.end();
  await lost;
  await server.close();
  await log.close();
  t.is(log.state, 'closed');
});

test('await using closes', async (t) => {
  const server = await startRawServer(t);
  const opening = connect({ socketPath: server.socketPath });
  const peer = await server.accept();
  let used: EventLog;
  {
    await using log = await opening;
    used = log;
  }
  t.is(used.state, 'closed');
  await peer.closed;
});

test('listeners hear of loss and return until they are removed', async (t) => {
  const { server, peer, log } = await connected(t);
  const heard: string[] = [];
  const stop = log.on('disconnect', () => heard.push('disconnect'));
  const back = new Promise<void>((resolve) =>
    log.on('reconnect', () => {
      heard.push('reconnect');
      resolve();
    }),
  );
  peer.end();
  const next = await server.accept();
  await back;
  t.deepEqual(heard, ['disconnect', 'reconnect']);
  stop();
  const again = new Promise((resolve) => log.on('reconnect', () => resolve(undefined)));
  next.end();
  await server.accept();
  await again;
  t.deepEqual(heard, ['disconnect', 'reconnect', 'reconnect']);
  t.throws(() => log.on('nonsense' as 'disconnect', () => {}));
  t.throws(() => log.on('disconnect', undefined as unknown as () => void));
});
