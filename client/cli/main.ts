#!/usr/bin/env node
/**
 * The `eventlog` program: a daemon's journals from the shell.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { addAppendCommand } from './append-command.js';
import { addBackupCommand } from './backup-command.js';
import { EXIT } from './exit-codes.js';
import { addExamples, parseCount, parseLimit } from './options.js';
import { addOtherCommands } from './other-commands.js';
import { exitWhenOutputFails } from './output.js';
import { addReadCommand } from './read-command.js';
import { addRepairCommand } from './repair-command.js';
import { fail } from './session.js';
import { addStatusCommand } from './status-command.js';
import { addTailCommand } from './tail-command.js';

const TIMEOUT_MS_DEFAULT = 30_000;
const WAIT_MS_DEFAULT = 2_000;

exitWhenOutputFails(process.stdout);
try {
  await createProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Help and version come this way too, with the code 0.
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  } else {
    fail(error);
  }
}

function createProgram(): Command {
  const program = new Command('eventlog')
    .description("Reads and appends a daemon's journals.")
    .version(readVersion())
    .option('--dir <dir>', "the daemon's directory (default: $EVENTLOGD_DIR, else ./data)")
    .option('--socket <path>', "the daemon's socket; wins over --dir (default: $EVENTLOGD_SOCKET)")
    .option('--json', 'write NDJSON to a terminal too')
    .option('--timeout <ms>', 'how long a request may take', parseLimit, TIMEOUT_MS_DEFAULT)
    .option('--wait <ms>', 'how long to wait for a daemon', parseCount, WAIT_MS_DEFAULT)
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(--help shows how it is used)')
    .exitOverride();
  addExamples(program, [
    `eventlog append turns s1 '{"event":"submitted","content":"hi"}'`,
    'eventlog read turns s1',
    'eventlog tail all',
    'eventlog --dir /srv/journals status --json',
  ]);
  program.addHelpText(
    'after',
    '\nExit codes: 0 done, 1 refused, 2 usage, 65 corrupt, 69 no daemon, 74 input or output',
  );
  addAppendCommand(program);
  addReadCommand(program);
  addTailCommand(program);
  addRepairCommand(program);
  addBackupCommand(program);
  addOtherCommands(program);
  addStatusCommand(program);
  return program;
}

function readVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
