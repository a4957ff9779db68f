/** `eventlog status --watch` as a process: into a pipe, and on a terminal. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { finished, startCli } from '../../support/cli.js';
import { startDaemonProcess } from '../../support/daemon.js';
import { client, testWith } from '../../support/faults.js';

const PROGRAM = fileURLToPath(new URL('../../../client/cli/main.js', import.meta.url));

interface Line {
  readonly time: string;
  readonly appends: number;
  readonly epoch: number;
  readonly health: string;
}

function watching(t: ExecutionContext, dir: string) {
  const child = startCli(['status', '--watch', '--interval', '20', '--dir', dir]);
  t.teardown(() => child.kill('SIGKILL'));
  const { stdout } = child;
  if (stdout === null) throw new Error('no pipe');
  const lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Line> => {
    const { value } = await lines.next();
    if (value === undefined) throw new Error('no more lines');
    return JSON.parse(value) as Line;
  };
  return { child, next };
}

test('a line each time in a pipe; what changes shows; SIGINT ends it well', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  const { child, next } = watching(t, dir);
  const first = await next();
  t.like(first, { appends: 0, health: 'ok' });
  t.false(Number.isNaN(Date.parse(first.time)));
  await log.turns.append('s', { event: 'delta' });
  let line = await next();
  while (line.appends === 0) line = await next();
  t.is(line.appends, 1);
  t.true(line.time > first.time);
  child.kill('SIGINT');
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  t.deepEqual([code, signal], [0, null]);
});

test('it lives on over a restart of the daemon', async (t) => {
  const daemon = await startDaemonProcess(t);
  const { next } = watching(t, daemon.dir);
  t.is((await next()).epoch, 1);
  await daemon.kill('SIGKILL');
  await startDaemonProcess(t, { dir: daemon.dir });
  let line = await next();
  while (line.epoch === 1) line = await next();
  t.is(line.epoch, 2);
});

test('a reader that goes away ends it quietly', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const child = startCli(['status', '--watch', '--interval', '1', '--dir', dir]);
  t.teardown(() => child.kill('SIGKILL'));
  if (child.stdout === null) throw new Error('no pipe');
  await once(child.stdout, 'data');
  const ended = once(child, 'exit');
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    errors += chunk.toString();
  });
  child.stdout.destroy();
  t.deepEqual(await ended, [0, null]);
  t.is(errors, '');
});

testWith(['script'], 'a terminal is painted anew each time, with rates', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  const command = `exec '${process.execPath}' '${PROGRAM}' status --watch --interval 50 --dir '${dir}'`;
  const child = spawn('script', ['-qfec', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: { PATH: process.env['PATH'], TERM: 'xterm' },
  });
  t.teardown(() => child.kill('SIGKILL'));
  let shown = '';
  const painted = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString();
      if (shown.split('\u001b[1;1H').length > 3) resolve();
    });
  });
  await log.turns.append('s', { event: 'delta' });
  await painted;
  const screens = shown.split('\u001b[1;1H').slice(1);
  for (const screen of screens.slice(0, -1)) {
    t.true(screen.startsWith('\u001b[0J'), JSON.stringify(screen.slice(0, 20)));
    t.regex(screen, /what +value +a second/);
    t.regex(screen, /\bfsyncs\.log +\d+/);
  }
  t.regex(screens[1] ?? '', /\bappends +[01] +\d+/);
  child.stdin.write('\u0003');
  t.is(((await once(child, 'close')) as [number | null])[0], 0);
});

test('once: everything, in a line', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const { code, lines } = await finished(startCli(['status', '--dir', dir]));
  t.is(code, 0);
  t.is(lines.length, 1);
  t.like(JSON.parse(lines[0] ?? ''), { health: 'ok', connections: 1, fsyncs: { log: 0 } });
});
