/** Stamps in a session to which others append, while the daemon's clock is set back. */
import { appendFileSync } from 'node:fs';
import { sessionFile, testWith } from '../../support/faults.js';
import { servedUnderShim } from '../../support/served.js';

const BACK_MS = 5 * 60_000;

testWith(
  ['fault shim'],
  'a foreign line without created_at, then the clock goes back: stamps do not',
  async (t) => {
    const { dir, log, shim } = await servedUnderShim(t);
    const first = await log.turns.append('s', { event: 'submitted' });
    appendFileSync(sessionFile(dir, 's'), '{"event":"token","content":"foreign"}\n');
    t.is((await log.turns.read('s')).events.length, 2);
    shim.setClock(-BACK_MS);
    const next = await log.turns.append('s', { event: 'token' });
    t.is(next.seq, 3);
    t.true(Number(next.created_at) >= Number(first.created_at));
  },
);
