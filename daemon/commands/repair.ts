/**
 * `eventlogd repair`: puts right what verify finds; says what it would do unless it is told to.
 *
 * @module
 */
import type { Command } from 'commander';
import { folderMode } from '../config.js';
import type { RepairAction } from '../repair/actions.js';
import { type RepairSummary, repairDirectory } from '../repair/repair-directory.js';
import { EXIT } from './exit-codes.js';
import { offline } from './offline.js';
import { type CommonOptions, withCommonOptions } from './options.js';
import { isForPeople, printRecord, printRows } from './output.js';
import { progressBar } from './progress.js';

const EXAMPLES = `
What it does: mends a damaged commit log or catalog, lifts fences (events that share a seq get new
ones), and takes malformed lines out of the journals. All that is replaced or taken out is kept in
.eventlogd/quarantine.

Examples:
  eventlogd repair                              # say what would be done to ./data
  eventlogd repair --dir /srv/journals --apply  # do it; killed meanwhile, do it again
  eventlogd repair --json | jq -c 'select(.lost) | .lost'

Exit codes: 0 nothing is to be done, or all is done; 1 something is to be done, or could not be;
65 a newer eventlogd wrote it; 74 input/output error; 78 the directory is in use.`;

const COLUMNS = ['action', 'journal', 'stream', 'file', 'detail'];

interface RepairOptions extends CommonOptions {
  readonly apply?: boolean;
}

export function addRepair(program: Command): void {
  withCommonOptions(program.command('repair'))
    .option('--apply', 'do it; without it nothing is changed')
    .description('put right what verify finds: the commit log, fenced streams, malformed lines')
    .addHelpText('after', EXAMPLES)
    .action(async ({ apply = false, ...options }: RepairOptions) => {
      const json = options.json === true;
      const actions: RepairAction[] = [];
      const summary = await offline(options, apply ? 'write' : 'read', ({ layout, config }) => {
        const modes = { file: config.fileMode, folder: folderMode(config.fileMode) };
        const progress = progressBar();
        try {
          const onAction = (action: RepairAction): void => void actions.push(action);
          return repairDirectory({ layout, modes, apply, onAction, progress });
        } finally {
          progress.stop();
          const rows = actions.map((action) => ({ kind: 'action', ...action }));
          if (rows.length > 0) printRows(COLUMNS, rows, json);
        }
      });
      printRecord({ kind: 'summary', ...summary, lost: lostOf(summary, json) }, json);
      process.exitCode = exitOf(summary);
    });
}

function lostOf({ lost }: RepairSummary, json: boolean): unknown {
  return isForPeople(json) ? lost.map(({ first, last }) => `${first}-${last}`).join(', ') : lost;
}

function exitOf({ applied, actions, left }: RepairSummary): number {
  const isOpen = left > 0 || (!applied && actions > 0);
  return isOpen ? EXIT.findings : EXIT.ok;
}
