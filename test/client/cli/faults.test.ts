import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { finished, runCli, startCli } from '../../support/cli.js';
import {
  type Message,
  type RawConnection,
  startRawServer,
  temporaryFolder,
} from '../../support/raw-server.js';

test('without a daemon: exit 69, the socket, and how to start one', async (t) => {
  const dir = await temporaryFolder(t);
  const { code, stdout, stderr } = await runCli([
    'read',
    'turns',
    's1',
    '--dir',
    dir,
    '--wait',
    '10',
  ]);
  t.is(code, 69);
  t.is(stdout, '');
  t.true(stderr.includes(join(dir, '.eventlogd', 'eventlogd.sock')));
  t.regex(stderr, /outcome: not-committed/);
  t.regex(stderr, /eventlogd start/);
});

for (const args of [
  [],
  ['nonsense'],
  ['read'],
  ['read', 'turns'],
  ['read', 'turns', 's1', 's2'],
  ['read', 'turns', 's1', '--limit', '0'],
  ['read', 'turns', 's1', '--after', '-1'],
  ['read', 'turns', 's1', '--nonsense'],
  ['append', 'runs', 't1'],
  ['append', 'turns', 's1', '--expected-seq', '1.5'],
  ['status', '--timeout', 'soon'],
]) {
  test(`usage: eventlog ${args.join(' ')}`, async (t) => {
    const { code, stdout, stderr } = await runCli(args);
    t.is(code, 2);
    t.is(stdout, '');
    t.not(stderr, '');
  });
}

for (const args of [
  [],
  ['append'],
  ['append', 'turns'],
  ['append', 'runs'],
  ['read', 'turns'],
  ['read', 'runs'],
  ['states'],
  ['pending'],
  ['list', 'turns'],
  ['list', 'runs'],
  ['delete', 'turns'],
  ['delete', 'runs'],
  ['repair', 'turns'],
  ['repair', 'runs'],
  ['status'],
]) {
  test(`eventlog ${args.join(' ')} --help`, async (t) => {
    const { code, stdout, stderr } = await runCli([...args, '--help']);
    t.is(code, 0);
    t.is(stderr, '');
    t.regex(stdout, /^Usage: eventlog/);
    t.regex(stdout, /--dir <dir>/);
    if (args.length !== 1 || args[0] !== 'append') t.regex(stdout, /Examples:\n {2}\$ eventlog/);
  });
}

test('flags that do not go together are a usage error', async (t) => {
  const server = await startRawServer(t);
  for (const args of [
    ['read', 'runs', 't', 'r', '--before', '3'],
    ['read', 'runs', 't', '--type', 'x'],
    ['read', 'runs', 't', 'r', '--messages', '--task', 'x'],
  ]) {
    const running = runCli([...args, '--socket', server.socketPath]);
    await server.accept();
    const { code, stderr } = await running;
    t.is(code, 2, stderr);
  }
});

for (const [code, exitCode] of [
  ['INVALID_ID', 1],
  ['SEQUENCE_CONFLICT', 1],
  ['STREAM_FENCED', 1],
  ['LOG_CORRUPT', 65],
  ['STORAGE_FULL', 74],
  ['TIMEOUT', 69],
] as const) {
  test(`a request refused with ${code} exits ${exitCode}`, async (t) => {
    const server = await startRawServer(t);
    const running = runCli([
      'append',
      'turns',
      's1',
      '{"event":"e"}',
      '--socket',
      server.socketPath,
    ]);
    const peer = await server.accept();
    peer.refuse(await peer.next(), code, { actualSeq: 41 });
    const result = await running;
    t.is(result.code, exitCode);
    t.is(result.stdout, '');
    t.regex(result.stderr, new RegExp(`eventlog: ${code} for a test\\n  outcome: not-committed`));
    if (code === 'SEQUENCE_CONFLICT') t.regex(result.stderr, /seq 41/);
  });
}

test('an append whose answer is lost says that it may have been written', async (t) => {
  const server = await startRawServer(t);
  const running = runCli(['append', 'turns', 's1', '{"event":"e"}', '--socket', server.socketPath]);
  const peer = await server.accept();
  await peer.next();
  peer.end();
  const { code, stderr } = await running;
  t.is(code, 69);
  t.regex(stderr, /outcome: unknown/);
});

test('an event that is refused before it is sent exits 1', async (t) => {
  const server = await startRawServer(t);
  for (const text of [
    '{}',
    '[]',
    '{"event":',
    '{"event":"e","seq":1}',
    '{"event":"e"}\n{"event":"e"}',
  ]) {
    const running = runCli(['append', 'turns', 's1', text, '--socket', server.socketPath]);
    const peer = await server.accept();
    const { code } = await running;
    t.is(code, 1, text);
    t.is(await peer.nextOrEnd(), null);
  }
});

/** Answers appends until the client leaves; `refused` gets a refusal. */
async function serveAppends(peer: RawConnection, refused: number): Promise<Message[]> {
  const served: Message[] = [];
  for (;;) {
    const request = await peer.nextOrEnd();
    if (request === null) return served;
    served.push(request);
    if (served.length === refused) peer.refuse(request, 'STREAM_FENCED');
    else peer.ack(request, { turnId: 't' });
  }
}

test('lines stop at the first that fails, and the count is told', async (t) => {
  const server = await startRawServer(t);
  const lines = Array.from({ length: 5_000 }, (_, index) => `{"event":"e","n":${index}}\n`);
  const running = runCli(
    ['append', 'turns', 's1', '--socket', server.socketPath],
    lines.join('\n'),
  );
  const peer = await server.accept();
  const serving = serveAppends(peer, 3);
  const { code, stderr, lines: output } = await running;
  const served = await serving;
  t.is(code, 1);
  // The lines are 1, 3, 5 …, since each second one is blank.
  t.regex(stderr, /eventlog: stopped at line 5: \d+ events were appended to session s1/);
  const appended = Number(/: (\d+) events/.exec(stderr)?.[1]);
  t.is(appended, served.length - 1);
  t.is(output.length, appended);
  t.true(served.length <= 258);
});

test('a bad line is not sent, and neither is what follows it', async (t) => {
  const server = await startRawServer(t);
  const running = runCli(
    ['append', 'turns', 's1', '--socket', server.socketPath],
    '{"event":"a"}\n{"event":"b"}\n{"event":""}\n{"event":"d"}\n',
  );
  const peer = await server.accept();
  const served = await serveAppends(peer, 0);
  const { code, stderr, lines } = await running;
  t.is(code, 1);
  t.is(served.length, 2);
  t.is(lines.length, 2);
  t.regex(stderr, /event must be a string/);
  t.regex(stderr, /stopped at line 3: 2 events/);
});

test('lines count on from --expected-seq, and their keys carry the line number', async (t) => {
  const server = await startRawServer(t);
  const running = runCli(
    ['append', 'turns', 's1', '--expected-seq', '7', '--key', 'k', '--socket', server.socketPath],
    '{"event":"a"}\n\n{"event":"b"}\n',
  );
  const peer = await server.accept();
  const served = await serveAppends(peer, 0);
  t.is((await running).code, 0);
  t.deepEqual(
    served.map(({ expectedSeq, idempotencyKey }) => [expectedSeq, idempotencyKey]),
    [
      [7, 'k:1'],
      [8, 'k:3'],
    ],
  );
});

test('the text goes as it stands, and the answer shows the exact line', async (t) => {
  const server = await startRawServer(t);
  const text = '{"event": "e", "one": 1.0, "big": 1180591620717411303424, "x": "\\u2028"}';
  const running = runCli(['append', 'turns', 's1', text, '--socket', server.socketPath]);
  const peer = await server.accept();
  const request = await peer.next();
  t.is(Buffer.from(request['text'] as Uint8Array).toString(), text);
  peer.ack(request, { seq: 1, turnId: 't' });
  t.deepEqual((await running).lines, [
    `${text.slice(0, -1)},"version":1,"session_id":"s1","turn_id":"t","created_at":1779000000.123456,"seq":1}`,
  ]);
});

test('results are shown while standard input is still open', async (t) => {
  const server = await startRawServer(t);
  const child = startCli(['append', 'turns', 's1', '--socket', server.socketPath]);
  const peer = await server.accept();
  const output: string[] = [];
  const first = new Promise<void>((resolve) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      output.push(chunk.toString());
      resolve();
    });
  });
  child.stdin?.write('{"event":"a"}\n');
  peer.ack(await peer.next(), { turnId: 't' });
  await first;
  t.regex(output.join(''), /"event":"a"/);
  child.stdin?.end();
  t.is((await finished(child)).code, 0);
});

test('a reader that goes away ends the program quietly', async (t) => {
  const server = await startRawServer(t);
  const child = startCli(['read', 'turns', 's1', '--socket', server.socketPath]);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdout?.destroy();
  const peer = await server.accept();
  const request = await peer.next();
  const row = {
    text: Buffer.from(`{"event":"${'x'.repeat(100_000)}","seq":1}`),
    seq: 1,
    generation: 1,
  };
  peer.answer(request, { rows: Array.from({ length: 100 }, () => row) });
  t.is(await ended, 0);
  t.is(stderr, '');
});

test('malformed lines are told on standard error, lines without seq get it as text', async (t) => {
  const server = await startRawServer(t);
  const running = runCli(['read', 'turns', 's1', '--limit', '3', '--socket', server.socketPath]);
  const peer = await server.accept();
  const lines = ['{}', '{"one":1.0,"nan":NaN} ', '{"seq":3,"big":1e400}'];
  peer.answer(await peer.next(), {
    rows: lines.map((line, index) => ({ text: Buffer.from(line), seq: index + 1, generation: 1 })),
    malformed: [
      { line: 4, raw: '\u001b[31m' },
      { line: 1, raw: 'x', shard: 's1~7.jsonl' },
    ],
    head: { generation: 1, seq: 3 },
  });
  const { code, stderr, lines: output } = await running;
  t.is(code, 0);
  t.deepEqual(output, ['{"seq":1}', '{"one":1.0,"nan":NaN,"seq":2}', '{"seq":3,"big":1e400}']);
  t.regex(stderr, /line 4 of s1\.jsonl is malformed: "\\u001b\[31m"/);
  t.regex(stderr, /line 1 of s1~7\.jsonl is malformed/);
});

test('long reads come in pages; a session deleted meanwhile is told', async (t) => {
  const server = await startRawServer(t);
  const row = (seq: number): object => ({
    text: Buffer.from(`{"seq":${seq}}`),
    seq,
    generation: 1,
  });
  const running = runCli(['read', 'turns', 's1', '--socket', server.socketPath]);
  const peer = await server.accept();
  const first = await peer.next();
  t.like(first, { limit: 1_000 });
  t.false('afterSeq' in first);
  peer.answer(first, {
    rows: Array.from({ length: 1_000 }, (_, index) => row(index + 1)),
    head: { generation: 1, seq: 1_000 },
  });
  const second = await peer.next();
  t.like(second, { limit: 1_000, afterSeq: 1_000 });
  peer.answer(second, { rows: [], head: { generation: 9, seq: 1 } });
  const { code, lines, stderr } = await running;
  t.is(code, 1);
  t.is(lines.length, 1_000);
  t.regex(stderr, /deleted while it was read/);
});

test('a socket that is none is an error at once', async (t) => {
  const folder = await temporaryFolder(t);
  const server = createServer((socket) => socket.end('hello\r\n'));
  const path = join(folder, 's');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  t.teardown(() => server.close());
  const { code, stderr } = await runCli(['status', '--socket', path, '--wait', '60000']);
  t.is(code, 1);
  t.regex(stderr, /broken frame/);
});

test('repair with a daemon that does not know it: what to do instead', async (t) => {
  const server = await startRawServer(t);
  const cli = runCli(['--socket', server.socketPath, 'repair', 'turns', 's1', '--apply']);
  const connection = await server.accept();
  const request = await connection.next();
  t.is(request['type'], 'turns.repair');
  t.is(request['apply'], true);
  connection.refuse(request, 'PROTOCOL');
  const { code, stderr } = await cli;
  t.is(code, 1);
  t.regex(stderr, /update the daemon, or stop it and run 'eventlogd repair'/);
});
