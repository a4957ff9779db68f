/** Checks that can fail: each broken build is caught by what the build itself passes. */
import test from 'ava';
import { makeFolder } from '../support/daemon.js';
import { testWith } from '../support/faults.js';
import { SCENARIOS } from './break-scenarios.js';
import { BREAKS, type Break, edited, makeBrokenBuild } from './broken-builds.js';

for (const name of Object.keys(BREAKS) as Break[]) {
  testWith(['fault shim', 'power disk'], `caught: ${name}`, async (t) => {
    t.deepEqual(await SCENARIOS[name](t), []);
    const program = await makeBrokenBuild(await makeFolder(t), name);
    const untruths = await SCENARIOS[name](t, program);
    t.not(untruths.length, 0);
    t.log(...untruths);
  });
}

test('a break that finds no place, or two, is no break', (t) => {
  const edit = { file: 'a.js', anchor: 'sync();', replacement: '' };
  t.is(edited('a(); sync(); b();', edit), 'a();  b();');
  t.throws(() => edited('a(); b();', edit), { message: /a\.js has 0 places/ });
  t.throws(() => edited('sync(); sync();', edit), { message: /a\.js has 2 places/ });
});
