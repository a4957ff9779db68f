/** docs/torture.md against the faults and rules of the code, and the tests that it names. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ROOT, readDocument, tableUnder } from '../support/docs.js';
import { RULES } from '../torture/ledger.js';
import { FAULT_KINDS } from '../torture/plan.js';

const DOCUMENT = readDocument('docs/torture.md');

function names(heading: string): string[] {
  return tableUnder(DOCUMENT, heading).map(([name = '']) => name.replaceAll('`', ''));
}

test('the faults', (t) => {
  t.deepEqual(names('## Faults'), [...FAULT_KINDS]);
});

test('the rules', (t) => {
  t.deepEqual(names('## The oracle'), [...RULES]);
});

test('each bug that was found has a test of that name', (t) => {
  const rows = tableUnder(DOCUMENT, '## What it found');
  t.true(rows.length > 0);
  for (const [bug = '', seed = '', fix = '', guard = ''] of rows) {
    t.true(
      [bug, seed, fix].every((cell) => cell !== ''),
      bug,
    );
    const [, path = '', title = ''] = /^`(test\/[\w./-]+)`: (.+)$/.exec(guard) ?? [];
    t.true(readFileSync(join(ROOT, path), 'utf8').includes(title), guard);
  }
});
