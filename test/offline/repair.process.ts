/** Repairs the directory of its first argument; a process that a test can kill at any system call. */
import { repairDirectory } from '../../daemon/repair/repair-directory.js';
import { layoutOf } from '../../daemon/storage/layout.js';

const [, , dir] = process.argv;
if (dir === undefined) throw new Error('the directory is missing');
repairDirectory({
  layout: layoutOf(dir),
  modes: { file: 0o600, folder: 0o700 },
  apply: true,
  onAction: () => undefined,
});
