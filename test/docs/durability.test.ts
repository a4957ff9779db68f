/** The recovery tables of docs/durability.md are the code's. */
import test from 'ava';
import { LOG_TABLE } from '../../daemon/recovery/log-table.js';
import { TAIL_TABLE } from '../../daemon/recovery/replay-table.js';
import { readDocument, tableUnder } from '../support/docs.js';

const DOCUMENT = readDocument('docs/durability.md');

test('the table of the log ends is that of the code', (t) => {
  t.deepEqual(
    tableUnder(DOCUMENT, '### Where the log ends'),
    LOG_TABLE.map(({ name, found, later, durable, action }) => [
      name,
      found,
      later,
      String(durable),
      action,
    ]),
  );
});

test('the table of the journal file ends is that of the code', (t) => {
  t.deepEqual(
    tableUnder(DOCUMENT, '### Where a journal file ends'),
    TAIL_TABLE.map(({ name, content, end, action }) => [name, content, end, action]),
  );
});
