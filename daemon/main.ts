#!/usr/bin/env node
/**
 * `eventlogd`: the process edge. Arguments in, exit codes out; nothing else happens here.
 *
 * @module
 */
import { Command, CommanderError } from 'commander';
import { addConfig } from './commands/config.js';
import { EXIT, exitCodeOf } from './commands/exit-codes.js';
import { addRecover } from './commands/recover.js';
import { addRepair } from './commands/repair.js';
import { addStart } from './commands/start.js';
import { addVerify } from './commands/verify.js';
import { packageVersion } from './version.js';

const program = new Command('eventlogd')
  .description(
    'one daemon per journal directory: orders, commits and serves the event journals of chat backends',
  )
  .version(packageVersion())
  .exitOverride();
for (const add of [addStart, addVerify, addRepair, addRecover, addConfig]) add(program);

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  } else {
    console.error(`eventlogd: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = exitCodeOf(error);
  }
  // A cluster's channel would keep a refused start alive; to end it would end it with 0.
  process.channel?.unref();
}
