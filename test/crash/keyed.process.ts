/**
 * A worker that appends one event under an idempotency key when its standard input says so, and
 * tells what came of it. Its arguments: the socket, the key, the content.
 */
import { once } from 'node:events';
import { connect, detailsOf, EventLogError } from '../../client/index.js';

/** What the worker was told. */
export interface Keyed {
  readonly text?: string | null;
  readonly duplicate?: boolean;
  readonly code?: string;
}

const [socketPath = '', idempotencyKey = '', content = ''] = process.argv.slice(2);
const log = await connect({ socketPath });
process.stdout.write('connected\n');
await once(process.stdin, 'data');
let keyed: Keyed;
try {
  const event = await log.turns.append('s', { event: 'e', content }, { idempotencyKey });
  const { text, duplicate } = detailsOf(event);
  keyed = { text, duplicate };
} catch (error) {
  if (!(error instanceof EventLogError)) throw error;
  keyed = { code: error.code };
}
await log.close();
process.stdout.write(`${JSON.stringify(keyed)}\n`);
process.stdin.destroy();
