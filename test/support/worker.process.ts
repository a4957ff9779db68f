/**
 * A web worker under pm2, as far as the journals see it: appends without an end, a round every few
 * milliseconds, and notes what came of each append in a file of its own, which a kill leaves whole.
 * SIGINT, SIGTERM and the message `shutdown` end it when all is answered.
 */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../client/index.js';
import { type Appending, appendRuns, appendTurn } from './appending.js';

const ROUND_MS = 5;

let isStopping = false;
const stop = (): void => {
  isStopping = true;
};
process.on('SIGINT', stop);
process.on('SIGTERM', stop);
process.on('message', (message) => {
  if (message === 'shutdown') stop();
});

const { WORKER_NOTES = '', NODE_APP_INSTANCE = '0' } = process.env;
const writer = `w${NODE_APP_INSTANCE}p${process.pid}`;
const to: Appending = {
  writer,
  threadId: 't',
  sessionId: 's',
  tell: (outcome) =>
    appendFileSync(join(WORKER_NOTES, `${writer}.jsonl`), `${JSON.stringify(outcome)}\n`),
};

const log = await connect({ waitMs: 120_000, timeoutMs: 120_000 });
process.send?.('ready');
for (let number = 1; !isStopping; number += 1) {
  await Promise.all([appendRuns(log, to, number), appendTurn(log, to, number), sleep(ROUND_MS)]);
}
await log.close();
process.exit(0);
