/**
 * Options that the daemon's commands share.
 *
 * @module
 */
import { type Command, Option } from 'commander';
import { type ResolvedConfig, resolveConfig } from '../config.js';
import { flagSource } from '../config-source.js';
import { SETTINGS, type Setting } from '../settings.js';

/** Settings that concern commands which start no daemon, too. */
const COMMON: ReadonlySet<string> = new Set(['dir', 'socket']);

/** What the command line says, as texts: the configuration checks them. */
export interface CommonOptions {
  readonly config?: string;
  readonly json?: boolean;
}

/** Adds `--dir`, `--socket`, `--config` and `--json`. */
export function withCommonOptions(command: Command): Command {
  for (const setting of SETTINGS) if (COMMON.has(setting.flag)) addSetting(command, setting);
  return command
    .option('--config <file>', 'a JSON file of settings ($EVENTLOGD_CONFIG)')
    .option('--json', 'print JSON, one object a line');
}

/** Adds the options of the daemon itself. */
export function withDaemonOptions(command: Command): Command {
  withCommonOptions(command);
  for (const setting of SETTINGS) if (!COMMON.has(setting.flag)) addSetting(command, setting);
  return command;
}

/**
 * The configuration that the options say, completed and checked.
 *
 * @throws InvalidArgumentError that names the setting and who said it
 */
export function configOf(options: CommonOptions): ResolvedConfig {
  const flags = new Map<string, string | true>();
  for (const setting of SETTINGS) {
    const said = (options as Readonly<Record<string, unknown>>)[optionOf(setting).attributeName()];
    if (typeof said === 'string' || said === true) flags.set(setting.flag, said);
  }
  return resolveConfig(flagSource(flags), options.config);
}

function addSetting(command: Command, setting: Setting): void {
  command.addOption(optionOf(setting));
}

function optionOf({ flag, placeholder, what, form, byDefault, env }: Setting): Option {
  const value = placeholder === null ? '' : ` ${placeholder}`;
  const shape = placeholder === null || form === 'a path' ? '' : `: ${form}`;
  const otherwise = byDefault === null ? '' : `, else ${byDefault}`;
  return new Option(`--${flag}${value}`, `${what}${shape} ($${env}${otherwise})`);
}
