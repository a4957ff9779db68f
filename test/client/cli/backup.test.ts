/** `eventlog backup` as a process: into a pipe, on a terminal, ended early, refused. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, realpathSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { restored } from '../../support/backup.js';
import { finished, runCli, startCli } from '../../support/cli.js';
import { makeFolder, startDaemonProcess } from '../../support/daemon.js';
import { FaultShim } from '../../support/fault-shim/fault-shim.js';
import { client, eventually, testWith } from '../../support/faults.js';

const PROGRAM = fileURLToPath(new URL('../../../client/cli/main.js', import.meta.url));

/** A daemon whose backups stand still until the shim is cleared. */
async function held(t: ExecutionContext) {
  const shim = await FaultShim.make(await makeFolder(t));
  t.teardown(() => shim.close());
  const { dir } = await startDaemonProcess(t, { env: shim.env });
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'token', content: 'x' });
  const paths = ['*.partial/.eventlogd/checkpoint-*'];
  shim.set([{ calls: ['create'], paths, effect: { kind: 'hold' } }]);
  return { dir, log, shim, folder: join(await makeFolder(t), 'b') };
}

test('a pipe gets one object; a relative path begins where the command runs', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'token', content: 'x' });
  const folder = join(realpathSync(await makeFolder(t)), 'b');
  const wanted = relative(process.cwd(), folder);
  const { code, lines, stderr } = await runCli(['--dir', dir, 'backup', wanted, '--json']);
  t.is(code, 0, stderr);
  t.is(stderr, '');
  t.is(lines.length, 1);
  const { bytes, heldMs, tookMs, ...rest } = JSON.parse(lines[0] ?? '') as Record<string, unknown>;
  t.deepEqual(rest, { folder, files: 4, position: 1 });
  for (const value of [bytes, heldMs, tookMs]) t.is(typeof value, 'number');
  t.deepEqual([...(await restored(t, folder))], [['turns/s', ['1 x']]]);
});

testWith(
  ['fault shim', 'script'],
  'a terminal shows how far it is, then what there is',
  async (t) => {
    const { dir, shim, folder } = await held(t);
    const command = `exec '${process.execPath}' '${PROGRAM}' --dir '${dir}' backup '${folder}'`;
    const child = spawn('script', ['-qfec', command, '/dev/null'], {
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { PATH: process.env['PATH'], TERM: 'xterm', COLUMNS: '120' },
    });
    t.teardown(() => child.kill('SIGKILL'));
    let shown = '';
    child.stdout.on('data', (chunk: Buffer) => {
      shown += chunk.toString();
    });
    await eventually(() => /copying .* \d+% \d+\.\d MB in \d+ files/.test(shown), Boolean);
    shim.clear();
    t.is(((await once(child, 'close')) as [number | null])[0], 0);
    t.regex(shown, /b: 4 files, \d+\.\d MB, every event up to position 1; took \d+\.\d s/);
  },
);

testWith(['fault shim'], 'Ctrl-C ends it and leaves nothing', async (t) => {
  const { dir, log, shim, folder } = await held(t);
  const child = startCli(['--dir', dir, '--timeout', '1', 'backup', folder]);
  const end = finished(child);
  await eventually(
    () => shim.hits()[0],
    (hits) => hits === 1,
  );
  child.kill('SIGINT');
  const { code, stdout, stderr } = await end;
  t.is(code, 1);
  t.is(stdout, '');
  t.regex(stderr, /backup: aborted after it was sent\n +outcome: not-committed/);
  await eventually(
    async () => (await log.stats()).connections,
    (connections) => connections === 1,
  );
  shim.clear();
  await eventually(
    () => readdirSync(dirname(folder)),
    (names) => names.length === 0,
  );
  t.is((await log.stats()).health, 'ok');
});

test('what is refused says why and exits as it should', async (t) => {
  const { dir, stop } = await startDaemonProcess(t);
  const folder = join(await makeFolder(t), 'b');
  mkdirSync(folder);
  writeFileSync(join(folder, 'mine'), 'mine');
  const taken = await runCli(['--dir', dir, 'backup', folder]);
  t.is(taken.code, 2);
  t.regex(taken.stderr, /b is not empty; nothing was copied\n +outcome: not-committed/);
  const inside = await runCli(['--dir', dir, 'backup', join(dir, 'b')]);
  t.is(inside.code, 2);
  t.is((await runCli(['--dir', dir, 'backup'])).code, 2);
  t.is(await stop(), 0);
  t.is((await runCli(['--dir', dir, '--wait', '1', 'backup', folder])).code, 69);
});
