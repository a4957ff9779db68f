/** The HTTP port: who may reach it, what it answers in each state, and what it does not put up with. */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { HttpServer } from '../../../daemon/http/http-server.js';
import type { DaemonStatus } from '../../../daemon/metrics/measures.js';
import { HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX } from '../../../shared/limits.js';
import { makeFolder, runDaemonProgram, startDaemonProcess } from '../../support/daemon.js';
import { eventually } from '../../support/faults.js';
import { pageAt, startHttpDaemon } from '../../support/http.js';
import { RawConnection } from '../../support/raw-server.js';

const STATES: readonly (readonly [status: DaemonStatus, healthy: number, ready: number])[] = [
  [{ state: 'starting', health: 'ok', reason: '' }, 200, 503],
  [{ state: 'serving', health: 'ok', reason: '' }, 200, 200],
  [{ state: 'serving', health: 'disk-low', reason: 'little room' }, 200, 200],
  [{ state: 'serving', health: 'disk-full', reason: 'no room' }, 200, 503],
  [{ state: 'serving', health: 'log-full', reason: 'no room' }, 200, 503],
  [{ state: 'serving', health: 'files-behind', reason: 'no room' }, 200, 503],
  [{ state: 'draining', health: 'ok', reason: '' }, 200, 503],
  [{ state: 'failing', health: 'failed', reason: 'EIO' }, 503, 503],
];

for (const [status, healthy, ready] of STATES) {
  test(`${status.state} and ${status.health}: healthz ${healthy}, readyz ${ready}`, async (t) => {
    const server = new HttpServer({
      status: () => status,
      metrics: async () => null,
      onProblem: (error) => t.fail(String(error)),
    });
    const url = await server.listen({ host: '127.0.0.1', port: 0 });
    t.teardown(() => server.close());
    const health = await pageAt(`${url}/healthz`);
    t.is(health.status, healthy);
    t.like(JSON.parse(health.body), { state: status.state, health: status.health });
    t.is((await pageAt(`${url}/readyz?verbose`)).status, ready);
    t.is((await pageAt(`${url}/metrics`)).status, 503);
  });
}

function portOf(url: string): { readonly host: string; readonly port: number } {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}

async function raw(t: ExecutionContext, url: string, head: string): Promise<string> {
  const socket = createConnection(portOf(url));
  t.teardown(() => socket.destroy());
  socket.on('error', () => undefined);
  socket.write(head);
  return await text(socket).catch(() => 'broken');
}

test('other paths, methods, and heads that are too large are refused', async (t) => {
  const { url } = await startHttpDaemon(t);
  t.is((await pageAt(url)).status, 404);
  t.is((await fetch(`${url}/metrics`, { method: 'POST', body: 'x'.repeat(100_000) })).status, 405);
  t.is((await fetch(`${url}/healthz`, { method: 'HEAD' })).status, 200);
  const head = `GET /metrics HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(HTTP_HEAD_BYTES_MAX)}\r\n\r\n`;
  t.regex(await raw(t, url, head), /^HTTP\/1\.1 431 /);
  t.regex(await raw(t, url, 'nonsense\r\n\r\n'), /^HTTP\/1\.1 400 /);
  t.is((await pageAt(`${url}/readyz`)).status, 200);
});

test('connections beyond the limit are closed, and the daemon serves its clients on', async (t) => {
  const { url, socketPath } = await startHttpDaemon(t);
  const sockets: Socket[] = [];
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  for (let count = 0; count < HTTP_CONNECTIONS_MAX; count += 1) {
    const socket = createConnection(portOf(url));
    socket.on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
  }
  const refused = await raw(t, url, 'GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n');
  t.true(['', 'broken'].includes(refused), refused);
  const wire = new RawConnection(createConnection({ path: socketPath }));
  t.teardown(() => wire.socket.destroy());
  wire.send({ type: 'hello', protocolMin: 1, protocolMax: 1, clientId: 'ab'.repeat(16) });
  t.is((await wire.next())['type'], 'hello');
  sockets[0]?.destroy();
  await eventually(
    async () => await pageAt(`${url}/healthz`).catch(() => ({ status: 0 })),
    ({ status }) => status === 200,
  );
});

test('a request that does not arrive in time is given up', async (t) => {
  const { url } = await startHttpDaemon(t);
  const answer = await raw(t, url, 'GET /healthz HTTP/1.1\r\nhost: ');
  t.regex(answer, /^HTTP\/1\.1 408 /);
});

test('a drain shows: not ready, still healthy', async (t) => {
  const daemon = await startHttpDaemon(t);
  const wire = new RawConnection(createConnection({ path: daemon.socketPath }));
  t.teardown(() => wire.socket.destroy());
  wire.send({ type: 'hello', protocolMin: 1, protocolMax: 1, clientId: 'ab'.repeat(16) });
  t.is((await wire.next())['type'], 'hello');
  // The drain waits for this connection, which does not end by itself.
  const stopped = daemon.stop();
  t.is((await wire.next())['type'], 'draining');
  const ready = await pageAt(`${daemon.url}/readyz`);
  t.is(ready.status, 503);
  t.like(JSON.parse(ready.body), { state: 'draining' });
  t.is((await pageAt(`${daemon.url}/healthz`)).status, 200);
  wire.socket.end();
  t.is(await stopped, 0);
  await t.throwsAsync(pageAt(`${daemon.url}/healthz`));
});

test('there is no port unless one is asked for; one that is taken is said to be', async (t) => {
  const plain = await startDaemonProcess(t);
  await eventually(
    async () => plain.output(),
    (output) => /"httpUrl":null/.test(output),
  );
  const { url } = await startHttpDaemon(t);
  const dir = await makeFolder(t);
  const address = new URL(url).host;
  const { code, output } = await runDaemonProgram(['start', '--dir', dir, '--http', address]);
  t.is(code, 74);
  t.regex(output, new RegExp(`EADDRINUSE.*${address}`));
});
