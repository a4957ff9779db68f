/** What a process manager is told, and tells: over the channel to a parent, and systemd's way. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { makeFolder, runDaemonProgram, startDaemonProcess } from '../support/daemon.js';
import { client, testWith } from '../support/faults.js';

const LISTEN = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound')
while True:
    print(s.recv(4096).decode().strip())
`;
const PROGRAM = fileURLToPath(new URL('../../daemon/main.js', import.meta.url));

type Data = Readonly<Record<string, { readonly value: unknown; readonly unit?: string }>>;

function forked(t: ExecutionContext, dir: string, env: NodeJS.ProcessEnv = {}): ChildProcess {
  const child = fork(PROGRAM, ['start', '--dir', dir], {
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    env: { PATH: process.env['PATH'], ...env },
  });
  t.teardown(() => child.kill('SIGKILL'));
  return child;
}

async function told(child: ChildProcess): Promise<unknown> {
  const [message] = (await once(child, 'message')) as [unknown];
  return message;
}

test('ready comes first, when clients are served; the message shutdown drains', async (t) => {
  const dir = join(await makeFolder(t), 'd');
  const child = forked(t, dir);
  t.is(await told(child), 'ready');
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'delta' });
  const others: unknown[] = [];
  child.on('message', (message) => others.push(message));
  const ended = once(child, 'exit');
  child.send('something else');
  child.send('shutdown');
  t.deepEqual(await ended, [0, null]);
  t.deepEqual(others, [], 'a parent that is not pm2 is told nothing else');
});

test('pm2 is told how it fares, every second', async (t) => {
  const dir = join(await makeFolder(t), 'd');
  const child = forked(t, dir, { pm_id: '0' });
  t.is(await told(child), 'ready');
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'delta' });
  const next = async (): Promise<Data> => {
    const { type, data } = (await told(child)) as { type: string; data: Data };
    t.is(type, 'axm:monitor');
    return data;
  };
  let data = await next();
  // The append shows in one of the seconds.
  while (data['ack p99']?.value === '-') data = await next();
  t.like(data, { health: { value: 'ok' }, connections: { value: 1 }, queue: { value: 0 } });
  t.like(data, { 'open streams': { value: 1 }, 'commit log': { value: 1, unit: 'MiB' } });
  t.true(Number(data['disk free']?.value) > 0);
  t.regex(String(data['ack p99']?.value), /^≤ [\d.]+$/);
});

testWith(['python3', 'systemd-notify'], 'systemd is told when clients are served', async (t) => {
  const folder = await makeFolder(t);
  const socket = join(folder, 'notify');
  const listener = spawn('python3', ['-u', '-c', LISTEN, socket], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => listener.kill('SIGKILL'));
  const lines = createInterface({ input: listener.stdout })[Symbol.asyncIterator]();
  t.is((await lines.next()).value, 'bound');
  const dir = join(folder, 'd');
  await startDaemonProcess(t, { dir, env: { NOTIFY_SOCKET: socket } });
  t.is((await lines.next()).value, 'READY=1');
});

test('a parent that goes away takes nothing with it', async (t) => {
  const dir = join(await makeFolder(t), 'd');
  const child = forked(t, dir, { pm_id: '0' });
  t.is(await told(child), 'ready');
  child.disconnect();
  const log = await client(t, dir);
  const { seq } = await log.turns.append('s', { event: 'delta' });
  t.is(seq, 1);
  const ended = once(child, 'exit');
  child.kill('SIGINT');
  t.deepEqual(await ended, [0, null]);
});

test('a daemon that cannot listen says why and ends', async (t) => {
  const folder = await makeFolder(t);
  const socket = join(folder, 'absent', 'x.sock');
  const args = ['start', '--dir', join(folder, 'd'), '--socket', socket];
  const { code, output } = await runDaemonProgram(args);
  t.is(code, 74);
  t.true(output.includes(socket));
});
