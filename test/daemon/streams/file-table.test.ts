import { renameSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { TURN_ROW } from '../../../daemon/streams/assemble.js';
import { FileTable } from '../../../daemon/streams/file-table.js';
import { JournalFile } from '../../../daemon/streams/journal-file.js';
import { readLine } from '../../../daemon/streams/line-reader.js';
import { makeFolder } from '../../support/daemon.js';

test('a read never takes the bytes of a file that has replaced the one it began with', async (t) => {
  const path = join(await makeFolder(t), 's.jsonl');
  writeFileSync(path, '{"event":"old"}\n');
  const file = new JournalFile('s.jsonl', path, 0);
  const { dev, ino } = statSync(path);
  file.identity = { dev, ino };
  const table = new FileTable({ file: 0o600, folder: 0o700 }, 16);
  t.teardown(() => table.close());
  const row = { seq: 1, file: 0, offset: 0, length: 15, kind: TURN_ROW };
  t.is((await readLine(table, [file], row)).toString(), '{"event":"old"}');
  writeFileSync(`${path}.new`, '{"event":"new"}\n');
  renameSync(`${path}.new`, path);
  const error = await t.throwsAsync(readLine(table, [file], row));
  t.regex(error.message, /was replaced; try again/);
});
