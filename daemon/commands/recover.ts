/**
 * `eventlogd recover`: brings the journal files up to date without starting a daemon, so that an
 * old library can take over the directory.
 *
 * @module
 */
import type { Command } from 'commander';
import { folderMode } from '../config.js';
import { recoverDirectory } from '../recovery/recover.js';
import { EXIT } from './exit-codes.js';
import { offline } from './offline.js';
import { type CommonOptions, withCommonOptions } from './options.js';
import { printRecord, printRows } from './output.js';

const EXAMPLES = `
Examples:
  eventlogd recover                 # after a crash, before going back to the old library
  eventlogd recover --dir /srv/journals --json

Exit codes: 0 done; 65 damaged data; 74 input/output error; 78 the directory is in use.`;

export function addRecover(program: Command): void {
  withCommonOptions(program.command('recover'))
    .description('bring the journal files up to date after a crash, without starting a daemon')
    .addHelpText('after', EXAMPLES)
    .action(async (options: CommonOptions) => {
      await offline(options, 'write', ({ layout, config }) => {
        const modes = { file: config.fileMode, folder: folderMode(config.fileMode) };
        const recovered = recoverDirectory({ layout, modes });
        const json = options.json === true;
        if (recovered.notes.length > 0) {
          const rows = recovered.notes.map(({ what, path, detail }) => ({ what, path, detail }));
          printRows(['what', 'path', 'detail'], rows, json);
        }
        const { clean, epoch, lastPosition, frames } = recovered;
        printRecord({ clean, frames, lastPosition, epoch, findings: recovered.notes.length }, json);
        if (recovered.behind.length > 0) process.exitCode = EXIT.ioError;
      });
    });
}
