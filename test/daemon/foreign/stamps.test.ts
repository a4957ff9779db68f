/** Stamps in a session to which others append, while the daemon's clock is set back. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder, startDaemonProcess } from '../../support/daemon.js';
import { FaultShim } from '../../support/fault-shim/fault-shim.js';
import { client, sessionFile, testWith } from '../../support/faults.js';

const BACK_MS = 5 * 60_000;

testWith(
  ['fault shim'],
  'a foreign line without created_at, then the clock goes back: stamps do not',
  async (t) => {
    const folder = await makeFolder(t);
    const shim = await FaultShim.make(folder);
    t.teardown(() => shim.close());
    const daemon = await startDaemonProcess(t, { dir: join(folder, 'd'), env: shim.env });
    const log = await client(t, daemon.dir);
    const first = await log.turns.append('s', { event: 'submitted' });
    appendFileSync(sessionFile(daemon.dir, 's'), '{"event":"token","content":"foreign"}\n');
    t.is((await log.turns.read('s')).events.length, 2);
    shim.setClock(-BACK_MS);
    const next = await log.turns.append('s', { event: 'token' });
    t.is(next.seq, 3);
    t.true(Number(next.created_at) >= Number(first.created_at));
  },
);
