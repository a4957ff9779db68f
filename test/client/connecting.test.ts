import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import {
  AbortedError,
  connect,
  DisconnectedError,
  DrainingError,
  InvalidArgumentError,
  OverloadedError,
  ProtocolError,
  ProtocolVersionError,
} from '../../client/index.js';
import { RawServer, startRawServer, temporaryFolder } from '../support/raw-server.js';

test('hello carries the protocol range, a client id and the name', async (t) => {
  const server = await startRawServer(t);
  const opening = connect({ socketPath: server.socketPath, clientName: 'webui' });
  const peer = await server.connection();
  const hello = await peer.next();
  t.like(hello, { type: 'hello', protocolMin: 1, protocolMax: 1, clientName: 'webui' });
  t.regex(String(hello['clientId']), /^[0-9a-f]{32}$/);
  peer.welcome();
  const log = await opening;
  t.is(log.state, 'ready');
  await log.close();
  t.is(log.state, 'closed');
  await peer.closed;
});

test('connect waits for a socket that does not exist yet', async (t) => {
  const folder = await temporaryFolder(t);
  const socketPath = join(folder, 's');
  const opening = connect({ socketPath });
  // An attempt that finds nothing has been made once its first pause runs.
  await new Promise((resolve) => setImmediate(resolve));
  const server = await startRawServer(t, socketPath);
  await server.accept();
  const log = await opening;
  t.is(log.state, 'ready');
  await log.close();
});

test('connect waits through a socket that nobody listens on', async (t) => {
  const socketPath = join(await temporaryFolder(t), 's');
  const stale = createServer().listen(socketPath);
  await new Promise((resolve) => stale.once('listening', resolve));
  // Closing removes the file, so the test leaves one by hand: a plain file refuses connections too.
  await new Promise((resolve) => stale.close(resolve));
  await writeFile(socketPath, '');
  const error = await t.throwsAsync(connect({ socketPath, waitMs: 0 }), {
    instanceOf: DisconnectedError,
  });
  t.like(error?.cause, { code: 'ECONNREFUSED' });
  t.true(error?.message.includes(socketPath));
});

test('connect waits through connections that end before hello is answered', async (t) => {
  const server = await startRawServer(t);
  const opening = connect({ socketPath: server.socketPath });
  const early = await server.connection();
  early.socket.destroy();
  const late = await server.connection();
  await late.next();
  late.end();
  await server.accept();
  const log = await opening;
  t.is(log.state, 'ready');
  await log.close();
});

for (const [code, wanted] of [
  ['DRAINING', DrainingError],
  ['OVERLOADED', OverloadedError],
] as const) {
  test(`connect tries again when hello is refused with ${code}, and says so at the end`, async (t) => {
    const server = await startRawServer(t);
    const opening = connect({ socketPath: server.socketPath });
    const busy = await server.connection();
    await busy.next();
    busy.send({ type: 'hello', error: { code, message: 'no', outcome: 'not-committed' } });
    await server.accept();
    await (await opening).close();

    const failing = connect({ socketPath: server.socketPath, waitMs: 0 });
    const still = await server.connection();
    await still.next();
    still.send({ type: 'hello', error: { code, message: 'no', outcome: 'not-committed' } });
    const error = await t.throwsAsync(failing, { instanceOf: wanted });
    t.true(error?.message.includes(server.socketPath));
  });
}

test('without a daemon connect fails after waitMs and names the socket', async (t) => {
  const socketPath = join(await temporaryFolder(t), 's');
  const error = await t.throwsAsync(connect({ socketPath, waitMs: 30 }), {
    instanceOf: DisconnectedError,
  });
  t.like(error, { code: 'DISCONNECTED', outcome: 'not-committed' });
  t.true(error?.message.includes(socketPath));
});

test('another protocol version ends connect at once', async (t) => {
  const server = await startRawServer(t);
  const opening = connect({ socketPath: server.socketPath });
  const peer = await server.connection();
  await peer.next();
  peer.send({ type: 'hello', protocol: 2, version: '9', capabilities: [], epoch: 1, limits: {} });
  const error = await t.throwsAsync(opening, { instanceOf: ProtocolVersionError });
  t.true(error?.message.includes(server.socketPath));
  await peer.closed;

  const again = connect({ socketPath: server.socketPath });
  const other = await server.connection();
  await other.next();
  other.send({ error: { code: 'PROTOCOL_VERSION', message: 'no', outcome: 'not-committed' } });
  await t.throwsAsync(again, { instanceOf: ProtocolVersionError });
});

test('a peer that is no eventlogd ends connect at once', async (t) => {
  const server = await startRawServer(t);
  for (const [title, bytes] of [
    ['another protocol', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')],
    ['an empty frame', Buffer.alloc(4)],
    ['a frame of another type', Buffer.from([0, 0, 0, 3, 0x81, 0xa1, 0x61, 0xc0].slice(0, 7))],
  ] as const) {
    const opening = connect({ socketPath: server.socketPath });
    const peer = await server.connection();
    await peer.next();
    peer.socket.write(bytes);
    await t.throwsAsync(opening, { instanceOf: ProtocolError }, title);
  }
});

test('the endpoint file is read anew for each attempt', async (t) => {
  const dir = await temporaryFolder(t);
  await mkdir(join(dir, '.eventlogd'));
  const endpoint = join(dir, '.eventlogd', 'endpoint');
  await writeFile(endpoint, `${join(dir, 'gone')}\n`);
  const opening = connect({ dir });
  await new Promise((resolve) => setImmediate(resolve));
  const server = await startRawServer(t, join(dir, 'one'));
  await writeFile(endpoint, server.socketPath);
  const peer = await server.accept();
  const log = await opening;

  const next = await startRawServer(t, join(dir, 'two'));
  await writeFile(endpoint, next.socketPath);
  const back = new Promise<void>((resolve) => log.on('reconnect', resolve));
  peer.end();
  await next.accept();
  await back;
  t.is(log.state, 'ready');
  await log.close();
});

test('a directory without endpoint file has its socket at the usual place', async (t) => {
  const dir = await temporaryFolder(t);
  await mkdir(join(dir, '.eventlogd'));
  const server = await startRawServer(t, join(dir, '.eventlogd', 'eventlogd.sock'));
  const opening = connect({ dir });
  await server.accept();
  await (await opening).close();
  t.pass();
});

test('a directory whose usual socket path is too long waits for its endpoint file', async (t) => {
  const dir = join(await temporaryFolder(t), 'd'.repeat(100));
  await mkdir(join(dir, '.eventlogd'), { recursive: true });
  const error = await t.throwsAsync(connect({ dir, waitMs: 0 }), { instanceOf: DisconnectedError });
  t.regex(error?.message ?? '', /no daemon has named its socket/);
  const server = await startRawServer(t);
  const opening = connect({ dir });
  await writeFile(join(dir, '.eventlogd', 'endpoint'), server.socketPath);
  await server.accept();
  await (await opening).close();
});

test('paths that a socket cannot have are refused', async (t) => {
  const socketPath = `/tmp/${'x'.repeat(120)}`;
  const error = await t.throwsAsync(connect({ socketPath }), { instanceOf: InvalidArgumentError });
  t.is(error?.path, 'socketPath');
  t.regex(error?.message ?? '', /125 bytes, at most 107/);

  const dir = await temporaryFolder(t);
  await mkdir(join(dir, '.eventlogd'));
  await writeFile(join(dir, '.eventlogd', 'endpoint'), socketPath);
  await t.throwsAsync(connect({ dir }), { instanceOf: InvalidArgumentError });
});

test('connecting is given up with its signal', async (t) => {
  const socketPath = join(await temporaryFolder(t), 's');
  const reason = new Error('enough');
  await t.throwsAsync(connect({ socketPath, signal: AbortSignal.abort(reason) }), {
    instanceOf: AbortedError,
  });
  const controller = new AbortController();
  const opening = connect({ socketPath, signal: controller.signal });
  setImmediate(() => controller.abort(reason));
  const error = await t.throwsAsync(opening, { instanceOf: AbortedError, name: 'AbortError' });
  t.is(error?.outcome, 'not-committed');
  t.is(error?.cause, reason);

  const server = await startRawServer(t);
  const late = new AbortController();
  const handshaking = connect({ socketPath: server.socketPath, signal: late.signal });
  const peer = await server.connection();
  await peer.next();
  late.abort();
  await t.throwsAsync(handshaking, { instanceOf: AbortedError });
  await peer.closed;
});

test('aborting the signal of connect afterwards changes nothing', async (t) => {
  const server = await startRawServer(t);
  const controller = new AbortController();
  const opening = connect({ socketPath: server.socketPath, signal: controller.signal });
  await server.accept();
  const log = await opening;
  controller.abort();
  t.is(log.state, 'ready');
  await log.close();
});

for (const [path, options] of [
  ['waitMs', { waitMs: -1 }],
  ['waitMs', { waitMs: Number.NaN }],
  ['timeoutMs', { timeoutMs: 0 }],
  ['timeoutMs', { timeoutMs: 2 ** 31 }],
  ['clientName', { clientName: 'x'.repeat(201) }],
  ['clientName', { clientName: 7 }],
  ['dir', { dir: '' }],
  ['socketPath', { socketPath: '' }],
  ['signal', { signal: {} }],
  ['options', null],
] as const) {
  test(`connect refuses ${path} ${JSON.stringify(options)}`, async (t) => {
    const error = await t.throwsAsync(connect(options as unknown as object), {
      instanceOf: InvalidArgumentError,
    });
    t.is(error?.path, path);
  });
}

test.serial('the environment says where the daemon is when the caller does not', async (t) => {
  const folder = await temporaryFolder(t);
  const { EVENTLOGD_SOCKET, EVENTLOGD_DIR } = process.env;
  t.teardown(() => {
    Object.assign(process.env, {
      EVENTLOGD_SOCKET: EVENTLOGD_SOCKET ?? '',
      EVENTLOGD_DIR: EVENTLOGD_DIR ?? '',
    });
  });
  process.env['EVENTLOGD_DIR'] = folder;
  process.env['EVENTLOGD_SOCKET'] = '';
  const byDir = await t.throwsAsync(connect({ waitMs: 0 }));
  t.true(byDir?.message.includes(join(folder, '.eventlogd', 'eventlogd.sock')));
  process.env['EVENTLOGD_SOCKET'] = join(folder, 'other');
  const bySocket = await t.throwsAsync(connect({ waitMs: 0 }));
  t.true(bySocket?.message.includes(`${join(folder, 'other')}:`));
  const byOption = await t.throwsAsync(connect({ waitMs: 0, dir: join(folder, 'mine') }));
  t.true(byOption?.message.includes(join(folder, 'mine', '.eventlogd')));
});

test('a server that closes while the client connects is no crash', async (t) => {
  const folder = await temporaryFolder(t);
  const server = new RawServer(join(folder, 's'));
  await server.listen();
  const opening = connect({ socketPath: server.socketPath, waitMs: 0 });
  await server.close();
  await t.throwsAsync(opening, { instanceOf: DisconnectedError });
});
