/**
 * `eventlogd config`: prints the configuration that the daemon would run with, checked, and who
 * says each setting.
 *
 * @module
 */
import type { Command } from 'commander';
import { usableSocketPath } from '../directory.js';
import { SETTINGS } from '../settings.js';
import { type CommonOptions, configOf, withDaemonOptions } from './options.js';
import { isForPeople, printRecord, printRows } from './output.js';

const EXAMPLES = `
A setting is taken from its flag, else from the environment, else from the file, else its default
holds. What any of them says is checked.

Examples:
  eventlogd config
  eventlogd config --segment-bytes 1m --json | jq .settings > eventlogd.json
  eventlogd config --config eventlogd.json

Exit codes: 0 the configuration is right; 2 it is not, and what and where.`;

export function addConfig(program: Command): void {
  withDaemonOptions(program.command('config'))
    .description('print the configuration that start would use, checked')
    .addHelpText('after', EXAMPLES)
    .action((options: CommonOptions) => {
      const { config, origins } = configOf(options);
      const used = { ...config, socketPath: usableSocketPath(config.socketPath, config.dir) };
      const json = options.json === true;
      const rows = SETTINGS.map(({ key, show }) => ({
        setting: key,
        value: show(used[key]),
        from: origins[key],
      }));
      if (isForPeople(json)) return printRows(['setting', 'value', 'from'], rows, json);
      const settings = Object.fromEntries(rows.map(({ setting, value }) => [setting, value]));
      printRecord({ settings, origins }, json);
    });
}
