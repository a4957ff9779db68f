/**
 * `eventlogd verify`: checks a journal directory and changes nothing.
 *
 * @module
 */
import type { Command } from 'commander';
import type { Finding } from '../verify/findings.js';
import { type VerifySummary, verifyDirectory } from '../verify/verify-directory.js';
import { EXIT } from './exit-codes.js';
import { offline } from './offline.js';
import { type CommonOptions, withCommonOptions } from './options.js';
import { isForPeople, printRecord, printRows } from './output.js';
import { progressBar } from './progress.js';

const EXAMPLES = `
Examples:
  eventlogd verify                              # ./data, as a table
  eventlogd verify --dir /srv/journals --json   # one finding a line, a summary last
  eventlogd verify --json | jq -c 'select(.kind == "malformed") | [.file, .line, .raw]'

Exit codes: 0 nothing is wrong; 1 findings; 65 the commit log or the catalog is damaged, so that
the daemon does not start; 74 input/output error; 78 the directory is in use.
Findings of level info (ignored names, copies in quarantine) do not count.`;

const COLUMNS = ['level', 'kind', 'file', 'line', 'offset', 'detail'];

export function addVerify(program: Command): void {
  withCommonOptions(program.command('verify'))
    .description('check every journal line and every frame of the commit log; changes nothing')
    .addHelpText('after', EXAMPLES)
    .action(async (options: CommonOptions) => {
      const json = options.json === true;
      const summary = await offline(options, 'read', ({ layout }) => {
        const rows: Finding[] = [];
        const progress = progressBar();
        const print = (finding: Finding): void => {
          // A table needs all its rows; lines go out as they come.
          if (isForPeople(json)) rows.push(finding);
          else printRecord({ ...finding }, json);
        };
        try {
          return verifyDirectory({ layout, onFinding: print, progress });
        } finally {
          progress.stop();
          if (rows.length > 0) printRows(COLUMNS, rows.map(asRow), json);
        }
      });
      printRecord({ kind: 'summary', ...summary }, json);
      process.exitCode = exitOf(summary);
    });
}

function asRow(finding: Finding): Readonly<Record<string, unknown>> {
  return { ...finding };
}

function exitOf({ corrupt, findings }: VerifySummary): number {
  if (corrupt > 0) return EXIT.corrupt;
  return findings > 0 ? EXIT.findings : EXIT.ok;
}
