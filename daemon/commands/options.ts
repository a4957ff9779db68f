/**
 * Options that the daemon's commands share.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { DaemonConfig } from '../config.js';

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 };

/** What the command line says of the configuration. */
export interface CommonOptions extends DaemonConfig {
  readonly socket?: string;
  readonly json?: boolean;
}

/** Adds `--dir`, `--socket` and `--json`. */
export function withCommonOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--dir <dir>', 'the journal directory (default: $EVENTLOGD_DIR, else ./data)'),
    )
    .addOption(
      new Option(
        '--socket <path>',
        'the socket (default: $EVENTLOGD_SOCKET, else in the directory)',
      ),
    )
    .option('--json', 'print JSON, one object a line');
}

/** Adds the options of the daemon itself. */
export function withDaemonOptions(command: Command): Command {
  return withCommonOptions(command)
    .addOption(
      new Option('--socket-mode <mode>', 'who may connect, such as 0660 (default: 0600)').argParser(
        parseMode,
      ),
    )
    .addOption(
      new Option('--file-mode <mode>', 'the mode of journal files (default: 0600)').argParser(
        parseMode,
      ),
    )
    .addOption(
      new Option(
        '--segment-bytes <bytes>',
        'size of a commit-log segment, 256k to 128m (default: 128m)',
      ).argParser(parseBytes),
    )
    .addOption(
      new Option(
        '--log-retention-bytes <bytes>',
        'commit log kept for readers (default: 1g)',
      ).argParser(parseBytes),
    )
    .addOption(
      new Option(
        '--event-bytes-max <bytes>',
        'largest event, at most 64m (default: 16m)',
      ).argParser(parseBytes),
    )
    .addOption(
      new Option('--log-level <level>', 'how much is logged').choices([
        'fatal',
        'error',
        'warn',
        'info',
        'debug',
        'silent',
      ]),
    );
}

/** The configuration that the options say. */
export function configOf(options: CommonOptions): DaemonConfig {
  const { socket, json: _json, ...config } = options;
  return socket === undefined ? config : { ...config, socketPath: socket };
}

function parseMode(text: string): number {
  if (!/^0?[0-7]{3}$/.test(text))
    throw new InvalidArgumentError('give an octal mode, such as 0660');
  return Number.parseInt(text, 8);
}

function parseBytes(text: string): number {
  const [, digits, unit] = /^([0-9]+)([kmg]?)$/i.exec(text) ?? [];
  if (digits === undefined || unit === undefined)
    throw new InvalidArgumentError('give a number of bytes, such as 65536, 256k or 128m');
  return Number(digits) * (UNITS[unit.toLowerCase()] ?? 1);
}
