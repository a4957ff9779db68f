/** What a plain program loses with the power, and what it keeps. */
import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { powerDisk, testWith } from './faults.js';

const DISK_BYTES = 16 * 1024 * 1024;

function sync(path: string): void {
  const fd = openSync(path, 'r');
  fsyncSync(fd);
  closeSync(fd);
}

testWith(
  ['power disk'],
  'what was not synced is gone with the power, the rest stays',
  async (t) => {
    const disk = await powerDisk(t, DISK_BYTES);
    const path = (name: string): string => join(disk.folder, name);
    const text = (name: string): string => readFileSync(path(name), 'utf8');
    // On ext4 one fsync writes the names of all files, so everything that stays comes first.
    for (const name of ['kept', 'grown', 'overwritten', 'synced-in-place', 'old-name', 'old']) {
      writeFileSync(path(name), 'before');
      sync(path(name));
    }
    renameSync(path('old'), path('renamed'));
    mkdirSync(path('folder'));
    sync(disk.folder);
    const inPlace = openSync(path('synced-in-place'), 'r+');
    writeSync(inPlace, 'after ', 0);
    fdatasyncSync(inPlace);
    closeSync(inPlace);

    const grown = openSync(path('grown'), 'a');
    writeSync(grown, ' and after');
    const overwritten = openSync(path('overwritten'), 'r+');
    writeSync(overwritten, 'after ', 0);
    writeFileSync(path('lost'), 'never synced');
    mkdirSync(path('lost-folder'));
    renameSync(path('old-name'), path('new-name'));
    await disk.losePower();
    t.throws(() => writeSync(grown, 'more'), { code: 'EIO' });
    for (const fd of [grown, overwritten]) closeSync(fd);
    await disk.restorePower();

    t.deepEqual(readdirSync(disk.folder).sort(), [
      'folder',
      'grown',
      'kept',
      'lost+found',
      'old-name',
      'overwritten',
      'renamed',
      'synced-in-place',
    ]);
    t.deepEqual(
      ['kept', 'grown', 'overwritten', 'synced-in-place', 'old-name', 'renamed'].map(text),
      ['before', 'before', 'before', 'after ', 'before', 'before'],
    );
    writeFileSync(path('again'), 'it works');
  },
);
