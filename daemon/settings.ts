/**
 * What the daemon can be told: one row a setting, from which its flag, its environment variable,
 * its key in a file, its check and its printed form follow.
 *
 * @module
 */
import { Type } from 'typebox';
import { Compile, type Validator } from 'typebox/compile';
import {
  DISK_RESERVE_BYTES_DEFAULT,
  EVENT_BYTES_CEILING,
  EVENT_BYTES_DEFAULT,
  EVENT_BYTES_FLOOR,
  LOG_RETENTION_BYTES_DEFAULT,
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
} from '../shared/limits.js';
import { isHttpSetting } from './http/address.js';

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
  /** Room of the disk that appends leave free, 64 MiB by default; 0 for none. */
  readonly diskReserveBytes?: number;
  /** The largest event, 16 MiB by default, at most 64 MiB. */
  readonly eventBytesMax?: number;
  /** How much is logged: `info` by default. */
  readonly logLevel?: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'silent';
  /** Where health and metrics are served, such as `127.0.0.1:9464`; `off` by default. */
  readonly http?: string;
  /** Whether `http` may be reached from other hosts: it has no password. */
  readonly httpPublic?: boolean;
}

/** A configuration that is complete and checked. */
export type CheckedConfig = Required<DaemonConfig>;

type Value = string | number | boolean;

/** One setting. */
export interface Setting {
  readonly key: keyof CheckedConfig;
  /** Its flag without the dashes, and what the flag's help calls its value; null for a switch. */
  readonly flag: string;
  readonly placeholder: string | null;
  readonly env: string;
  /** What it is, for help. */
  readonly what: string;
  /** What its values look like, for help and refusals. */
  readonly form: string;
  /** Whether its values are paths, which are made absolute. */
  readonly isPath: boolean;
  /** The default as a text; null where it follows from another setting. */
  readonly byDefault: string | null;
  /** A value from its text; undefined where the text is of no such form. */
  readonly parse: (text: string) => Value | undefined;
  readonly schema: Validator;
  /** The text that `parse` takes back. */
  readonly show: (value: Value) => Value;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'silent'];
const SWITCH: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['false', false],
  ['0', false],
]);

const text = {
  isPath: false,
  parse: (value: string): string => value,
  schema: Compile(Type.String({ minLength: 1 })),
  show: (value: Value): Value => value,
};
const path = { ...text, placeholder: '<path>', form: 'a path', isPath: true };
const mode = {
  isPath: false,
  placeholder: '<mode>',
  form: 'an octal mode, such as 0660',
  parse: (value: string): number | undefined =>
    /^0?[0-7]{3}$/.test(value) ? Number.parseInt(value, 8) : undefined,
  schema: Compile(Type.Integer({ minimum: 0, maximum: 0o777 })),
  show: (value: Value): Value => `0${value.toString(8)}`,
};
const bytes = (range: string, minimum: number, maximum: number) => ({
  isPath: false,
  placeholder: '<bytes>',
  form: `a number of bytes ${range}`,
  parse: parseBytes,
  schema: Compile(Type.Integer({ minimum, maximum })),
  show: (value: Value): Value => value,
});

/** Every setting, in the order in which they are shown. */
export const SETTINGS: readonly Setting[] = [
  {
    key: 'dir',
    flag: 'dir',
    env: 'EVENTLOGD_DIR',
    what: 'the journal directory',
    byDefault: './data',
    ...path,
  },
  {
    key: 'socketPath',
    flag: 'socket',
    env: 'EVENTLOGD_SOCKET',
    what: 'the socket; by default in the directory',
    byDefault: null,
    ...path,
  },
  {
    key: 'socketMode',
    flag: 'socket-mode',
    env: 'EVENTLOGD_SOCKET_MODE',
    what: 'who may connect',
    byDefault: '0600',
    ...mode,
  },
  {
    key: 'fileMode',
    flag: 'file-mode',
    env: 'EVENTLOGD_FILE_MODE',
    what: 'the mode of new journal files',
    byDefault: '0600',
    ...mode,
  },
  {
    key: 'segmentBytes',
    flag: 'segment-bytes',
    env: 'EVENTLOGD_SEGMENT_BYTES',
    what: 'size of a commit-log segment',
    byDefault: sizeText(SEGMENT_BYTES_MAX),
    ...bytes('from 256k to 128m', SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX),
  },
  {
    key: 'logRetentionBytes',
    flag: 'log-retention-bytes',
    env: 'EVENTLOGD_LOG_RETENTION_BYTES',
    what: 'commit log that is kept for readers of old positions',
    byDefault: sizeText(LOG_RETENTION_BYTES_DEFAULT),
    ...bytes('such as 0, 256m or 4g', 0, Number.MAX_SAFE_INTEGER),
  },
  {
    key: 'diskReserveBytes',
    flag: 'disk-reserve-bytes',
    env: 'EVENTLOGD_DISK_RESERVE_BYTES',
    what: 'room that appends leave free on the disk, at most a twentieth of it; 0 for none',
    byDefault: sizeText(DISK_RESERVE_BYTES_DEFAULT),
    ...bytes('such as 0, 64m or 1g', 0, Number.MAX_SAFE_INTEGER),
  },
  {
    key: 'eventBytesMax',
    flag: 'event-bytes-max',
    env: 'EVENTLOGD_EVENT_BYTES_MAX',
    what: 'the largest event',
    byDefault: sizeText(EVENT_BYTES_DEFAULT),
    ...bytes('from 1k to 64m', EVENT_BYTES_FLOOR, EVENT_BYTES_CEILING),
  },
  {
    ...text,
    key: 'logLevel',
    flag: 'log-level',
    placeholder: '<level>',
    env: 'EVENTLOGD_LOG_LEVEL',
    what: 'how much is logged',
    form: `one of ${LEVELS.join(', ')}`,
    byDefault: 'info',
    schema: Compile(Type.Enum(LEVELS)),
  },
  {
    ...text,
    key: 'http',
    flag: 'http',
    placeholder: '<host:port>',
    env: 'EVENTLOGD_HTTP',
    what: 'serve /healthz, /readyz and /metrics there',
    form: 'off, or a host and a port such as 127.0.0.1:9464 or [::1]:9464',
    byDefault: 'off',
    schema: Compile(Type.Refine(Type.String(), isHttpSetting)),
  },
  {
    key: 'httpPublic',
    flag: 'http-public',
    placeholder: null,
    isPath: false,
    env: 'EVENTLOGD_HTTP_PUBLIC',
    what: 'let --http be reached from other hosts: it asks for no password',
    form: 'true or false',
    byDefault: 'false',
    parse: (value) => SWITCH.get(value),
    schema: Compile(Type.Boolean()),
    show: (value) => value,
  },
];

function parseBytes(value: string): number | undefined {
  const [, digits, unit] = /^([0-9]+)([kmg]?)$/i.exec(value) ?? [];
  if (digits === undefined || unit === undefined) return undefined;
  return Number(digits) * (UNITS[unit.toLowerCase()] ?? 1);
}

/** A size in its largest whole unit, as `parseBytes` takes it. */
function sizeText(size: number): string {
  const whole = Object.entries(UNITS).filter(([, unit]) => size % unit === 0);
  const [name, unit] = whole.at(-1) as [string, number];
  return `${size / unit}${name}`;
}
