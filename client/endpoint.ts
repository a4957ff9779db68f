/**
 * Where the daemon's socket is.
 *
 * @module
 */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { InvalidArgumentError } from '../shared/errors.js';
import { SOCKET_PATH_BYTES_MAX } from '../shared/limits.js';

/** What a caller said of the daemon's place. */
export type Place =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'directory'; readonly path: string };

const DIRECTORY_DEFAULT = './data';

/** The place that the options name, else the environment, else `./data`. Paths become absolute. */
export function placeOf(
  options: { readonly dir?: string | undefined; readonly socketPath?: string | undefined },
  environment: Readonly<Record<string, string | undefined>>,
): Place {
  const { EVENTLOGD_SOCKET, EVENTLOGD_DIR } = environment as {
    readonly EVENTLOGD_SOCKET?: string;
    readonly EVENTLOGD_DIR?: string;
  };
  if (options.socketPath !== undefined) return socketPlace(options.socketPath);
  if (options.dir !== undefined) return { kind: 'directory', path: resolve(options.dir) };
  if (EVENTLOGD_SOCKET) return socketPlace(EVENTLOGD_SOCKET);
  return { kind: 'directory', path: resolve(EVENTLOGD_DIR || DIRECTORY_DEFAULT) };
}

/** The place in words, for messages. */
export function describePlace(place: Place): string {
  return place.kind === 'socket' ? place.path : socketPathIn(place.path);
}

/**
 * The path of the daemon's socket as it is now: a daemon that starts may choose another one, so
 * this is read anew for each connection.
 *
 * @throws InvalidArgumentError when the path is longer than a socket's path can be
 */
export async function findSocket(place: Place): Promise<string> {
  if (place.kind === 'socket') return place.path;
  const announced = await readEndpoint(join(place.path, '.eventlogd', 'endpoint'));
  if (announced !== '') return requireShort('dir', resolve(place.path, announced));
  const path = socketPathIn(place.path);
  if (Buffer.byteLength(path) <= SOCKET_PATH_BYTES_MAX) return path;
  // A daemon here listens somewhere else and says so in its endpoint file, once it runs.
  throw Object.assign(new Error(`no daemon has named its socket in ${place.path}/.eventlogd`), {
    code: 'ENOENT',
  });
}

async function readEndpoint(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function socketPathIn(dir: string): string {
  return join(dir, '.eventlogd', 'eventlogd.sock');
}

function socketPlace(path: string): Place {
  return { kind: 'socket', path: requireShort('socketPath', resolve(path)) };
}

/** A longer path would be cut silently by the system and lead to another socket. */
function requireShort(argument: string, path: string): string {
  const bytes = Buffer.byteLength(path);
  if (bytes <= SOCKET_PATH_BYTES_MAX) return path;
  throw new InvalidArgumentError(
    argument,
    `the socket's path has ${bytes} bytes, at most ${SOCKET_PATH_BYTES_MAX} are possible: ${path}`,
  );
}
