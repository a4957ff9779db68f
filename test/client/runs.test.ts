import test from 'ava';
import {
  detailsOf,
  EventTooLargeError,
  InvalidArgumentError,
  InvalidEventError,
  InvalidIdError,
  type NewRunEvent,
  ProtocolError,
} from '../../client/index.js';
import { parseJson } from '../../shared/json-parse.js';
import { connected, turn, watch } from '../support/connected.js';

const EVENT: NewRunEvent = {
  thread_id: 't1',
  run_id: 'r1',
  event_type: 'run.start',
  category: 'trace',
};
const US = 1_779_000_000_123_456;

function textsIn(request: Readonly<Record<string, unknown>>): string[] {
  return (request['texts'] as Uint8Array[]).map((text) => Buffer.from(text).toString());
}

test('a lean ack becomes the record and the line that stand on disk', async (t) => {
  const { peer, log } = await connected(t);
  const putting = log.runs.put(
    Object.assign({ category: '' }, EVENT, { content: { z: 1, a: ['\u2029'] }, metadata: null }),
    { expectedSeq: 1, idempotencyKey: 'k' },
  );
  const request = await peer.next();
  t.like(request, { type: 'runs.put', expectedSeq: 1, idempotencyKey: 'k' });
  t.false('ifAbsent' in request);
  t.deepEqual(textsIn(request), [
    '{"category":"trace","thread_id":"t1","run_id":"r1","event_type":"run.start",' +
      '"content":{"z":1,"a":["\u2029"]},"metadata":null}',
  ]);
  peer.ack(request, { seq: 2, generation: 1, position: 40, createdAtUs: US });
  const event = await putting;
  const line =
    '{"thread_id": "t1", "run_id": "r1", "event_type": "run.start", "category": "trace", ' +
    '"content": {"z":1,"a":["\\u2029"]}, "metadata": {}, "seq": 2, ' +
    '"created_at": "2026-05-17T06:40:00.123456+00:00"}';
  t.deepEqual(detailsOf(event), {
    cursor: { generation: 1, seq: 2 },
    position: 40,
    duplicate: false,
    text: line,
  });
  t.deepEqual(event, parseJson(line) as never);
  t.deepEqual(Object.keys(event), Object.keys(parseJson(line) as object));
});

test('content and metadata have defaults, and created_at is kept', async (t) => {
  const { peer, log } = await connected(t);
  const putting = log.runs.put({ ...EVENT, created_at: 'yesterday' });
  peer.ack(await peer.next(), { seq: 1, createdAtUs: undefined });
  t.deepEqual(await putting, {
    ...EVENT,
    content: '',
    metadata: {},
    seq: 1,
    created_at: 'yesterday',
  } as never);
});

test('a batch is one request, and its records come in input order', async (t) => {
  const { peer, log } = await connected(t);
  const putting = log.runs.putBatch([
    { ...EVENT, content: 1 },
    { ...EVENT, thread_id: 't2', content: 2n ** 63n },
    { ...EVENT, run_id: 'r2', content: null },
  ]);
  const request = await peer.next();
  t.is(textsIn(request).length, 3);
  const ack = (seq: number, position: number): object => ({
    seq,
    generation: 1,
    position,
    createdAtUs: US,
  });
  peer.answer(request, { acks: [ack(5, 10), ack(1, 11)], more: true });
  peer.answer(request, { acks: [ack(6, 12)] });
  const events = await putting;
  t.deepEqual(
    events.map((event) => [event.thread_id, event.run_id, event.seq, event.content]),
    [
      ['t1', 'r1', 5, 1],
      ['t2', 'r1', 1, 2n ** 63n],
      ['t1', 'r2', 6, null],
    ],
  );
  t.deepEqual(
    events.map((event) => detailsOf(event).position),
    [10, 11, 12],
  );
});

test('an empty batch is no call', async (t) => {
  const { peer, log } = await connected(t);
  t.deepEqual(await log.runs.putBatch([]), []);
  await turn();
  t.deepEqual(peer.waiting, []);
  await t.throwsAsync(log.runs.putBatch([], { timeoutMs: -1 }), {
    instanceOf: InvalidArgumentError,
  });
});

test('putIfAbsent gives the event that was there, or the new one', async (t) => {
  const { peer, log } = await connected(t);
  const first = log.runs.putIfAbsent(EVENT);
  const request = await peer.next();
  t.true(request['ifAbsent']);
  peer.answer(request, {
    created: true,
    acks: [{ seq: 1, generation: 1, position: 1, createdAtUs: US }],
  });
  t.like(await first, { created: true, event: { seq: 1, content: '' } });

  const second = log.runs.putIfAbsent({ ...EVENT, content: 'other' });
  const line = '{"thread_id": "t1", "run_id": "r1", "content": "there", "seq": 1}';
  peer.answer(await peer.next(), {
    created: false,
    acks: [{ seq: 1, generation: 1, position: 0, text: Buffer.from(line) }],
  });
  const { event, created } = await second;
  t.false(created);
  t.deepEqual(event, parseJson(line) as never);
  t.deepEqual(detailsOf(event), {
    text: line,
    duplicate: false,
    cursor: { generation: 1, seq: 1 },
  });
});

test('a duplicate that was deleted since has neither text nor stamp', async (t) => {
  const { peer, log } = await connected(t);
  const putting = log.runs.put(EVENT, { idempotencyKey: 'k' });
  const ack = { seq: 3, generation: 1, position: 9, text: null };
  peer.answer(await peer.next(), { acks: [ack], duplicate: true });
  const event = await putting;
  t.deepEqual(event, { ...EVENT, content: '', metadata: {}, seq: 3 } as never);
  t.deepEqual(detailsOf(event), {
    cursor: { generation: 1, seq: 3 },
    position: 9,
    duplicate: true,
    text: null,
  });
});

test('reading adds nothing to a line', async (t) => {
  const { peer, log } = await connected(t);
  const listing = log.runs.listMessages('t1');
  const request = await peer.next();
  t.like(request, { type: 'runs.listMessages', threadId: 't1', limit: 50 });
  const line = '{"category": "message", "content": NaN}';
  peer.answer(request, { rows: [{ text: Buffer.from(line), seq: 0, generation: 4 }] });
  const [event] = await listing;
  t.deepEqual(event, { category: 'message', content: Number.NaN } as never);
  t.deepEqual(detailsOf(event as never), {
    cursor: { generation: 4, seq: 0 },
    duplicate: false,
    text: line,
  });
});

test('the list calls send their options and defaults', async (t) => {
  const { peer, log } = await connected(t);
  const calls: [Promise<unknown>, object][] = [
    [
      log.runs.listMessages('t', { limit: 3, beforeSeq: 9, afterSeq: 2 }),
      { type: 'runs.listMessages', threadId: 't', limit: 3, beforeSeq: 9, afterSeq: 2 },
    ],
    [
      log.runs.listEvents('t', 'r'),
      { type: 'runs.listEvents', threadId: 't', runId: 'r', limit: 500 },
    ],
    [
      log.runs.listEvents('t', 'r', { eventTypes: [], taskId: '', afterSeq: 0, limit: 1 }),
      { type: 'runs.listEvents', eventTypes: [], taskId: '', afterSeq: 0, limit: 1 },
    ],
    [
      log.runs.listMessagesByRun('t', 'r', { afterSeq: 7 }),
      { type: 'runs.listMessagesByRun', threadId: 't', runId: 'r', limit: 50, afterSeq: 7 },
    ],
  ];
  for (const [call, wanted] of calls) {
    const request = await peer.next();
    t.like(request, wanted);
    t.is(request['eventTypes'] === undefined, !('eventTypes' in wanted));
    peer.answer(request, { rows: [] });
    t.deepEqual(await call, []);
  }
});

test('counts, ids, heads and deletes', async (t) => {
  const { peer, log } = await connected(t);
  const calls: [Promise<unknown>, object, object, unknown][] = [
    [log.runs.countMessages('t'), { type: 'runs.countMessages', threadId: 't' }, { count: 4 }, 4],
    [log.runs.threadIds(), { type: 'runs.threadIds' }, { ids: ['a'] }, ['a']],
    [
      log.runs.head('t'),
      { type: 'runs.head', threadId: 't' },
      { head: { generation: 1, seq: 2 } },
      { generation: 1, seq: 2 },
    ],
    [
      log.runs.deleteByThread('t'),
      { type: 'runs.deleteByThread', threadId: 't', number: 1 },
      { count: 2 },
      2,
    ],
    [
      log.runs.deleteByRun('t', 'r'),
      { type: 'runs.deleteByRun', threadId: 't', runId: 'r', number: 2 },
      { count: 0 },
      0,
    ],
  ];
  for (const [call, request, answer, wanted] of calls) {
    const sent = await peer.next();
    t.like(sent, request);
    peer.answer(sent, answer);
    t.deepEqual(await call, wanted);
  }
});

test('a batch answered by too few acks is unknown', async (t) => {
  const { peer, log } = await connected(t);
  const putting = watch(log.runs.putBatch([EVENT, EVENT]));
  peer.ack(await peer.next());
  const error = await t.throwsAsync(putting, { instanceOf: ProtocolError });
  t.is(error?.outcome, 'unknown');
});

for (const [title, event, path] of [
  ['null', null, ''],
  ['a number', 7, ''],
  ['an unknown key', { ...EVENT, extra: 1 }, 'extra'],
  ['a seq', { ...EVENT, seq: 1 }, 'seq'],
  ['no thread_id', { ...EVENT, thread_id: undefined }, 'thread_id'],
  ['a blank run_id', { ...EVENT, run_id: '' }, 'run_id'],
  ['no event_type', { ...EVENT, event_type: undefined }, 'event_type'],
  ['an empty event_type', { ...EVENT, event_type: '' }, 'event_type'],
  ['a category that is no string', { ...EVENT, category: 1 }, 'category'],
  ['metadata that is an array', { ...EVENT, metadata: [] }, 'metadata'],
  ['metadata that is a string', { ...EVENT, metadata: '' }, 'metadata'],
  ['created_at that is a number', { ...EVENT, created_at: 1 }, 'created_at'],
  ['created_at that is empty', { ...EVENT, created_at: '' }, 'created_at'],
  ['created_at that is null', { ...EVENT, created_at: null }, 'created_at'],
  ['content with NaN', { ...EVENT, content: { a: Number.NaN } }, 'content.a'],
] as const) {
  test(`an event is refused: ${title}`, async (t) => {
    const { peer, log } = await connected(t);
    for (const put of [
      () => log.runs.put(event as never),
      () => log.runs.putIfAbsent(event as never),
    ]) {
      const error = await t.throwsAsync(put(), { instanceOf: InvalidEventError });
      t.is(error?.path, path);
    }
    const error = await t.throwsAsync(log.runs.putBatch([EVENT, event as never]), {
      instanceOf: InvalidEventError,
    });
    t.is(error?.path, path === '' ? '[1]' : `[1].${path}`);
    t.regex(error?.message ?? '', /^event 1 of the batch: /);
    await turn();
    t.deepEqual(peer.waiting, []);
  });
}

for (const id of ['.', 'a.b', 'a\n', 'a/b', 'ä', 'x'.repeat(250)]) {
  test(`id ${JSON.stringify(id).slice(0, 20)} is refused everywhere`, async (t) => {
    const { log } = await connected(t);
    for (const call of [
      () => log.runs.put({ ...EVENT, thread_id: id }),
      () => log.runs.put({ ...EVENT, run_id: id }),
      () => log.runs.putBatch([EVENT, { ...EVENT, run_id: id }]),
      () => log.runs.listMessages(id),
      () => log.runs.listEvents(id, 'r'),
      () => log.runs.listEvents('t', id),
      () => log.runs.listMessagesByRun('t', id),
      () => log.runs.countMessages(id),
      () => log.runs.head(id),
      () => log.runs.deleteByThread(id),
      () => log.runs.deleteByRun('t', id),
    ]) {
      await t.throwsAsync(call(), { instanceOf: InvalidIdError });
    }
  });
}

test('batches over their limits are refused', async (t) => {
  const { peer, log } = await connected(t, { limits: { batchEventsMax: 2, batchBytesMax: 200 } });
  const count = await t.throwsAsync(log.runs.putBatch([EVENT, EVENT, EVENT]), {
    instanceOf: InvalidArgumentError,
  });
  t.is(count?.path, 'events');
  const event = { ...EVENT, content: 'x'.repeat(50) };
  const bytes = await t.throwsAsync(log.runs.putBatch([event, event]), {
    instanceOf: EventTooLargeError,
  });
  t.is(bytes?.limitBytes, 200);
  await t.throwsAsync(log.runs.putBatch('no' as never), { instanceOf: InvalidArgumentError });
  await turn();
  t.deepEqual(peer.waiting, []);
});

test('one expected seq cannot be meant for two threads', async (t) => {
  const { log } = await connected(t);
  const batch = [EVENT, { ...EVENT, thread_id: 't2' }];
  const error = await t.throwsAsync(log.runs.putBatch(batch, { expectedSeq: 0 }), {
    instanceOf: InvalidArgumentError,
  });
  t.is(error?.path, 'expectedSeq');
});

for (const [path, options] of [
  ['limit', { limit: 0 }],
  ['limit', { limit: 2.5 }],
  ['beforeSeq', { beforeSeq: -1 }],
  ['afterSeq', { afterSeq: Number.NaN }],
  ['timeoutMs', { timeoutMs: -5 }],
] as const) {
  test(`lists refuse ${path}: ${Object.values(options).join()}`, async (t) => {
    const { log } = await connected(t);
    const calls = [
      () => log.runs.listMessages('t', options),
      () => log.runs.listMessagesByRun('t', 'r', options),
      ...(path === 'beforeSeq' ? [] : [() => log.runs.listEvents('t', 'r', options)]),
    ];
    for (const call of calls) {
      const error = await t.throwsAsync(call(), { instanceOf: InvalidArgumentError });
      t.is(error?.path, path);
    }
  });
}

for (const [path, options] of [
  ['eventTypes', { eventTypes: 'run.start' }],
  ['eventTypes[1]', { eventTypes: ['a', 1] }],
  ['eventTypes[0]', { eventTypes: ['\ud800'] }],
  ['eventTypes', { eventTypes: Array.from({ length: 10_001 }, () => 'a') }],
  ['taskId', { taskId: 1 }],
] as const) {
  test(`listEvents refuses ${path} of ${JSON.stringify(options).slice(0, 40)}`, async (t) => {
    const { log } = await connected(t);
    const error = await t.throwsAsync(log.runs.listEvents('t', 'r', options as never), {
      instanceOf: InvalidArgumentError,
    });
    t.is(error?.path, path);
  });
}

test('a request larger than a frame is refused', async (t) => {
  const { log } = await connected(t, { limits: { frameBytesMax: 1_000 } });
  const eventTypes = Array.from({ length: 100 }, (_, index) => `type-${index}-${'x'.repeat(10)}`);
  await t.throwsAsync(log.runs.listEvents('t', 'r', { eventTypes }), {
    instanceOf: InvalidArgumentError,
    message: /at most 1000 are allowed/,
  });
});
