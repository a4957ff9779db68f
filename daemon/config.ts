/**
 * The daemon's configuration: flags over environment over file over defaults. What any of them
 * says is checked, also where another one wins, and a refusal names who said it.
 *
 * @module
 */
import { join, resolve } from 'node:path';
import { InvalidArgumentError } from '../shared/errors.js';
import { SOCKET_PATH_BYTES_MAX } from '../shared/limits.js';
import { type ConfigSource, environmentSource, fileSource, objectSource } from './config-source.js';
import { isLoopback, parseHttpAddress } from './http/address.js';
import { type CheckedConfig, type DaemonConfig, SETTINGS, type Setting } from './settings.js';

/** A configuration, and who said each of its settings. */
export interface ResolvedConfig {
  readonly config: CheckedConfig;
  readonly origins: Readonly<Record<keyof CheckedConfig, string>>;
}

type Value = string | number | boolean;

/**
 * Completes and checks a configuration.
 *
 * @param first what wins over the environment
 * @param configFile the file to read; by default `$EVENTLOGD_CONFIG`, else none
 * @throws InvalidArgumentError that names the setting and who said it
 */
export function resolveConfig(first: ConfigSource, configFile?: string): ResolvedConfig {
  const file = configFile ?? (process.env['EVENTLOGD_CONFIG'] || undefined);
  const sources = [
    first,
    environmentSource(process.env),
    ...(file === undefined ? [] : [fileSource(resolve(file))]),
  ];
  const values = new Map<string, Value>();
  const origins = new Map<string, string>();
  for (const setting of SETTINGS) {
    const said = sources.flatMap((source) => valueIn(source, setting));
    const [value, origin] = said[0] ?? defaultOf(setting, values);
    values.set(setting.key, value);
    origins.set(setting.key, origin);
  }
  const config = Object.fromEntries(values) as unknown as CheckedConfig;
  checkTogether(config, origins);
  return { config, origins: Object.fromEntries(origins) as ResolvedConfig['origins'] };
}

/**
 * Completes and checks what a program says.
 *
 * @throws InvalidArgumentError that names the setting and who said it
 */
export function checkConfig(config: DaemonConfig): CheckedConfig {
  return resolveConfig(objectSource(config)).config;
}

/** What a source says of a setting, and in whose name; nothing where it is silent. */
function valueIn(source: ConfigSource, setting: Setting): (readonly [Value, string])[] {
  const said = source.get(setting);
  if (said === undefined) return [];
  const origin = source.nameOf(setting);
  const value = typeof said === 'string' ? setting.parse(said) : said;
  if (value === undefined || !setting.schema.Check(value))
    throw new InvalidArgumentError(
      setting.key,
      `${origin}: ${JSON.stringify(said)} is not ${setting.form}`,
    );
  return [[setting.isPath ? resolve(source.folder, value as string) : (value as Value), origin]];
}

function defaultOf(
  { byDefault, parse, isPath }: Setting,
  values: ReadonlyMap<string, Value>,
): readonly [Value, string] {
  if (byDefault === null)
    return [join(String(values.get('dir')), '.eventlogd', 'eventlogd.sock'), 'default'];
  const value = parse(byDefault) as Value;
  return [isPath ? resolve(String(value)) : value, 'default'];
}

/** What settings must be like beside one another. */
function checkTogether(config: CheckedConfig, origins: ReadonlyMap<string, string>): void {
  const { socketPath, http, httpPublic } = config;
  const isOwn = origins.get('socketPath') === 'default';
  if (Buffer.byteLength(socketPath) > SOCKET_PATH_BYTES_MAX && !isOwn) {
    throw new InvalidArgumentError(
      'socketPath',
      `${origins.get('socketPath')}: the socket's path has more than ${SOCKET_PATH_BYTES_MAX} bytes, which the system cuts silently: choose a shorter one`,
    );
  }
  const address = parseHttpAddress(http);
  if (address !== null && !isLoopback(address) && !httpPublic) {
    throw new InvalidArgumentError(
      'http',
      `${origins.get('http')}: other hosts may reach ${address.host}, and it asks for no password: add --http-public if they may, or give 127.0.0.1`,
    );
  }
}

/** The mode of folders that goes with one of files: who may read may also enter. */
export function folderMode(fileMode: number): number {
  return fileMode | ((fileMode & 0o444) >> 2);
}
