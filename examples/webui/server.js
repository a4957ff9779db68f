// One worker of the chat page. README.md says how it is started and ended.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'eventlogd';
import { Answering } from './answering.js';
import { announceWorker } from './presence.js';
import { answerRequest } from './routes.js';
import { loadFiles } from './static-files.js';

/** How long the daemon may be away when a worker starts. */
const DAEMON_WAIT_MS = 120_000;
/** How often a worker looks for turns whose worker is gone. */
const LOOK_MS = 15_000;
/** How long answers may take to their end when the worker is to stop. */
const GRACE_MS = 5_000;
/** When it goes in any case: with the daemon away there is nobody to tell how they ended. */
const STOP_MS_MAX = 8_000;

const {
  PORT = '8080',
  HOST = '127.0.0.1',
  WEBUI_PACE_MS = '45',
  NODE_APP_INSTANCE = '0',
} = process.env;
const workerId = randomBytes(6).toString('hex');
const workerName = `worker ${NODE_APP_INSTANCE} · pid ${process.pid}`;

const log = await connect({ clientName: `webui ${process.pid}`, waitMs: DAEMON_WAIT_MS });
await announceWorker(workerId);
const answering = new Answering(log, { workerId, paceMs: Number(WEBUI_PACE_MS) });
const stopping = new AbortController();
const site = { log, answering, files: await loadFiles(), workerName, signal: stopping.signal };

const server = createServer((request, response) => void answerRequest(site, request, response));
server.listen(Number(PORT), HOST);
await once(server, 'listening');
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
// What started it is gone.
process.on('disconnect', stop);
process.on('message', (message) => {
  if (message === 'shutdown') stop();
});
const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
console.log(`the chat page is at http://${HOST}:${port}`);
process.send?.('ready');

lookAfterOpenTurns();
const looking = setInterval(lookAfterOpenTurns, LOOK_MS);

function lookAfterOpenTurns() {
  answering.lookAfterOpenTurns().catch((error) => console.error('open turns:', error));
}

/** Hands its pages over to other workers, brings its answers to an end, and goes. */
function stop() {
  if (stopping.signal.aborted) return;
  clearInterval(looking);
  stopping.abort();
  server.close();
  const ended = answering.stop(GRACE_MS).then(() => log.close());
  Promise.race([ended, sleep(STOP_MS_MAX)])
    .catch((error) => console.error(error))
    .finally(() => process.exit(0));
}
