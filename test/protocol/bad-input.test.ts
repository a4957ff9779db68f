/** Bad input over a raw socket: a typed error or a closed connection, and nothing written. */
import { readFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import type { EventLog } from '../../client/index.js';
import { encodeFrame } from '../../shared/frame-codec.js';
import { type DaemonProcess, residentBytes, startDaemonProcess } from '../support/daemon.js';
import { client, testWith, treeOf } from '../support/faults.js';
import { type Message, RawConnection } from '../support/raw-server.js';

const HELLO = { type: 'hello', protocolMin: 1, protocolMax: 1, clientId: 'a'.repeat(32) };
const RSS_GROWTH_MAX = 96 * 1024 * 1024;
const TURN = { sessionId: 's' };
const MIB = 1024 * 1024;

interface Served {
  readonly daemon: DaemonProcess;
  readonly log: EventLog;
  /** Fails the test unless everything is as it was and the next seqs are the first. */
  readonly untouched: () => Promise<void>;
}

async function served(t: ExecutionContext): Promise<Served> {
  const daemon = await startDaemonProcess(t);
  const log = await client(t, daemon.dir);
  const before = treeOf(daemon.dir);
  const untouched = async (): Promise<void> => {
    t.deepEqual(treeOf(daemon.dir), before);
    const { appends, events, commits } = await log.stats();
    t.deepEqual({ appends, events, commits }, { appends: 0, events: 0, commits: 0 });
    t.deepEqual(await log.turns.sessionIds(), []);
    t.deepEqual(await log.runs.threadIds(), []);
    t.is((await log.turns.append('s', { event: 'e' })).seq, 1);
    const run = { thread_id: 't', run_id: 'r', event_type: 'e', category: 'c' };
    t.is((await log.runs.put(run)).seq, 1);
    t.is(await daemon.stop(), 0);
  };
  return { daemon, log, untouched };
}

async function open({ socketPath }: DaemonProcess): Promise<RawConnection> {
  const socket = createConnection({ path: socketPath });
  const connection = new RawConnection(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  return connection;
}

async function greeted(daemon: DaemonProcess): Promise<RawConnection> {
  const connection = await open(daemon);
  connection.send(HELLO);
  await connection.next();
  return connection;
}

function frame(...body: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 + body.length);
  bytes.writeUInt32BE(body.length);
  bytes.set(body, 4);
  return bytes;
}

function length(bytes: number): Buffer {
  const prefix = Buffer.alloc(4);
  prefix.writeUInt32BE(bytes);
  return prefix;
}

function errorOf(message: Message | null): { readonly code: string; readonly message: string } {
  return message?.['error'] as { readonly code: string; readonly message: string };
}

const BROKEN: Readonly<Record<string, { readonly bytes: Buffer; readonly says: RegExp }>> = {
  'a giant length': { bytes: length(0xffff_ffff), says: /4294967295 bytes/ },
  'a length over the limit': { bytes: length(40 * MIB), says: /more than/ },
  'an empty frame': { bytes: frame(), says: /empty/ },
  'deep nesting': {
    bytes: frame(0x81, 0xa1, 0x61, ...Array.from({ length: 40 }, () => 0x91), 0xc0),
    says: /deep/,
  },
  'maps in maps in maps': {
    bytes: frame(...Array.from({ length: 40 }, () => [0x81, 0xa1, 0x61]).flat(), 0xc0),
    says: /deep/,
  },
  'an array that claims 2^32 items': {
    bytes: frame(0x81, 0xa1, 0x61, 0xdd, 0xff, 0xff, 0xff, 0xff),
    says: /./,
  },
  'a record extension': {
    bytes: frame(0x81, 0xa1, 0x61, 0xd4, 0x72, 0x40),
    says: /0xd4 is not allowed/,
  },
  'a record extension as the message': { bytes: frame(0xd4, 0x72, 0x40, 0x90), says: /./ },
  'trailing bytes': { bytes: frame(0x80, 0xc0), says: /follow/ },
  'no map': { bytes: frame(0x93, 0x01, 0x02, 0x03), says: /map/ },
  'a byte that msgpack never uses': { bytes: frame(0xc1), says: /./ },
  'a text that is cut short': { bytes: frame(0x81, 0xa1, 0x61, 0xd9, 0xff, 0x61), says: /./ },
  'a message without id': { bytes: Buffer.from(encodeFrame({ type: 'stats' })), says: /id/ },
  'a fractional id': { bytes: Buffer.from(encodeFrame({ type: 'stats', id: 1.5 })), says: /id/ },
  'a second hello': { bytes: Buffer.from(encodeFrame(HELLO)), says: /id/ },
};

test('broken frames cost the sender its connection, and nobody else anything', async (t) => {
  const { daemon, log, untouched } = await served(t);
  for (const [name, { bytes, says }] of Object.entries(BROKEN)) {
    const connection = await greeted(daemon);
    connection.socket.write(bytes);
    const { code, message } = errorOf(await connection.nextOrEnd());
    t.is(code, 'PROTOCOL', name);
    t.regex(message, says, name);
    t.is(await connection.nextOrEnd(), null, name);
    await connection.closed;
    t.is((await log.turns.head('s')).seq, 0);
  }
  await untouched();
});

test('a frame that never ends, then the end of the connection', async (t) => {
  const { daemon, untouched } = await served(t);
  const connection = await greeted(daemon);
  connection.socket.write(length(1_000));
  connection.socket.end(Buffer.from([0x81]));
  t.is(await connection.nextOrEnd(), null);
  await connection.closed;
  await untouched();
});

test('what comes before hello, or instead of it', async (t) => {
  const { daemon, untouched } = await served(t);
  const text = Buffer.from('{"event":"e"}');
  for (const first of [
    { type: 'turns.append', id: 1, sessionId: 's', text },
    { type: 'stats', id: 1 },
    { ...HELLO, clientId: 'not hexadecimal' },
    { ...HELLO, protocolMin: 'one' },
    { type: 'hello' },
    {},
  ]) {
    const connection = await open(daemon);
    connection.send(first);
    t.is(errorOf(await connection.nextOrEnd()).code, 'PROTOCOL', JSON.stringify(first));
    t.is(await connection.nextOrEnd(), null);
  }
  await untouched();
});

test('another protocol version', async (t) => {
  const { daemon, untouched } = await served(t);
  const connection = await open(daemon);
  connection.send({ ...HELLO, protocolMin: 2, protocolMax: 3 });
  const { code, message } = errorOf(await connection.nextOrEnd());
  t.is(code, 'PROTOCOL_VERSION');
  t.regex(message, /protocol 1.*2 to 3/);
  t.is(await connection.nextOrEnd(), null);
  await untouched();
});

const text = Buffer.from('{"event":"e"}');
const runs = { threadId: 't', runId: 'r' };
const REQUESTS: readonly (readonly [Message, string, string?])[] = [
  [{ type: 'nonsense' }, 'PROTOCOL'],
  [{ type: '__proto__' }, 'PROTOCOL'],
  [{ type: 7 }, 'PROTOCOL'],
  [{ type: 'turns.append', sessionId: 's' }, 'INVALID_ARGUMENT', 'text'],
  [{ type: 'turns.append', text }, 'INVALID_ID'],
  [{ type: 'turns.append', sessionId: 7, text }, 'INVALID_ID'],
  [{ type: 'turns.append', ...TURN, text: '{"event":"e"}' }, 'INVALID_ARGUMENT', 'text'],
  [{ type: 'turns.append', ...TURN, text, expectedSeq: -1 }, 'INVALID_ARGUMENT', 'expectedSeq'],
  [{ type: 'turns.append', ...TURN, text, expectedSeq: 0.5 }, 'INVALID_ARGUMENT', 'expectedSeq'],
  [
    { type: 'turns.append', ...TURN, text, idempotencyKey: 'k'.repeat(129) },
    'INVALID_ARGUMENT',
    'idempotencyKey',
  ],
  [
    { type: 'turns.append', ...TURN, text, unlessTerminal: 1 },
    'INVALID_ARGUMENT',
    'unlessTerminal',
  ],
  [{ type: 'runs.put', texts: [] }, 'INVALID_ARGUMENT', 'texts'],
  [{ type: 'runs.put', texts: text }, 'INVALID_ARGUMENT', 'texts'],
  [{ type: 'runs.put', texts: [7] }, 'INVALID_ARGUMENT', 'texts.0'],
  ...[-1, 0, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 60, '5', null].flatMap(
    (limit): (readonly [Message, string, string])[] => [
      [{ type: 'turns.read', ...TURN, limit }, 'INVALID_ARGUMENT', 'limit'],
      [{ type: 'runs.listMessages', threadId: 't', limit }, 'INVALID_ARGUMENT', 'limit'],
      [{ type: 'runs.listEvents', ...runs, limit }, 'INVALID_ARGUMENT', 'limit'],
      [{ type: 'turns.pending', limit }, 'INVALID_ARGUMENT', 'limit'],
    ],
  ),
  [{ type: 'turns.read', ...TURN, afterSeq: -1 }, 'INVALID_ARGUMENT', 'afterSeq'],
  [
    { type: 'runs.listMessages', threadId: 't', limit: 1, beforeSeq: 0.5 },
    'INVALID_ARGUMENT',
    'beforeSeq',
  ],
];

const BAD_IDS = [
  '',
  '.',
  '..',
  's\n',
  's\r',
  's\0',
  'a/b',
  '../s',
  'ä',
  's ',
  '~',
  'x'.repeat(256),
];
/** As ids of the newer alphabet go, these are too long to be new. */
const LONG = 'x'.repeat(201);

test('requests that are not of their form', async (t) => {
  const { daemon, untouched } = await served(t);
  const connection = await greeted(daemon);
  let id = 0;
  const refused = async (request: Message): Promise<Message> => {
    id += 1;
    connection.send({ ...request, id });
    const answer = await connection.next();
    t.is(answer['id'], id);
    const error = answer['error'] as Message | undefined;
    t.truthy(error, JSON.stringify(request));
    t.is(error?.['outcome'], 'not-committed', JSON.stringify(request));
    return error ?? {};
  };
  for (const [request, code, path] of REQUESTS) {
    const error = await refused(request);
    t.is(error['code'], code, JSON.stringify(request));
    t.is(error['path'], path, JSON.stringify(request));
  }
  for (const bad of BAD_IDS) {
    for (const request of [
      { type: 'turns.append', sessionId: bad, text },
      { type: 'turns.read', sessionId: bad },
      { type: 'turns.head', sessionId: bad },
      { type: 'turns.delete', sessionId: bad },
      { type: 'runs.head', threadId: bad },
      { type: 'runs.deleteByThread', threadId: bad },
      { type: 'runs.deleteByRun', threadId: 't', runId: bad },
      { type: 'runs.listEvents', threadId: 't', runId: bad, limit: 1 },
      {
        type: 'runs.put',
        texts: [
          Buffer.from(
            JSON.stringify({ thread_id: bad, run_id: 'r', event_type: 'e', category: 'c' }),
          ),
        ],
      },
      {
        type: 'runs.put',
        texts: [
          Buffer.from(
            JSON.stringify({ thread_id: 't', run_id: bad, event_type: 'e', category: 'c' }),
          ),
        ],
      },
    ]) {
      const error = await refused(request);
      const expected = bad === '' && request.type === 'runs.put' ? 'INVALID_EVENT' : 'INVALID_ID';
      t.is(error['code'], expected, `${request.type} ${JSON.stringify(bad)}`);
    }
  }
  t.is((await refused({ type: 'turns.append', sessionId: LONG, text }))['code'], 'INVALID_ID');
  connection.socket.destroy();
  await untouched();
});

const S = '"event":"e"';
const TURN_TEXTS: readonly (readonly [string, string | Buffer, string?])[] = [
  ['no object', '[1]'],
  ['a number', '7'],
  ['nothing', ''],
  ['no JSON', '{"event":"e"'],
  ['two values', '{"event":"e"}{"event":"e"}'],
  ['no event', '{"content":1}', 'event'],
  ['an event that is no string', '{"event":1}', 'event'],
  ['a blank event', '{"event":" "}', 'event'],
  ['NaN', `{${S},"a":NaN}`],
  ['NaN, deep down', `{${S},"a":[{"b":[1,NaN]}]}`],
  ['Infinity', `{${S},"a":Infinity}`],
  ['-Infinity', `{${S},"a":-Infinity}`],
  ['a duplicate event', `{${S},"event":"f"}`, 'event'],
  ['a duplicate turn_id', `{${S},"turn_id":"a","turn_id":"b"}`, 'turn_id'],
  ['a duplicate key in escapes', `{${S},"\\u0065vent":"f"}`, 'event'],
  ['a seq', `{${S},"seq":1}`, 'seq'],
  ['a seq in escapes', `{${S},"s\\u0065q":1}`, 'seq'],
  ['another session', `{${S},"session_id":"other"}`, 'session_id'],
  ['a session that is no string', `{${S},"session_id":7}`, 'session_id'],
  ['a raw LF', `{${S},\n"a":1}`],
  ['a raw CR', `{${S},\r"a":1}`],
  ['a raw tab between values', `{${S},\t"a":1}`],
  ['a raw tab in a string', `{${S},"a":"\t"}`],
  ['a NUL', `{${S},"a":"\0"}`],
  ['bytes that are no UTF-8', Buffer.from(`{${S},"a":"\xff"}`, 'latin1')],
  ['the raw bytes of a lone surrogate', Buffer.from(`{${S},"a":"\xed\xa0\x80"}`, 'latin1')],
  ['overlong UTF-8', Buffer.from(`{${S},"a":"\xc0\xaf"}`, 'latin1')],
  ['a byte order mark', Buffer.from(`\ufeff{${S}}`)],
  ['a comment', `{${S}/* */}`],
  ['single quotes', `{'event':'e'}`],
  ['a trailing comma', `{${S},}`],
  ['nesting without end', `{${S},"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`],
];

const R = '"thread_id":"t","run_id":"r","event_type":"e","category":"c"';
const RUN_TEXTS: readonly (readonly [string, string | Buffer, string?])[] = [
  ['an unknown key', `{${R},"extra":1}`, 'extra'],
  ['no thread', '{"run_id":"r","event_type":"e","category":"c"}', 'thread_id'],
  [
    'an empty category',
    '{"thread_id":"t","run_id":"r","event_type":"e","category":""}',
    'category',
  ],
  ['metadata that is no object', `{${R},"metadata":[]}`, 'metadata'],
  ['a duplicate content', `{${R},"content":1,"content":2}`, 'content'],
  ['NaN', `{${R},"content":NaN}`],
  ['a seq', `{${R},"seq":1}`, 'seq'],
];

test('texts that are no events', async (t) => {
  const { daemon, untouched } = await served(t);
  const connection = await greeted(daemon);
  const good = Buffer.from(`{${R}}`);
  let id = 0;
  const refused = async (name: string, request: Message, path?: string): Promise<void> => {
    id += 1;
    connection.send({ ...request, id });
    const answer = await connection.next();
    const error = answer['error'] as Message | undefined;
    t.is(error?.['code'], 'INVALID_EVENT', name);
    t.is(error?.['outcome'], 'not-committed', name);
    t.is(typeof error?.['path'], 'string', name);
    t.not(error?.['message'], '', name);
    if (path !== undefined) t.is(error?.['path'], path, name);
  };
  for (const [name, bad, path] of TURN_TEXTS) {
    const request = { type: 'turns.append', sessionId: 's', text: Buffer.from(bad) };
    await refused(name, request, path);
  }
  for (const [name, bad, path] of RUN_TEXTS) {
    const texts = [Buffer.from(bad)];
    await refused(name, { type: 'runs.put', texts }, path);
    // A batch is refused whole.
    await refused(name, { type: 'runs.put', texts: [good, ...texts, good] });
  }
  connection.socket.destroy();
  await untouched();
});

test('texts that are unusual but events', async (t) => {
  const { daemon, log } = await served(t);
  const connection = await greeted(daemon);
  const texts = [
    `{${S},"a":9007199254740993}`,
    `{${S},"a":1.0,"b":1e400,"c":-0}`,
    `{${S},"__proto__":{"x":1},"constructor":null}`,
    `{${S},"a":{"seq":1,"x":1,"x":2}}`,
    `{${S},"a":"\\ud800"}`,
    `{ ${S} , "session_id" : "s" }`,
  ];
  for (const [at, one] of texts.entries()) {
    connection.send({ type: 'turns.append', id: at + 1, sessionId: 's', text: Buffer.from(one) });
    const answer = await connection.next();
    t.is(answer['error'], undefined, one);
  }
  t.is((await log.turns.read('s')).events.length, texts.length);
  const lines = readFileSync(`${daemon.dir}/_turn_journal/s.jsonl`, 'utf8').split('\n');
  for (const [at, one] of texts.entries()) t.true(lines[at]?.startsWith(one.slice(0, -2)), one);
  t.is(await daemon.stop(), 0);
});

test('an event over the limit', async (t) => {
  const { daemon, untouched } = await served(t);
  const connection = await greeted(daemon);
  const big = Buffer.from(`{${S},"a":"${'x'.repeat(16 * MIB)}"}`);
  connection.send({ type: 'turns.append', id: 1, sessionId: 's', text: big });
  const error = (await connection.next())['error'] as Message;
  t.is(error['code'], 'EVENT_TOO_LARGE');
  t.is(error['limitBytes'], 16 * MIB);
  t.is(error['outcome'], 'not-committed');
  connection.socket.destroy();
  await untouched();
});

test('an event over the limit by the ids that are added to it', async (t) => {
  const daemon = await startDaemonProcess(t);
  const connection = await greeted(daemon);
  const turnId = 't'.repeat(9 * MIB);
  const [named, large] = [
    Buffer.from(`{${S},"turn_id":"${turnId}","stream_id":"v"}`),
    Buffer.from(`{${S},"a":"${'x'.repeat(8 * MIB)}"}`),
  ];
  const append = async (id: number, fields: Message): Promise<Message> => {
    connection.send({ type: 'turns.append', id, sessionId: 's', ...fields });
    return await connection.next();
  };
  // Written down, each of these characters takes six bytes.
  const first = await append(1, { text, streamId: '\u0001'.repeat(3 * MIB) });
  t.is(errorOf(first).code, 'EVENT_TOO_LARGE');
  t.is((await append(2, { text: named }))['error'], undefined);
  t.is(errorOf(await append(3, { text: large, streamId: 'v' })).code, 'EVENT_TOO_LARGE');
  t.is((await append(4, { text, streamId: 'v' }))['error'], undefined);
  const lines = readFileSync(`${daemon.dir}/_turn_journal/s.jsonl`, 'utf8').split('\n');
  t.deepEqual(
    lines.map(({ length }) => length <= 16 * MIB),
    [true, true, true],
  );
  t.is(await daemon.stop(), 0);
});

testWith(['/proc'], 'thousands of bad frames leave memory as it was', async (t) => {
  const { daemon, log, untouched } = await served(t);
  const broken = Object.values(BROKEN);
  const round = async (count: number): Promise<void> => {
    for (let done = 0; done < count; done += 50) {
      await Promise.all(
        Array.from({ length: 50 }, async (_, at) => {
          const connection = await greeted(daemon);
          // A long text first, which a giant length behind it must not keep.
          connection.send({ type: 'nonsense', id: 1, text: Buffer.alloc(50_000) });
          connection.socket.write((broken[at % broken.length] as { bytes: Buffer }).bytes);
          await connection.closed;
        }),
      );
    }
  };
  await round(500);
  const before = await residentBytes(daemon);
  await round(3_000);
  const connection = await greeted(daemon);
  for (let id = 1; id <= 5_000; id += 1) {
    connection.send({
      type: 'turns.append',
      id,
      sessionId: 's',
      text: Buffer.from(`{"no":${id}}`),
    });
    await connection.next();
  }
  connection.socket.destroy();
  t.true((await residentBytes(daemon)) - before < RSS_GROWTH_MAX);
  t.is((await log.stats()).health, 'ok');
  await untouched();
});
