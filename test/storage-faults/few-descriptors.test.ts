/** Few descriptors: files are closed, appends go on. */
import { readdir } from 'node:fs/promises';
import { startDaemonProcess } from '../support/daemon.js';
import { client, testWith } from '../support/faults.js';

const SESSIONS = 1_000;

testWith(['prlimit'], 'a thousand sessions with 256 descriptors', async (t) => {
  const through = ['prlimit', '--nofile=256:256', '--'];
  const daemon = await startDaemonProcess(t, { through });
  const log = await client(t, daemon.dir);
  const ids = Array.from({ length: SESSIONS }, (_, at) => `s${at}`);
  for (const round of [1, 2]) {
    const seqs = await Promise.all(
      ids.map(async (id) => (await log.turns.append(id, { event: 'delta' })).seq),
    );
    t.true(seqs.every((seq) => seq === round));
  }
  const open = await readdir(`/proc/${daemon.process.pid}/fd`);
  t.true(open.length < 256);
  const pages = await Promise.all(ids.map((id) => log.turns.read(id)));
  t.true(pages.every(({ events }) => events.length === 2));
  t.is((await log.stats()).health, 'ok');
  t.is(await daemon.stop(), 0);
});
