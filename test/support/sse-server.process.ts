/** A web server as a process: each session is followed at its path. Tells its port in a line. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect, lastEventCursor, serveSse } from '../../client/index.js';

const log = await connect({ dir: process.argv[2] });
const server = createServer((request, response) => {
  const after = lastEventCursor(request) ?? 'start';
  const sessionId = request.url?.slice(1) ?? '';
  void serveSse(response, log.turns.subscribe(sessionId, { after }));
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
