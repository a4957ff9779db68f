/** What becomes of calls whose connection ended before their answer. */
import test from 'ava';
import {
  AbortedError,
  DisconnectedError,
  detailsOf,
  ProtocolVersionError,
  SequenceConflictError,
  StorageFailedError,
  TimeoutError,
} from '../../client/index.js';
import { RequestTable } from '../../client/request-table.js';
import { type DaemonMemory, mayResend, SURELY_REMEMBERED_MS } from '../../client/resend.js';
import { CLIENT_RESULTS_MAX } from '../../shared/limits.js';
import { connected, watch } from '../support/connected.js';
import { LIMITS } from '../support/raw-server.js';

const EVENT = { event: 'submitted' };
const LONG = SURELY_REMEMBERED_MS;
const SHORT = SURELY_REMEMBERED_MS - 1;

const known = { knowsClient: true, isOlder: false };
const unknown = { knowsClient: false, isOlder: false };
const older = { knowsClient: false, isOlder: true };

const rules: readonly [string, DaemonMemory, number | null, number, boolean][] = [
  ['a daemon that knows the client knows the write, if it was done', known, 0, 0, true],
  ['however old it is', known, LONG, LONG, true],
  ['an older copy that knows the client too', { ...older, knowsClient: true }, 0, 0, true],
  ['the first write of a client', unknown, null, 0, true],
  ['the first write, just recent enough', unknown, null, SHORT, true],
  ['the first write, so old that its result may be forgotten', unknown, null, LONG, false],
  ['a write after another that the daemon should remember', unknown, 0, 0, false],
  ['after another that it should just remember', unknown, SHORT, 0, false],
  ['after another that it may have forgotten', unknown, LONG, 0, true],
  ['after another, and itself that old', unknown, LONG, LONG, false],
  ['an older copy of the directory', older, null, 0, false],
];
for (const [title, daemon, sinceAcknowledgedMs, sinceSentMs, expected] of rules) {
  test(`${title}: ${expected ? 'sent again' : 'unknown'}`, (t) => {
    t.is(mayResend(daemon, sinceAcknowledgedMs, sinceSentMs), expected);
  });
}

test('what was sent is sent again in call order, under the same numbers, before the rest', async (t) => {
  const limits = { callsInFlightMax: 4 };
  const { server, peer, log } = await connected(t, { limits });
  const calls = [
    log.turns.append('s', EVENT),
    log.turns.head('s'),
    log.runs.deleteByRun('t', 'r'),
    log.turns.head('other'),
    log.turns.append('waiting', EVENT),
    log.turns.head('waiting'),
  ];
  const before = await peer.take(4);
  t.like(before[2], { number: 2, lowest: 1 });
  peer.end();
  const next = await server.accept(limits);
  const requests = await next.take(4);
  t.deepEqual(requests, before);
  for (const request of requests) {
    if (request['type'] === 'turns.append') next.ack(request, { text: null });
    else next.answer(request, { count: 1, head: { generation: 1, seq: 9 } });
  }
  const rest = await next.take(2);
  t.like(rest[0], { type: 'turns.append', sessionId: 'waiting', number: 3, lowest: 3 });
  next.ack(rest[0] ?? {});
  next.answer(rest[1] ?? {}, { head: { generation: 1, seq: 9 } });
  await Promise.all(calls);
});

test('a duplicate answer to what was sent again is the first result', async (t) => {
  const { server, peer, log } = await connected(t);
  const appending = log.turns.append('s', EVENT);
  await peer.next();
  peer.end();
  const next = await server.accept({}, { known: true });
  const request = await next.next();
  const text = '{"event":"submitted","seq":7,"as":"it was"}';
  const acks = [{ seq: 7, generation: 3, position: 5, text: Buffer.from(text) }];
  next.answer(request, { acks, duplicate: true, created: true });
  const event = await appending;
  t.like(detailsOf(event), { duplicate: true, text, cursor: { generation: 3, seq: 7 } });
  t.deepEqual<unknown, unknown>(event, JSON.parse(text));
});

test('a daemon that should know the client and does not: unknown, and the rest goes on', async (t) => {
  const { server, peer, log } = await connected(t);
  const first = log.turns.append('s', EVENT);
  peer.ack(await peer.next(), {});
  await first;
  const acknowledged = log.turns.append('s', EVENT);
  peer.answer(await peer.next(), {
    acks: [{ seq: 2, generation: 1, position: 2 }],
    created: true,
  });
  await acknowledged;
  const lost = watch(log.turns.append('s', EVENT));
  const reading = log.turns.head('s');
  await peer.take(2);
  const isGone = new Promise((resolve) => log.on('disconnect', resolve));
  peer.end();
  await isGone;
  const unsent = log.turns.append('s', EVENT);
  const next = await server.accept();
  const error = await t.throwsAsync(lost, { instanceOf: DisconnectedError });
  t.is(error?.outcome, 'unknown');
  t.regex(error?.message ?? '', /no longer knows this client/);
  const [head, append] = await next.take(2);
  next.answer(head ?? {}, { head: { generation: 1, seq: 9 } });
  t.like(append, { number: 4, lowest: 4 });
  next.ack(append ?? {});
  await Promise.all([reading, unsent]);
});

test('what a daemon before this one acknowledged is nothing that this one should know', async (t) => {
  const { server, peer, log } = await connected(t);
  const first = log.turns.append('s', EVENT);
  peer.answer(await peer.next(), { acks: [{ seq: 1, generation: 1, position: 1 }], created: true });
  await first;
  peer.end();
  const second = await server.accept();
  const appending = log.turns.append('s', EVENT);
  await second.next();
  second.end();
  const third = await server.accept();
  third.ack(await third.next());
  t.is((await appending).seq, 2);
});

test('a daemon of a lower epoch than the one before: unknown', async (t) => {
  const { server, peer, log } = await connected(t);
  peer.end();
  const second = await server.accept({}, { epoch: 4 });
  const appending = watch(log.turns.append('s', EVENT));
  await second.next();
  second.end();
  await server.accept({}, { epoch: 3 });
  const error = await t.throwsAsync(appending, { instanceOf: DisconnectedError });
  t.is(error?.outcome, 'unknown');
});

test('answers that the daemon does not remember are no reason to be known', async (t) => {
  const { server, peer, log } = await connected(t);
  const key = { idempotencyKey: 'k' };
  const run = { thread_id: 't', run_id: 'r', event_type: 'e', category: 'c' };
  const text = Buffer.from('{"event":"e","seq":1}');
  const acks = [{ seq: 1, generation: 1, position: 1, text }];
  const calls = [
    log.turns.delete('s'),
    log.runs.putIfAbsent(run),
    log.turns.append('s', EVENT, key),
  ];
  const [deletion, put, keyed] = await peer.take(3);
  peer.answer(deletion ?? {}, { count: 0 });
  peer.answer(put ?? {}, { acks, created: false });
  peer.answer(keyed ?? {}, { acks, duplicate: true, created: true });
  await Promise.all(calls);
  const lost = log.turns.append('s', EVENT);
  await peer.next();
  peer.end();
  const next = await server.accept();
  next.ack(await next.next());
  t.is((await lost).seq, 4);
});

test('a call that was given up is not sent again', async (t) => {
  const { server, peer, log } = await connected(t);
  const controller = new AbortController();
  const aborted = watch(log.turns.append('s', EVENT, { signal: controller.signal }));
  await peer.next();
  controller.abort();
  await t.throwsAsync(aborted, { instanceOf: AbortedError });
  peer.end();
  const next = await server.accept();
  const head = log.turns.head('s');
  const request = await next.next();
  t.is(request['type'], 'turns.head');
  next.answer(request, { head: { generation: 0, seq: 0 } });
  await head;
});

test('a write that was sent once stays unknown while it waits to be sent again', async (t) => {
  const { server, peer, log } = await connected(t);
  const controller = new AbortController();
  const { signal } = controller;
  const aborted = watch(log.turns.append('s', EVENT, { signal }));
  const timedOut = watch(log.turns.append('s', EVENT, { timeoutMs: 1_000 }));
  const reading = watch(log.turns.head('s', { signal }));
  await peer.take(3);
  const isGone = new Promise((resolve) => log.on('disconnect', resolve));
  await server.close();
  await isGone;
  const unsent = watch(log.turns.append('s', EVENT, { signal }));
  controller.abort();
  for (const [call, outcome] of [
    [aborted, 'unknown'],
    [reading, 'not-committed'],
    [unsent, 'not-committed'],
  ] as const) {
    const error = await t.throwsAsync<AbortedError>(call as Promise<unknown>);
    t.is(error?.outcome, outcome);
  }
  const error = await t.throwsAsync(timedOut, { instanceOf: TimeoutError });
  t.is(error?.outcome, 'unknown');
});

test('a refusal of what was sent before is no proof that it was not done, unless it was looked for', async (t) => {
  const { server, peer, log } = await connected(t);
  const failing = watch(log.turns.append('s', EVENT));
  const conflicting = watch(log.turns.append('s', EVENT, { expectedSeq: 3 }));
  await peer.take(2);
  peer.end();
  const next = await server.accept({}, { known: true });
  const [first, second] = await next.take(2);
  next.refuse(first ?? {}, 'STORAGE_FAILED');
  next.refuse(second ?? {}, 'SEQUENCE_CONFLICT', { actualSeq: 4 });
  const failed = await t.throwsAsync(failing, { instanceOf: StorageFailedError });
  t.is(failed?.outcome, 'unknown');
  const conflict = await t.throwsAsync(conflicting, { instanceOf: SequenceConflictError });
  t.is(conflict?.outcome, 'not-committed');
});

test('a call that a draining daemon refuses was not done by it', async (t) => {
  const { peer, log } = await connected(t);
  const controller = new AbortController();
  const appending = watch(log.turns.append('s', EVENT, { signal: controller.signal }));
  const request = await peer.next();
  const isGone = new Promise((resolve) => log.on('disconnect', resolve));
  peer.refuse(request, 'DRAINING');
  await isGone;
  controller.abort();
  const error = await t.throwsAsync(appending, { instanceOf: AbortedError });
  t.is(error?.outcome, 'not-committed');
});

test('a daemon of another protocol: what was sent is unknown, what was not is refused', async (t) => {
  const { server, peer, log } = await connected(t);
  const sent = watch(log.turns.append('s', EVENT));
  await peer.next();
  const isGone = new Promise((resolve) => log.on('disconnect', resolve));
  peer.end();
  await isGone;
  const unsent = watch(log.turns.append('s', EVENT));
  const other = await server.connection();
  await other.next();
  const error = { code: 'PROTOCOL_VERSION', message: 'no', outcome: 'not-committed' };
  other.send({ type: 'hello', error });
  const lost = await t.throwsAsync(sent, { instanceOf: DisconnectedError });
  t.is(lost?.outcome, 'unknown');
  const refused = await t.throwsAsync(unsent, { instanceOf: ProtocolVersionError });
  t.is(refused?.outcome, 'not-committed');
});

test('a write does not go too far ahead of one that is not answered, and goes when that is given up', async (t) => {
  const table = new RequestTable(LIMITS, { describe: () => '', onGivenUp: () => undefined });
  const append = { type: 'turns.append', sessionId: 's', text: Buffer.from('{}') } as const;
  const aborting = new AbortController();
  const submit = (signal?: AbortSignal): Promise<unknown> =>
    watch(table.submit(append, { timeoutMs: undefined, signal }));
  const stuck = submit(aborting.signal);
  t.not(table.takeNext(), null);
  for (let id = 2; id <= CLIENT_RESULTS_MAX; id += 1) {
    const call = submit();
    table.takeNext();
    table.answer({ id, acks: [{ seq: id, generation: 1, position: id }], created: true });
    await call;
  }
  const held = submit();
  t.is(table.takeNext(), null);
  aborting.abort();
  await t.throwsAsync(stuck, { name: 'AbortError' });
  t.not(table.takeNext(), null);
  table.answer({ id: CLIENT_RESULTS_MAX + 1, acks: [], created: true });
  await held;
});
