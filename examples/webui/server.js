// One worker of the chat page: see README.md.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'eventlogd';

const { PORT = '8080', HOST = '127.0.0.1' } = process.env;

const log = await connect({ clientName: `webui ${process.pid}` });
const server = createServer(async (_request, response) => {
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify(await log.turns.sessionIds()));
});
server.listen(Number(PORT), HOST);
await once(server, 'listening');

let isStopping = false;
async function stop() {
  if (isStopping) return;
  isStopping = true;
  server.close();
  server.closeAllConnections();
  await log.close();
  process.exit(0);
}
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
process.on('message', (message) => {
  if (message === 'shutdown') void stop();
});
process.send?.('ready');
