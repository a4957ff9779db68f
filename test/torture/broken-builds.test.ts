/** Checks that can fail: each broken build is caught by what the build itself passes. */
import test from 'ava';
import { makeFolder } from '../support/daemon.js';
import { powerDisk, testWith } from '../support/faults.js';
import { SCENARIOS } from './break-scenarios.js';
import { BREAKS, type Break, edited, makeBrokenBuild } from './broken-builds.js';
import type { Rule } from './ledger.js';

const DISK_BYTES = 64 * 1024 * 1024;

/** What each break makes the oracle find. */
const RULES: Readonly<Record<Break, readonly Rule[]>> = {
  'ack before fsync': ['lost'],
  'no directory fsync': ['lost'],
  'retry after a failed fsync': ['lost'],
  'a torn tail not cleaned': ['outcome'],
  'cutting at any bad checksum': ['lost'],
  'an answer that rests on an unsynced event': ['lost'],
};

for (const name of Object.keys(BREAKS) as Break[]) {
  testWith(['fault shim', 'power disk'], `caught: ${name}`, async (t) => {
    const healthy = { scope: t, disk: await powerDisk(t, DISK_BYTES) };
    t.deepEqual(await SCENARIOS[name](healthy), []);
    const program = await makeBrokenBuild(await makeFolder(t), name);
    const broken = { scope: t, disk: await powerDisk(t, DISK_BYTES), program };
    const findings = await SCENARIOS[name](broken);
    t.log(...findings.map(({ detail }) => detail));
    t.deepEqual([...new Set(findings.map(({ rule }) => rule))], RULES[name]);
  });
}

test('a break that finds no place, or two, is no break', (t) => {
  const edit = { file: 'a.js', anchor: 'sync();', replacement: '' };
  t.is(edited('a(); sync(); b();', edit), 'a();  b();');
  t.throws(() => edited('a(); b();', edit), { message: /a\.js has 0 places/ });
  t.throws(() => edited('sync(); sync();', edit), { message: /a\.js has 2 places/ });
});
