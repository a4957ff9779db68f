/**
 * The daemon's configuration: flags over environment over defaults, checked once.
 *
 * @module
 */
import { join, resolve } from 'node:path';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { InvalidArgumentError } from '../shared/errors.js';
import {
  EVENT_BYTES_CEILING,
  EVENT_BYTES_DEFAULT,
  LOG_RETENTION_BYTES_DEFAULT,
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
  SOCKET_PATH_BYTES_MAX,
} from '../shared/limits.js';

/** What the daemon can be told; everything has a default. Sizes in bytes, modes as numbers. */
export interface DaemonConfig {
  /** The journal directory, `./data` by default. */
  readonly dir?: string;
  /** The socket's path; by default `<dir>/.eventlogd/eventlogd.sock`. */
  readonly socketPath?: string;
  /** Who may connect: 0600 by default, such as 0660 for a group. */
  readonly socketMode?: number;
  /** The mode of journal files, 0600 by default; folders get the matching one. */
  readonly fileMode?: number;
  /** The size of a commit-log segment, 256 KiB to 128 MiB. */
  readonly segmentBytes?: number;
  /** Log that is kept for readers of old positions, 1 GiB by default. */
  readonly logRetentionBytes?: number;
  /** The largest event, 16 MiB by default, at most 64 MiB. */
  readonly eventBytesMax?: number;
  /** How much is logged: `info` by default. */
  readonly logLevel?: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'silent';
}

/** A configuration that is complete and checked. */
export type CheckedConfig = Required<DaemonConfig>;

const Bytes = (minimum: number, maximum: number) => Type.Integer({ minimum, maximum });
const Mode = Type.Integer({ minimum: 0, maximum: 0o777 });

const Schema = Type.Object({
  dir: Type.String({ minLength: 1 }),
  socketPath: Type.String({ minLength: 1 }),
  socketMode: Mode,
  fileMode: Mode,
  segmentBytes: Bytes(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
  logRetentionBytes: Bytes(0, Number.MAX_SAFE_INTEGER),
  eventBytesMax: Bytes(1024, EVENT_BYTES_CEILING),
  logLevel: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'silent']),
});
const schema = Compile(Schema);

/**
 * Completes and checks a configuration.
 *
 * @throws InvalidArgumentError that names the setting
 */
export function checkConfig(config: DaemonConfig): CheckedConfig {
  const dir = resolve(config.dir ?? process.env['EVENTLOGD_DIR'] ?? './data');
  const socketPath = config.socketPath ?? process.env['EVENTLOGD_SOCKET'];
  const complete: Static<typeof Schema> = {
    dir,
    socketPath:
      socketPath === undefined ? join(dir, '.eventlogd', 'eventlogd.sock') : resolve(socketPath),
    socketMode: config.socketMode ?? 0o600,
    fileMode: config.fileMode ?? 0o600,
    segmentBytes: config.segmentBytes ?? SEGMENT_BYTES_MAX,
    logRetentionBytes: config.logRetentionBytes ?? LOG_RETENTION_BYTES_DEFAULT,
    eventBytesMax: config.eventBytesMax ?? EVENT_BYTES_DEFAULT,
    logLevel: config.logLevel ?? 'info',
  };
  if (!schema.Check(complete)) {
    const [problem] = schema.Errors(complete);
    const path = (problem?.instancePath ?? '').slice(1);
    throw new InvalidArgumentError(path, `${path}: ${problem?.message ?? 'is not of its form'}`);
  }
  if (Buffer.byteLength(complete.socketPath) > SOCKET_PATH_BYTES_MAX && socketPath !== undefined) {
    throw new InvalidArgumentError(
      'socketPath',
      `the socket's path has more than ${SOCKET_PATH_BYTES_MAX} bytes, which the system cuts silently: choose a shorter one`,
    );
  }
  return complete as CheckedConfig;
}

/** The mode of folders that goes with one of files: who may read may also enter. */
export function folderMode(fileMode: number): number {
  return fileMode | ((fileMode & 0o444) >> 2);
}
