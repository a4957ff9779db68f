/** The tables and commands of docs/operations.md, held against the code. */
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { EXIT as CLIENT_EXIT } from '../../client/cli/exit-codes.js';
import { EXIT } from '../../daemon/commands/exit-codes.js';
import { HEALTHS } from '../../daemon/commit/health-table.js';
import { METRICS } from '../../daemon/metrics/metric-table.js';
import { SETTINGS } from '../../daemon/settings.js';
import { makeClone, run } from '../support/clone.js';
import { makeFolder, startDaemonProcess } from '../support/daemon.js';
import { blockOf, blocksOf, errorCodes, readDocument, tableUnder } from '../support/docs.js';
import { testWith } from '../support/faults.js';

const DOCUMENT = readDocument('docs/operations.md');

const code = (text: string): string => (text === '' ? '' : `\`${text}\``);

test('the table of metrics is that of the code', (t) => {
  t.deepEqual(
    tableUnder(DOCUMENT, '## Metrics'),
    METRICS.map(({ name, type, label, help }) => [code(name), type, code(label ?? ''), help]),
  );
});

test('no metric is named that there is not', (t) => {
  const named = DOCUMENT.match(/eventlogd_[a-z_]+/g) ?? [];
  t.true(named.length > METRICS.length);
  for (const name of named) {
    const base = name.replace(/_(bucket|sum|count)$/, '');
    t.true(
      METRICS.some((metric) => metric.name === name || metric.name === base),
      name,
    );
  }
});

test('the table of settings is that of the code', (t) => {
  t.deepEqual(
    tableUnder(DOCUMENT, '## Configuration'),
    SETTINGS.map(({ key, flag, env, byDefault, what }) => [
      code(key),
      code(`--${flag}`),
      code(env),
      code(byDefault ?? ''),
      what,
    ]),
  );
});

test('the table of health has every state', (t) => {
  const documented = tableUnder(DOCUMENT, '### What the health says').map(([state]) => state);
  t.deepEqual(documented, HEALTHS.map(code));
});

test('the table of errors has every code', (t) => {
  const documented = tableUnder(DOCUMENT, '## Errors').map(([name = '']) => name);
  t.deepEqual(documented.sort(), errorCodes().map(code).sort());
});

test('the table of exit codes has those of both programs, and is the one of the README', (t) => {
  const codesIn = (document: string): number[] =>
    tableUnder(document, '## Exit codes').map(([exit]) => Number(exit));
  const all = new Set([...Object.values(EXIT), ...Object.values(CLIENT_EXIT)]);
  t.deepEqual(
    codesIn(DOCUMENT),
    [...all].sort((a, b) => a - b),
  );
  t.deepEqual(codesIn(readDocument('README.md')), codesIn(DOCUMENT));
});

testWith(
  ['jq', 'npx'],
  'every command that is shown for the shell does what it should',
  async (t) => {
    const clone = await makeClone(t);
    const blocks = blocksOf(DOCUMENT).filter(({ language }) => language === 'sh');
    t.is(blocks.length, 5);
    const daemon = await startDaemonProcess(t, { dir: join(clone, 'data') });
    for (const { text } of blocks) {
      // What checks or changes files is for when no daemon runs.
      if (/eventlogd (verify|recover)/.test(text)) await daemon.stop();
      const done = await run(clone, text);
      t.is(done.code, 0, `${text}\n${done.output}`);
    }
  },
);

testWith(['systemd-analyze'], 'systemd knows every line of the unit', async (t) => {
  const unit = blockOf(DOCUMENT, 'ini', 'eventlogd.service');
  const path = join(await makeFolder(t), 'eventlogd.service');
  // What it starts is not installed here.
  await writeFile(path, unit.replace(/^ExecStart=.*$/m, `ExecStart=${process.execPath}`));
  const { status, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], {
    encoding: 'utf8',
  });
  t.is(status, 0, stderr);
  t.notRegex(stderr, /eventlogd\.service:\d+/);
});
