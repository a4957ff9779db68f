import test from 'ava';
import {
  connect,
  detailsOf,
  EventTooLargeError,
  InvalidArgumentError,
  InvalidEventError,
  InvalidIdError,
  type NewTurnEvent,
  ProtocolError,
  SequenceConflictError,
  TurnTerminalError,
} from '../../client/index.js';
import { parseJson } from '../../shared/json-parse.js';
import { connected, turn, watch } from '../support/connected.js';
import { startRawServer } from '../support/raw-server.js';

const STAMP = { createdAtUs: 1_779_000_000_123_456, turnId: '20260517T063320Z-0123456789ab' };

function textIn(request: Readonly<Record<string, unknown>>): string {
  return Buffer.from(request['text'] as Uint8Array).toString();
}

test('a lean ack becomes the record and the line that stand on disk', async (t) => {
  const { peer, log } = await connected(t);
  const appending = log.turns.append(
    's1',
    { event: 'submitted', content: 'a\u2028b\u0085', '2': 'b', '1': 'a', big: 2n ** 70n },
    { expectedSeq: 4, unlessTerminal: true, idempotencyKey: 'k' },
  );
  const request = await peer.next();
  t.like(request, {
    type: 'turns.append',
    sessionId: 's1',
    expectedSeq: 4,
    unlessTerminal: true,
    idempotencyKey: 'k',
  });
  t.false('streamId' in request);
  t.is(
    textIn(request),
    '{"1":"a","2":"b","event":"submitted","content":"a\u2028b\u0085","big":1180591620717411303424}',
  );
  peer.ack(request, { ...STAMP, seq: 5, generation: 3, position: 77 });
  const event = await appending;
  const line =
    '{"1":"a","2":"b","event":"submitted","content":"a\\u2028b\\u0085","big":1180591620717411303424,' +
    '"version":1,"session_id":"s1","turn_id":"20260517T063320Z-0123456789ab",' +
    '"created_at":1779000000.123456,"seq":5}';
  t.deepEqual(detailsOf(event), {
    cursor: { generation: 3, seq: 5 },
    position: 77,
    duplicate: false,
    text: line,
  });
  t.deepEqual(event, parseJson(line));
  t.deepEqual(Object.keys(event), Object.keys(parseJson(line) as object));
});

test('what the event has of its own is kept, null and blank too', async (t) => {
  const { peer, log } = await connected(t);
  const appending = log.turns.append('s1', {
    event: 'e',
    version: 2,
    session_id: 's1',
    turn_id: '',
    created_at: null,
  });
  const request = await peer.next();
  peer.ack(request, { seq: 1, createdAtUs: undefined });
  t.deepEqual(await appending, {
    event: 'e',
    version: 2,
    session_id: 's1',
    turn_id: '',
    created_at: null,
    seq: 1,
  });
});

test('created_at of a whole second is a float in the line', async (t) => {
  const { peer, log } = await connected(t);
  const appending = log.turns.append('s1', { event: 'e', turn_id: 't' });
  peer.ack(await peer.next(), { seq: 1, createdAtUs: 1_779_000_000_000_000 });
  const event = await appending;
  t.is(
    detailsOf(event).text,
    '{"event":"e","turn_id":"t","version":1,"session_id":"s1","created_at":1779000000.0,"seq":1}',
  );
});

test('appendForStream takes out the stream and a turn that is falsy', async (t) => {
  const { peer, log } = await connected(t);
  const rows: [NewTurnEvent, string][] = [
    [{ event: 'e' }, '{"event":"e"}'],
    [{ stream_id: 'x', event: 'e' }, '{"event":"e"}'],
    [{ event: 'e', stream_id: 'x' }, '{"event":"e"}'],
    [{ event: 'e', stream_id: 'x', turn_id: null, more: 1 }, '{"event":"e","more":1}'],
    [{ event: 'e', turn_id: '' }, '{"event":"e"}'],
    [{ event: 'e', turn_id: 0 }, '{"event":"e"}'],
    [{ event: 'e', turn_id: false }, '{"event":"e"}'],
    [{ event: 'e', turn_id: 't1' }, '{"event":"e","turn_id":"t1"}'],
    [{ event: 'e', turn_id: ['t1'] }, '{"event":"e","turn_id":["t1"]}'],
  ];
  for (const [event, text] of rows) {
    const appending = watch(log.turns.appendForStream('s1', 'str"eam', event));
    const request = await peer.next();
    t.is(textIn(request), text);
    t.is(request['streamId'], 'str"eam');
    const hasTurn = text.includes('turn_id');
    peer.ack(request, { seq: 1, ...(hasTurn ? {} : STAMP) });
    const record = await appending;
    t.is(record.stream_id, 'str"eam');
    t.deepEqual(record.turn_id, hasTurn ? event['turn_id'] : STAMP.turnId);
    t.deepEqual(
      Object.keys(record).slice(-5),
      hasTurn
        ? ['stream_id', 'version', 'session_id', 'created_at', 'seq']
        : ['turn_id', 'version', 'session_id', 'created_at', 'seq'],
    );
  }
});

test('a duplicate is the first line; one that was deleted since has no text', async (t) => {
  const { peer, log } = await connected(t);
  const options = { idempotencyKey: 'k' };
  const first = log.turns.append('s1', { event: 'e' }, options);
  const line = '{"event":"e","version":1,"turn_id":"t","seq":3}';
  const ack = { seq: 3, generation: 1, position: 9 };
  peer.answer(await peer.next(), { acks: [{ ...ack, text: Buffer.from(line) }], duplicate: true });
  const event = await first;
  t.deepEqual(event, parseJson(line));
  t.like(detailsOf(event), { duplicate: true, text: line, cursor: { generation: 1, seq: 3 } });

  const second = log.turns.append('s1', { event: 'e' }, options);
  peer.answer(await peer.next(), { acks: [{ ...ack, text: null }], duplicate: true });
  const deleted = await second;
  t.is(deleted.seq, 3);
  t.like(detailsOf(deleted), { duplicate: true, text: null, cursor: { generation: 1, seq: 3 } });
});

test('reading adds seq, last, to lines that lack it, and nothing else', async (t) => {
  const { peer, log } = await connected(t);
  const reading = log.turns.read('s1', { afterSeq: 0, limit: 7 });
  const request = await peer.next();
  t.like(request, { type: 'turns.read', sessionId: 's1', afterSeq: 0, limit: 7 });
  const lines = [
    '{}',
    '{"event":"e","nan":NaN,"inf":-Infinity,"big":18446744073709551616,"one":1.0}',
    '{"event":"e","seq":null}',
    '{"__proto__":{"x":1},"seq":4}',
    '\ufeff{}',
  ];
  const rows = lines.slice(0, 4).map((line, index) => ({
    text: Buffer.from(line),
    seq: index + 1,
    generation: 12,
  }));
  const malformed = [
    { line: 7, raw: '[]' },
    { line: 8, raw: 'x', rawBytes: 99, shard: 's~1.jsonl' },
  ];
  peer.answer(request, { rows, malformed, head: { generation: 12, seq: 4 } });
  const page = await reading;
  t.is(page.sessionId, 's1');
  t.is(page.generation, 12);
  t.deepEqual(page.malformed, malformed);
  const [empty, numbers, nullSeq, proto] = page.events;
  t.deepEqual(empty, { seq: 1 });
  t.deepEqual(Object.keys(numbers ?? {}), ['event', 'nan', 'inf', 'big', 'one', 'seq']);
  t.like(numbers, {
    nan: Number.NaN,
    inf: Number.NEGATIVE_INFINITY,
    big: 2n ** 64n,
    one: 1,
    seq: 2,
  });
  t.is((nullSeq as { seq: unknown }).seq, null);
  t.true(Object.hasOwn(proto ?? {}, '__proto__'));
  t.is(Object.getPrototypeOf(proto), Object.prototype);
  for (const [index, event] of page.events.entries()) {
    t.deepEqual(detailsOf(event), {
      cursor: { generation: 12, seq: index + 1 },
      duplicate: false,
      text: lines[index] as string,
    });
  }
});

test('an empty page belongs to no life unless the daemon names one', async (t) => {
  const { peer, log } = await connected(t);
  const one = log.turns.read('s1');
  const request = await peer.next();
  t.false('limit' in request);
  t.false('afterSeq' in request);
  peer.answer(request, {});
  t.deepEqual(await one, { sessionId: 's1', generation: 0, events: [], malformed: [] });
  const two = log.turns.read('s1', { afterSeq: 9 });
  peer.answer(await peer.next(), { head: { generation: 5, seq: 9 } });
  t.is((await two).generation, 5);
});

test('rows that are split over frames are put together', async (t) => {
  const { peer, log } = await connected(t);
  const reading = log.turns.read('s1');
  const request = await peer.next();
  const content = 'é'.repeat(1_000);
  const line = Buffer.from(`{"event":"e","content":"${content}","seq":2}`);
  const small = (seq: number): object => ({
    text: Buffer.from(`{"seq":${seq}}`),
    seq,
    generation: 1,
  });
  const part = (from: number, to: number): object => ({
    text: line.subarray(from, to),
    seq: 2,
    generation: 1,
  });
  // Cut inside a character, and over three frames.
  peer.answer(request, { rows: [small(1), part(0, 501)], more: true, split: true });
  peer.answer(request, { rows: [part(501, 1_500)], more: true, split: true });
  peer.answer(request, { rows: [part(1_500, line.length), small(3)], more: true });
  peer.answer(request, { rows: [small(4)], malformed: [{ line: 5, raw: 'x' }] });
  const { events, malformed } = await reading;
  t.deepEqual(
    events.map(({ seq }) => seq),
    [1, 2, 3, 4],
  );
  t.is(events[1]?.['content'], content);
  t.is(detailsOf(events[1] ?? { seq: 0 }).text, line.toString());
  t.is(malformed.length, 1);
});

test('what came before a restart is void, a row that had begun too', async (t) => {
  const { peer, log } = await connected(t);
  const reading = log.turns.read('s1');
  const request = await peer.next();
  const row = (seq: number, text: string, generation: number): object => ({
    text: Buffer.from(text),
    seq,
    generation,
  });
  const malformed = [{ line: 5, raw: 'x' }];
  peer.answer(request, { rows: [row(1, '{"event":"old"}', 1)], malformed, more: true });
  peer.answer(request, { rows: [row(2, '{"event":', 1)], more: true, split: true });
  peer.answer(request, { more: true, restart: true });
  peer.answer(request, { rows: [row(1, '{"event":"new"}', 2)], head: { generation: 2, seq: 1 } });
  const page = await reading;
  t.deepEqual(page, {
    sessionId: 's1',
    generation: 2,
    events: [{ event: 'new', seq: 1 }],
    malformed: [],
  });
});

test('states are keyed by any turn id; collisions keep their order', async (t) => {
  const { peer, log } = await connected(t);
  const asking = log.turns.states('s1');
  const row = (turnId: string, label: string, seq: number): object => ({
    text: Buffer.from(`{"event":"completed","turn_id":${JSON.stringify(turnId)},"seq":${seq}}`),
    seq,
    generation: 1,
    label,
    turnId,
  });
  peer.answer(await peer.next(), {
    rows: [
      row('__proto__', 'state', 1),
      row('constructor', 'state', 2),
      row('t', 'state', 5),
      row('t', 'collision', 4),
      row('t', 'collision', 5),
      row('__proto__', 'collision', 1),
    ],
  });
  const { states, collisions } = await asking;
  t.deepEqual(Object.keys(states), ['__proto__', 'constructor', 't']);
  t.is(states['__proto__']?.seq, 1);
  t.is(states['constructor']?.seq, 2);
  t.is(states['toString'], undefined);
  t.deepEqual(
    collisions.map(({ turnId, events }) => [turnId, events.map(({ seq }) => seq)]),
    [
      ['t', [4, 5]],
      ['__proto__', [1]],
    ],
  );
});

test('a pending turn has its latest event, and the submitted one if there is one', async (t) => {
  const { peer, log } = await connected(t);
  const asking = log.turns.pending({ limit: 5 });
  const request = await peer.next();
  t.like(request, { type: 'turns.pending', limit: 5 });
  t.false('sessionId' in request);
  const row = (sessionId: string, turnId: string, label: string, seq: number): object => ({
    text: Buffer.from(`{"seq":${seq}}`),
    seq,
    generation: 1,
    label,
    sessionId,
    turnId,
  });
  peer.answer(request, {
    rows: [
      row('a', 't1', 'submitted', 1),
      row('a', 't1', 'latest', 2),
      row('a', 't2', 'latest', 3),
      row('b', 't1', 'submitted', 1),
      row('b', 't1', 'latest', 1),
    ],
  });
  t.deepEqual(await asking, [
    { sessionId: 'a', turnId: 't1', submitted: { seq: 1 }, latest: { seq: 2 } },
    { sessionId: 'a', turnId: 't2', submitted: null, latest: { seq: 3 } },
    { sessionId: 'b', turnId: 't1', submitted: { seq: 1 }, latest: { seq: 1 } },
  ]);
  const wrong = watch(log.turns.pending({ sessionId: 'a' }));
  peer.answer(await peer.next(), { rows: [{ text: Buffer.from('{}'), seq: 1, generation: 1 }] });
  await t.throwsAsync(wrong, { instanceOf: ProtocolError });
});

test('ids come over several frames; counts and heads default to nothing', async (t) => {
  const { peer, log } = await connected(t);
  const ids = log.turns.sessionIds();
  const request = await peer.next();
  peer.answer(request, { ids: ['a', 'b'], more: true });
  peer.answer(request, { ids: ['c'] });
  t.deepEqual(await ids, ['a', 'b', 'c']);
  const head = log.turns.head('s');
  peer.answer(await peer.next(), {});
  t.deepEqual(await head, { generation: 0, seq: 0 });
  const deleted = log.turns.delete('s');
  peer.answer(await peer.next(), {});
  t.is(await deleted, 0);
});

test('integers that come as floats are integers', async (t) => {
  const { peer, log } = await connected(t);
  const appending = log.turns.append('s', { event: 'e' });
  // From 2^32 on the codec writes floats.
  peer.ack(await peer.next(), { seq: 2 ** 40, generation: 2 ** 41, position: 2 ** 42 });
  const event = await appending;
  t.is(event.seq, 2 ** 40);
  t.is(detailsOf(event).position, 2 ** 42);
});

test('refusals carry their facts', async (t) => {
  const { peer, log } = await connected(t);
  const one = watch(log.turns.append('s', { event: 'e' }, { expectedSeq: 0 }));
  peer.refuse(await peer.next(), 'SEQUENCE_CONFLICT', { actualSeq: 7 });
  const conflict = await t.throwsAsync(one, { instanceOf: SequenceConflictError });
  t.is(conflict?.actualSeq, 7);

  const two = watch(log.turns.append('s', { event: 'e' }, { unlessTerminal: true }));
  const line = '{"event":"completed","turn_id":"t"}';
  const facts = { text: Buffer.from(line), seq: 3, generation: 2 };
  peer.refuse(await peer.next(), 'TURN_TERMINAL', facts);
  const terminal = await t.throwsAsync(two, { instanceOf: TurnTerminalError });
  t.deepEqual(terminal?.event, { event: 'completed', turn_id: 't', seq: 3 });
  t.deepEqual(detailsOf(terminal?.event as never), {
    cursor: { generation: 2, seq: 3 },
    duplicate: false,
    text: line,
  });
});

const cycle: Record<string, unknown> = { event: 'e' };
cycle['self'] = cycle;

for (const [title, event, path] of [
  ['null', null, ''],
  ['an array', [], ''],
  ['a string', 'submitted', ''],
  ['undefined', undefined, ''],
  ['a function', () => {}, ''],
  ['no event', {}, 'event'],
  ['a blank event', { event: ' \n' }, 'event'],
  ['an event that is no string', { event: 7 }, 'event'],
  ['an event that is undefined', { event: undefined }, 'event'],
  ['a top-level seq', { event: 'e', seq: 1 }, 'seq'],
  ['a seq that is null', { event: 'e', seq: null }, 'seq'],
  ['another session', { event: 'e', session_id: 's2' }, 'session_id'],
  ['a session that is null', { event: 'e', session_id: null }, 'session_id'],
  ['NaN', { event: 'e', a: { b: [1, Number.NaN] } }, 'a.b[1]'],
  ['Infinity', { event: 'e', a: Number.POSITIVE_INFINITY }, 'a'],
  ['an unsafe integer', { event: 'e', a: 2 ** 53 }, 'a'],
  ['a cycle', cycle, 'self'],
  ['a function inside', { event: 'e', a: () => {} }, 'a'],
  [
    'a getter that throws',
    {
      event: 'e',
      get a(): never {
        throw new Error('mine');
      },
    },
    '',
  ],
] as const) {
  test(`an event is refused: ${title}`, async (t) => {
    const { peer, log } = await connected(t);
    for (const append of [
      () => log.turns.append('s1', event as never),
      () => log.turns.appendForStream('s1', 'x', event as never),
    ]) {
      const error = await t.throwsAsync(append(), { instanceOf: InvalidEventError });
      t.is(error?.path, path);
      t.is(error?.outcome, 'not-committed');
    }
    await turn();
    t.deepEqual(peer.waiting, []);
  });
}

test('an undefined member is left out, as JSON has it', async (t) => {
  const { peer, log } = await connected(t);
  const appending = log.turns.append('s1', { event: 'e', seq: undefined, content: undefined });
  const request = await peer.next();
  t.is(textIn(request), '{"event":"e"}');
  peer.ack(request);
  await appending;
});

test('an event over the announced limit is refused', async (t) => {
  const { peer, log } = await connected(t, { limits: { eventBytesMax: 100 } });
  const fits = { event: 'e', content: 'x'.repeat(100 - '{"event":"e","content":""}'.length) };
  const appending = log.turns.append('s1', fits);
  peer.ack(await peer.next());
  await appending;
  const error = await t.throwsAsync(log.turns.append('s1', { ...fits, a: 1 }), {
    instanceOf: EventTooLargeError,
  });
  t.is(error?.limitBytes, 100);
});

for (const id of ['', '.', '..', 'a/b', 'a\n', 'ä', 'a b', 'x'.repeat(250), null, 7] as string[]) {
  test(`session id ${JSON.stringify(id)?.slice(0, 20)} is refused everywhere`, async (t) => {
    const { peer, log } = await connected(t);
    for (const call of [
      () => log.turns.append(id, { event: 'e' }),
      () => log.turns.appendForStream(id, 'x', { event: 'e' }),
      () => log.turns.read(id),
      () => log.turns.states(id),
      () => log.turns.pending({ sessionId: id }),
      () => log.turns.head(id),
      () => log.turns.delete(id),
    ]) {
      await t.throwsAsync(call(), { instanceOf: InvalidIdError });
    }
    await turn();
    t.deepEqual(peer.waiting, []);
  });
}

test('whether a long id may be used is left to the daemon', async (t) => {
  const { peer, log } = await connected(t);
  const long = 'x'.repeat(240);
  const appending = watch(log.turns.append(long, { event: 'e' }));
  const request = await peer.next();
  t.is(request['sessionId'], long);
  peer.refuse(request, 'INVALID_ID');
  await t.throwsAsync(appending, { instanceOf: InvalidIdError });
});

for (const [path, options] of [
  ['expectedSeq', { expectedSeq: -1 }],
  ['expectedSeq', { expectedSeq: 1.5 }],
  ['expectedSeq', { expectedSeq: 2 ** 53 }],
  ['expectedSeq', { expectedSeq: '1' }],
  ['expectedSeq', { expectedSeq: null }],
  ['unlessTerminal', { unlessTerminal: 'yes' }],
  ['idempotencyKey', { idempotencyKey: '' }],
  ['idempotencyKey', { idempotencyKey: 'é'.repeat(65) }],
  ['idempotencyKey', { idempotencyKey: '\ud800' }],
  ['idempotencyKey', { idempotencyKey: 7 }],
  ['timeoutMs', { timeoutMs: 0 }],
  ['timeoutMs', { timeoutMs: Number.POSITIVE_INFINITY }],
  ['signal', { signal: 'stop' }],
  ['options', null],
] as const) {
  test(`append refuses ${path}: ${JSON.stringify(options)}`, async (t) => {
    const { log } = await connected(t);
    const error = await t.throwsAsync(log.turns.append('s1', { event: 'e' }, options as never), {
      instanceOf: InvalidArgumentError,
    });
    t.is(error?.path, path);
  });
}

for (const [path, options] of [
  ['limit', { limit: 0 }],
  ['limit', { limit: -1 }],
  ['limit', { limit: 1.5 }],
  ['limit', { limit: Number.POSITIVE_INFINITY }],
  ['afterSeq', { afterSeq: -1 }],
  ['afterSeq', { afterSeq: 0.5 }],
] as const) {
  test(`read refuses ${path}: ${Object.values(options).join()}`, async (t) => {
    const { log } = await connected(t);
    const error = await t.throwsAsync(log.turns.read('s1', options), {
      instanceOf: InvalidArgumentError,
    });
    t.is(error?.path, path);
    if (path === 'limit') {
      await t.throwsAsync(log.turns.pending(options), { instanceOf: InvalidArgumentError });
    }
  });
}

test('a stream id must be a string that UTF-8 can hold', async (t) => {
  const { log } = await connected(t);
  for (const streamId of [undefined, null, 7, '', 'a\udc00'] as unknown as string[]) {
    const error = await t.throwsAsync(log.turns.appendForStream('s1', streamId, { event: 'e' }), {
      instanceOf: InvalidArgumentError,
    });
    t.is(error?.path, 'streamId');
  }
});

test('detailsOf knows only what a client returned', async (t) => {
  t.throws(() => detailsOf({ seq: 1 }), { instanceOf: InvalidArgumentError });
  const server = await startRawServer(t);
  const opening = connect({ socketPath: server.socketPath });
  const peer = await server.accept();
  const log = await opening;
  const stats = log.stats();
  peer.answer(await peer.next(), { stats: { appends: 3, health: 'ok' } });
  t.like(await stats, { appends: 3, health: 'ok' });
  await log.close();
});
