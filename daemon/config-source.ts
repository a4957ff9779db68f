/**
 * Where settings may be said: a program's object, the command line, the environment, a file.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { InvalidArgumentError } from '../shared/errors.js';
import { type DaemonConfig, SETTINGS, type Setting } from './settings.js';

/** One who may say settings. A text is parsed; other values are what the daemon is to take. */
export interface ConfigSource {
  /** What it says of the setting; undefined where it is silent. */
  get(setting: Setting): unknown;
  /** How a person finds the place where it says it. */
  nameOf(setting: Setting): string;
  /** The folder that its relative paths begin at. */
  readonly folder: string;
}

const File = Compile(
  Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()])),
);

/** What a program that starts a daemon says. */
export function objectSource(config: DaemonConfig): ConfigSource {
  return {
    get: ({ key }) => config[key],
    nameOf: ({ key }) => `config.${key}`,
    folder: process.cwd(),
  };
}

/**
 * What the command line says.
 *
 * @param flags texts, and true for switches, by the names of the flags
 */
export function flagSource(flags: ReadonlyMap<string, string | true>): ConfigSource {
  return {
    get: ({ flag }) => flags.get(flag),
    nameOf: ({ flag }) => `--${flag}`,
    folder: process.cwd(),
  };
}

/** What the environment says; an empty variable says nothing. */
export function environmentSource(environment: NodeJS.ProcessEnv): ConfigSource {
  return {
    get: ({ env }) => environment[env] || undefined,
    nameOf: ({ env }) => `$${env}`,
    folder: process.cwd(),
  };
}

/**
 * What a file says: a JSON object, whose keys are those of `DaemonConfig`, and whose values are
 * written as on the command line, or as JSON numbers and booleans. Relative paths in it begin at
 * its own folder.
 *
 * @throws InvalidArgumentError when it cannot be read or holds a key that is no setting
 */
export function fileSource(path: string): ConfigSource {
  const values = readValues(path);
  return {
    // A number is taken as it is written: what is 600 as a flag is 600 here.
    get: ({ key }) => (Object.hasOwn(values, key) ? String(values[key]) : undefined),
    nameOf: ({ key }) => `${path}: ${key}`,
    folder: dirname(path),
  };
}

function readValues(path: string): Readonly<Record<string, string | number | boolean>> {
  const refuse = (why: string): InvalidArgumentError =>
    new InvalidArgumentError('config', `${path}: ${why}`);
  let values: unknown;
  try {
    values = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw refuse((error as Error).message);
  }
  if (!File.Check(values)) throw refuse('it must be a JSON object of texts, numbers and booleans');
  for (const key of Object.keys(values)) {
    if (SETTINGS.some((setting) => setting.key === key)) continue;
    const known = SETTINGS.map((setting) => setting.key).join(', ');
    throw refuse(`${JSON.stringify(key)} is no setting; there are ${known}`);
  }
  return values;
}
