/** Backups that are stopped on the way, and what waits for them. The disk stands still on command. */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ExecutionContext } from 'ava';
import type { EventLog } from '../../../client/index.js';
import { BACKUP_HOLD_MS_MAX } from '../../../shared/limits.js';
import { requestBackup, restored } from '../../support/backup.js';
import {
  type DaemonOptions,
  type DaemonProcess,
  makeFolder,
  startDaemonProcess,
} from '../../support/daemon.js';
import { FaultShim } from '../../support/fault-shim/fault-shim.js';
import type { Effect, Rule } from '../../support/fault-shim/rules.js';
import { client, eventually, refusal, testWith } from '../../support/faults.js';
import { onlineRepair } from '../../support/repair.js';

interface Scene {
  readonly daemon: DaemonProcess;
  readonly log: EventLog;
  readonly shim: FaultShim;
  readonly folder: string;
}

async function scene(t: ExecutionContext, options: DaemonOptions = {}): Promise<Scene> {
  const shim = await FaultShim.make(await makeFolder(t));
  t.teardown(() => shim.close());
  const daemon = await startDaemonProcess(t, { ...options, env: shim.env });
  const log = await client(t, daemon.dir);
  await log.turns.append('s', { event: 'token', content: 'first' });
  await log.turns.append('other', { event: 'token', content: 'other' });
  return { daemon, log, shim, folder: join(await makeFolder(t), 'b') };
}

/** The catalog is copied while deletions wait. */
function onCatalog(effect: Effect): Rule {
  return { calls: ['create'], paths: ['*.partial/.eventlogd/checkpoint-*'], effect };
}

/** Asks for a backup and waits until it stands still with deletions waiting. */
async function heldBackup({ shim, daemon, folder }: Scene): ReturnType<typeof requestBackup> {
  shim.set([onCatalog({ kind: 'hold' })]);
  const request = await requestBackup(daemon.dir, folder);
  await eventually(
    () => shim.hits()[0],
    (hits) => hits === 1,
  );
  return request;
}

function assertNothingLeft(t: ExecutionContext, folder: string): void {
  t.deepEqual(readdirSync(dirname(folder)), []);
}

testWith(['fault shim'], 'a deletion waits for its end, appends and reads do not', async (t) => {
  const here = await scene(t);
  const { log, shim, daemon, folder } = here;
  const { done } = await heldBackup(here);
  const deleted = log.turns.delete('s');
  await eventually(
    async () => (await log.stats())['queued'],
    (queued) => queued === 1,
  );
  const repaired = onlineRepair(daemon.dir, ['turns', 'other']);
  await eventually(
    async () => (await log.stats())['queued'],
    (queued) => queued === 2,
  );
  t.is((await log.turns.append('new', { event: 'token', content: 'new' })).seq, 1);
  t.is((await log.turns.read('s')).events.length, 1);
  t.is((await log.turns.read('new')).events.length, 1);
  t.deepEqual(await log.turns.sessionIds(), ['new', 'other', 's']);
  shim.clear();
  const { position, heldMs } = await done;
  t.is(position, 2);
  t.true(heldMs > 0);
  t.is(await deleted, 1);
  t.is((await repaired).code, 0);
  t.deepEqual(await log.turns.sessionIds(), ['new', 'other']);
  t.deepEqual(
    [...(await restored(t, folder))],
    [
      ['turns/other', ['1 other']],
      ['turns/s', ['1 first']],
    ],
  );
});

testWith(
  ['fault shim'],
  'a deletion that is on its way when it is asked for is in it',
  async (t) => {
    const { log, shim, daemon, folder } = await scene(t);
    shim.set([{ calls: ['rename'], paths: ['*/trash/*'], effect: { kind: 'hold' } }]);
    const deleted = log.turns.delete('s');
    await eventually(
      () => shim.hits()[0],
      (hits) => hits === 1,
    );
    const { done } = await requestBackup(daemon.dir, folder);
    await eventually(
      () => existsSync(join(`${folder}.partial`, '_turn_journal', 'other.jsonl')),
      Boolean,
    );
    shim.clear();
    t.is(await deleted, 1);
    await done;
    t.deepEqual([...(await restored(t, folder)).keys()], ['turns/other']);
  },
);

testWith(['fault shim'], 'a deletion that is being committed comes before it', async (t) => {
  const { log, shim, daemon, folder } = await scene(t);
  const onLog: Rule = { calls: ['fdatasync'], paths: ['*.log'], effect: { kind: 'hold' } };
  const [hold, pass] = [onCatalog({ kind: 'hold' }), onCatalog({ kind: 'count' })];
  shim.set([onLog]);
  const deleted = log.turns.delete('s');
  await eventually(
    () => shim.hits()[0],
    (hits) => hits === 1,
  );
  let heard = 0;
  const { done } = await requestBackup(daemon.dir, folder, ({ files }) => {
    if (files > 0) heard += 1;
  });
  // By then it would have begun with its last pass.
  await eventually(
    () => heard,
    (count) => count > 4,
  );
  shim.set([hold]);
  t.is(await deleted, 1);
  await eventually(
    () => shim.hits()[0],
    (hits) => hits === 1,
  );
  shim.set([pass]);
  await done;
  t.deepEqual([...(await restored(t, folder)).keys()], ['turns/other']);
});

testWith(
  ['fault shim'],
  'its client leaves: nothing is left of it, and another can be made',
  async (t) => {
    const here = await scene(t);
    const { log, shim, daemon, folder } = here;
    const { leave, done } = await heldBackup(here);
    const deleted = log.turns.delete('s');
    leave();
    t.is((await refusal(done)).code, 'ABORTED');
    await eventually(
      async () => (await log.stats()).connections,
      (connections) => connections === 1,
    );
    shim.clear();
    t.is(await deleted, 1);
    await eventually(() => daemon.output().includes('a backup failed'), Boolean);
    assertNothingLeft(t, folder);
    await (await requestBackup(daemon.dir, folder)).done;
    t.deepEqual([...(await restored(t, folder)).keys()], ['turns/other']);
  },
);

testWith(
  ['fault shim'],
  'the daemon is killed: what is left is no backup, and goes with the next',
  async (t) => {
    const here = await scene(t);
    const { shim, daemon, folder } = here;
    const { done } = await heldBackup(here);
    await daemon.kill('SIGKILL');
    const { code, outcome } = await refusal(done);
    t.deepEqual([code, outcome], ['DISCONNECTED', 'not-committed']);
    t.deepEqual(readdirSync(dirname(folder)), ['b.partial']);
    shim.clear();
    const again = await startDaemonProcess(t, { dir: daemon.dir });
    await (await requestBackup(daemon.dir, folder)).done;
    t.deepEqual(readdirSync(dirname(folder)), ['b']);
    t.is((await restored(t, folder)).size, 2);
    t.is(await again.stop(), 0);
  },
);

testWith(
  ['fault shim'],
  'the daemon stops: it has no time to remove what was copied, which goes with the next',
  async (t) => {
    const here = await scene(t);
    const { shim, daemon, folder } = here;
    const { done } = await heldBackup(here);
    // Nor may it wait until the backup would have been given up.
    t.timeout((BACKUP_HOLD_MS_MAX * 5) / 6);
    daemon.process.kill('SIGTERM');
    await eventually(() => daemon.output().includes('draining'), Boolean);
    shim.clear();
    const { code, outcome } = await refusal(done);
    t.deepEqual([code, outcome], ['DRAINING', 'not-committed']);
    t.is(await daemon.ended, 0);
    t.timeout(2 * BACKUP_HOLD_MS_MAX);
    t.deepEqual(readdirSync(dirname(folder)), ['b.partial']);
    await startDaemonProcess(t, { dir: daemon.dir });
    await (await requestBackup(daemon.dir, folder)).done;
    t.deepEqual(readdirSync(dirname(folder)), ['b']);
  },
);

testWith(
  ['fault shim'],
  'its disk hangs: it is given up, nobody waits for it any longer, and it clears up at last',
  async (t) => {
    t.timeout(2 * BACKUP_HOLD_MS_MAX + 60_000);
    const here = await scene(t);
    const { log, shim, daemon, folder } = here;
    const { done } = await heldBackup(here);
    const deleted = log.turns.delete('s', { timeoutMs: 2 * BACKUP_HOLD_MS_MAX });
    const { code, outcome, message } = await refusal(done);
    t.deepEqual([code, outcome], ['STORAGE_FAILED', 'not-committed']);
    t.regex(message, /took longer than/);
    t.is(await deleted, 1);
    const second = await requestBackup(daemon.dir, folder);
    t.is((await refusal(second.done)).code, 'OVERLOADED');
    shim.clear();
    await eventually(
      () => readdirSync(dirname(folder)).length,
      (count) => count === 0,
    );
    await eventually(
      async () => refusal((await requestBackup(daemon.dir, folder)).done),
      ({ code: last }) => last !== 'OVERLOADED',
    );
    t.deepEqual([...(await restored(t, folder)).keys()], ['turns/other']);
  },
);

testWith(['fault shim', 'prlimit'], 'checkpoints go on beside it, the log is kept', async (t) => {
  const here = await scene(t, {
    // With so few descriptors every few files make a checkpoint, for which appends wait.
    through: ['prlimit', '--nofile=256:256', '--'],
    args: ['--segment-bytes', '256k', '--log-retention-bytes', '256k'],
  });
  const { log, shim, daemon, folder } = here;
  const { done } = await heldBackup(here);
  await log.turns.append('late', { event: 'token', content: 'late' });
  const paths = ['*.partial/_turn_journal/late.jsonl'];
  const rule: Rule = { calls: ['create'], paths, effect: { kind: 'hold' } };
  shim.set([rule]);
  await eventually(
    () => shim.hits()[0],
    (hits) => hits === 1,
  );
  const { checkpoints: before } = await log.stats();
  const content = 'x'.repeat(20_000);
  const ids = Array.from({ length: 100 }, (_, at) => `many${at}`);
  await Promise.all(ids.map((id) => log.turns.append(id, { event: 'token', content })));
  const { checkpoints: after } = await log.stats();
  t.true(Number(after) > Number(before) + 1);
  const segments = readdirSync(join(daemon.dir, '.eventlogd', 'commitlog')).sort();
  t.is(segments[0], '0000000000000001.log');
  t.true(segments.length > 8);
  shim.clear();
  t.is((await done).position, 2);
  t.deepEqual([...(await restored(t, folder)).keys()], ['turns/other', 'turns/s']);
  // Then the next checkpoint lets old segments go.
  t.is(await log.turns.delete('s'), 1);
  await eventually(
    () => existsSync(join(daemon.dir, '.eventlogd', 'commitlog', '0000000000000001.log')),
    (isThere) => !isThere,
  );
});

for (const [when, left] of [
  ['before', 'b.partial'],
  ['after', 'b'],
] as const) {
  testWith(['fault shim'], `killed ${when} it gets its name: what has it is whole`, async (t) => {
    const { shim, daemon, folder } = await scene(t);
    shim.set([{ calls: ['rename'], paths: ['*.partial'], effect: { kind: 'kill', when } }]);
    const { done } = await requestBackup(daemon.dir, folder);
    t.is((await refusal(done)).code, 'DISCONNECTED');
    await daemon.ended;
    t.deepEqual(readdirSync(dirname(folder)), [left]);
    shim.clear();
    if (when === 'before') {
      const again = await startDaemonProcess(t, { dir: daemon.dir });
      await (await requestBackup(daemon.dir, folder)).done;
      t.is(await again.stop(), 0);
    }
    t.deepEqual([...(await restored(t, folder)).keys()], ['turns/other', 'turns/s']);
    t.false(existsSync(join(folder, '.eventlogd', 'backup.tmp')));
  });
}

const FAULTS: readonly (readonly [string, Rule, string])[] = [
  [
    'no room for a file',
    { calls: ['write'], paths: ['*.partial/_turn*'], effect: { kind: 'error', code: 'ENOSPC' } },
    'STORAGE_FULL',
  ],
  ['no room for the catalog', onCatalog({ kind: 'error', code: 'ENOSPC' }), 'STORAGE_FULL'],
  [
    'a sync that fails',
    { calls: ['fsync'], paths: ['*.partial/*'], effect: { kind: 'error', code: 'EIO' } },
    'STORAGE_FAILED',
  ],
  [
    'a name that is refused',
    { calls: ['rename'], paths: ['*.partial'], effect: { kind: 'error', code: 'EIO' } },
    'STORAGE_FAILED',
  ],
];

for (const [title, rule, expected] of FAULTS) {
  testWith(['fault shim'], `${title}: no backup, and the daemon is well`, async (t) => {
    const { log, shim, daemon, folder } = await scene(t);
    shim.set([rule]);
    const { code, outcome, message } = await refusal(
      (await requestBackup(daemon.dir, folder)).done,
    );
    t.deepEqual([code, outcome], [expected, 'not-committed'], message);
    t.true(message.includes(folder), message);
    assertNothingLeft(t, folder);
    shim.clear();
    t.is((await log.stats()).health, 'ok');
    t.is(await log.turns.delete('s'), 1);
    await (await requestBackup(daemon.dir, folder)).done;
    t.deepEqual([...(await restored(t, folder)).keys()], ['turns/other']);
  });
}
