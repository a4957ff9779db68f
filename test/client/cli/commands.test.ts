/** The `eventlog` program against a real daemon. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { runCli } from '../../support/cli.js';
import { startDaemonProcess } from '../../support/daemon.js';

test('turns from the shell: append, read, states, pending, list, delete', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const cli = async (args: readonly string[], input = '') =>
    await runCli([...args, '--dir', dir], input);

  const first = await cli(
    ['append', 'turns', 's1', '--json'],
    '{"event":"submitted","content":"hi"}\n',
  );
  t.is(first.code, 0, first.stderr);
  t.like(JSON.parse(first.stdout), { event: 'submitted', content: 'hi', session_id: 's1', seq: 1 });
  const file = join(dir, '_turn_journal', 's1.jsonl');
  t.is(await readFile(file, 'utf8'), first.stdout);

  const text = '{"event":"note","one":1.0,"big":1180591620717411303424,"turn_id":"t9"}';
  const second = await cli(['append', 'turns', 's1', text]);
  t.true(second.stdout.startsWith(text.slice(0, -1)));
  const input = Array.from(
    { length: 500 },
    (_, n) => `{"event":"note","n":${n},"turn_id":"t9"}`,
  ).join('\n');
  const many = await cli(['append', 'turns', 's1', '--expected-seq', '2'], input);
  t.is(many.code, 0, many.stderr);
  t.is(many.lines.length, 500);

  const read = await cli(['read', 'turns', 's1']);
  t.is(read.stdout, await readFile(file, 'utf8'));
  const page = await cli(['read', 'turns', 's1', '--after', '1', '--limit', '1']);
  t.is(page.stdout, second.stdout);

  const stream = await cli([
    'append',
    'turns',
    's1',
    '--stream',
    'x',
    '{"event":"worker_started"}',
  ]);
  t.like(JSON.parse(stream.stdout), { stream_id: 'x', seq: 503 });
  const end = '{"event":"completed","turn_id":"t9"}';
  t.is((await cli(['append', 'turns', 's1', '--unless-terminal', end])).code, 0);
  const refused = await cli(['append', 'turns', 's1', '--unless-terminal', end]);
  t.is(refused.code, 1);
  t.regex(refused.stderr, /outcome: not-committed/);
  t.is((await cli(['append', 'turns', 's1', '--expected-seq', '3', end])).code, 1);

  const keyed = ['append', 'turns', 's2', '--key', 'k', '{"event":"completed","turn_id":"t"}'];
  const once = await cli(keyed);
  t.is((await cli(keyed)).stdout, once.stdout);
  t.is((await cli(['append', 'turns', 's2', '{"event":"interrupted","turn_id":"t"}'])).code, 0);

  const states = (await cli(['states', 's2'])).lines.map((line) => JSON.parse(line) as object);
  t.is(states.length, 2);
  t.like(states[0], { turnId: 't', state: { event: 'interrupted' } });
  t.like(states[1], { turnId: 't', collision: [{ event: 'completed' }, { event: 'interrupted' }] });

  const pending = (await cli(['pending'])).lines.map((line) => JSON.parse(line) as object);
  t.is(pending.length, 2);
  t.like(pending[0], { sessionId: 's1', submitted: { content: 'hi' }, latest: { seq: 1 } });
  t.is((await cli(['pending', 's2'])).stdout, '');
  t.is((await cli(['pending', '--limit', '1'])).lines.length, 1);

  t.deepEqual((await cli(['list', 'turns'])).lines, ['{"sessionId":"s1"}', '{"sessionId":"s2"}']);
  t.deepEqual((await cli(['delete', 'turns', 's1'])).lines, ['{"sessionId":"s1","deleted":504}']);
  t.deepEqual((await cli(['list', 'turns'])).lines, ['{"sessionId":"s2"}']);
});

test('runs from the shell: append, read, list, delete', async (t) => {
  const { dir, socketPath } = await startDaemonProcess(t);
  const cli = async (args: readonly string[], input = '') =>
    await runCli(args, input, { EVENTLOGD_SOCKET: socketPath });

  const first = await cli(
    ['append', 'runs', 't1', 'r1'],
    '{"event_type":"run.start","category":"trace"}',
  );
  t.is(first.code, 0, first.stderr);
  t.like(JSON.parse(first.stdout), {
    thread_id: 't1',
    run_id: 'r1',
    content: '',
    metadata: {},
    seq: 1,
  });
  t.is(await readFile(join(dir, 'threads', 't1', 'runs', 'r1.jsonl'), 'utf8'), first.stdout);
  const messages = Array.from(
    { length: 60 },
    (_, n) =>
      `{"event_type":"m","category":"message","content":${n}.0,"metadata":{"task_id":"k${n % 2}"}}`,
  );
  t.is((await cli(['append', 'runs', 't1', 'r1'], messages.join('\n'))).code, 0);
  t.is((await cli(['append', 'runs', 't1', 'r2', messages[0] as string])).code, 0);

  const latest = await cli(['read', 'runs', 't1']);
  t.is(latest.lines.length, 50);
  t.like(JSON.parse(latest.lines.at(-1) ?? ''), { run_id: 'r2', seq: 62 });
  t.true(latest.lines[0]?.includes('"content": 11.0'));
  t.is((await cli(['read', 'runs', 't1', '--before', '10', '--limit', '3'])).lines.length, 3);
  t.is((await cli(['read', 'runs', 't1', 'r1'])).lines.length, 61);
  t.is(
    (await cli(['read', 'runs', 't1', 'r1', '--type', 'run.start', '--type', 'x'])).lines.length,
    1,
  );
  t.is((await cli(['read', 'runs', 't1', 'r1', '--task', 'k1'])).lines.length, 30);
  t.is((await cli(['read', 'runs', 't1', 'r1', '--after', '60'])).lines.length, 1);
  t.is((await cli(['read', 'runs', 't1', 'r1', '--messages', '--limit', '7'])).lines.length, 7);

  t.deepEqual((await cli(['list', 'runs'])).lines, ['{"threadId":"t1"}']);
  t.deepEqual((await cli(['delete', 'runs', 't1', 'r2'])).lines, [
    '{"threadId":"t1","runId":"r2","deleted":1}',
  ]);
  t.deepEqual((await cli(['delete', 'runs', 't1'])).lines, ['{"threadId":"t1","deleted":61}']);
  t.is((await cli(['list', 'runs'])).stdout, '');

  const status = await cli(['status']);
  t.is(status.code, 0);
  t.is(typeof (JSON.parse(status.stdout) as { appends: unknown }).appends, 'number');
});

test('refusals of the daemon exit 1 and say what and where', async (t) => {
  const { dir } = await startDaemonProcess(t);
  for (const args of [
    ['append', 'turns', 'x'.repeat(201), '{"event":"e"}'],
    ['append', 'turns', '../x', '{"event":"e"}'],
    ['append', 'turns', 's1', '{"event":"e","event":"f"}'],
    ['append', 'runs', 't1', 'r1', '{"event_type":"e","category":"c","extra":1}'],
    ['append', 'runs', 'x'.repeat(65), 'r1', '{"event_type":"e","category":"c"}'],
    ['read', 'turns', '..'],
  ]) {
    const { code, stdout, stderr } = await runCli([...args, '--dir', dir]);
    t.is(code, 1, stderr);
    t.is(stdout, '');
    t.regex(stderr, /^eventlog: .+\n {2}outcome: not-committed/);
  }
});
