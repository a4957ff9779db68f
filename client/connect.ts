/**
 * Connecting to a daemon.
 *
 * @module
 */
import { InvalidArgumentError } from '../shared/errors.js';
import { requireDuration, requireString } from './arguments.js';
import { Connection } from './connection.js';
import { placeOf } from './endpoint.js';
import { EventLog } from './event-log.js';
import { ListenerTable } from './listeners.js';
import type { ConnectOptions } from './types.js';

const WAIT_MS_DEFAULT = 30_000;
const TIMEOUT_MS_DEFAULT = 30_000;
const CLIENT_NAME_LENGTH_MAX = 200;

/**
 * Connects to the daemon of a directory, and waits for it where it is not there yet. Without
 * `dir` and `socketPath` the environment says where: `$EVENTLOGD_SOCKET`, else `$EVENTLOGD_DIR`,
 * else `./data`.
 *
 * @returns the client, after the daemon has answered hello
 * @throws DisconnectedError when there is no daemon within `waitMs`; the message names the socket
 * @throws ProtocolVersionError when client and daemon have no protocol in common
 * @example
 * const log = await connect({ dir: './data', clientName: 'webui' });
 * try {
 *   await log.turns.append('s1', { event: 'submitted', content: 'hi' });
 * } finally {
 *   await log.close();
 * }
 */
export async function connect(options: ConnectOptions = {}): Promise<EventLog> {
  const { log } = await openClient(options);
  return log;
}

/** Connects, and gives the connection beside the client: the `eventlog` program sends texts. */
export async function openClient(
  options: ConnectOptions,
): Promise<{ readonly log: EventLog; readonly connection: Connection }> {
  requireConnectOptions(options);
  const { signal, clientName } = options;
  const listeners = new ListenerTable();
  const connection = new Connection(
    {
      place: placeOf(options, process.env),
      waitMs: options.waitMs ?? WAIT_MS_DEFAULT,
      timeoutMs: options.timeoutMs ?? TIMEOUT_MS_DEFAULT,
      clientName,
    },
    listeners,
  );
  await connection.open(signal);
  return { log: new EventLog(connection, listeners), connection };
}

function requireConnectOptions(options: ConnectOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new InvalidArgumentError('options', 'options must be an object');
  }
  for (const path of ['dir', 'socketPath'] as const) {
    requireString(path, options[path]);
    if (options[path] === '') throw new InvalidArgumentError(path, `${path} must not be empty`);
  }
  requireDuration('waitMs', options.waitMs, 0);
  requireDuration('timeoutMs', options.timeoutMs, 1);
  requireString('clientName', options.clientName);
  const { clientName, signal } = options;
  if (clientName !== undefined && clientName.length > CLIENT_NAME_LENGTH_MAX) {
    throw new InvalidArgumentError(
      'clientName',
      `clientName may have at most ${CLIENT_NAME_LENGTH_MAX} characters`,
    );
  }
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw new InvalidArgumentError('signal', 'signal must be an AbortSignal');
  }
}
