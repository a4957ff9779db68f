/**
 * `eventlogd config`: prints the configuration that the daemon would run with, checked.
 *
 * @module
 */
import type { Command } from 'commander';
import { checkConfig } from '../config.js';
import { usableSocketPath } from '../directory.js';
import { type CommonOptions, configOf, withDaemonOptions } from './options.js';
import { printRecord } from './output.js';

export function addConfig(program: Command): void {
  withDaemonOptions(program.command('config'))
    .description('print the configuration that start would use, checked')
    .addHelpText(
      'after',
      '\nExamples:\n  eventlogd config\n  eventlogd config --segment-bytes 1m --json',
    )
    .action((options: CommonOptions) => {
      const config = checkConfig(configOf(options));
      const octal = (mode: number): string => `0${mode.toString(8)}`;
      const shown = {
        ...config,
        socketPath: usableSocketPath(config.socketPath, config.dir),
        socketMode: octal(config.socketMode),
        fileMode: octal(config.fileMode),
      };
      printRecord(shown, options.json === true);
    });
}
