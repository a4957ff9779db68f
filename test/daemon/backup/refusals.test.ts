/** Places that a backup cannot have: each is refused before anything is written. */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { EventLog } from '../../../client/index.js';
import { requestBackup, restored } from '../../support/backup.js';
import { makeFolder, startDaemonProcess } from '../../support/daemon.js';
import { FaultShim } from '../../support/fault-shim/fault-shim.js';
import {
  client,
  eventually,
  mountSmall,
  refusal,
  smallDisk,
  testWith,
  treeOf,
} from '../../support/faults.js';

interface Place {
  /** Prepares it; the folder that is asked for. */
  readonly folder: (place: { readonly dir: string; readonly room: string }) => string;
  readonly says: RegExp;
}

const PLACES: Readonly<Record<string, Place>> = {
  'a folder that holds something': {
    folder: ({ room }) => {
      mkdirSync(join(room, 'b'));
      writeFileSync(join(room, 'b', 'mine'), 'mine');
      return join(room, 'b');
    },
    says: /b is not empty/,
  },
  'a file': {
    folder: ({ room }) => {
      writeFileSync(join(room, 'b'), 'mine');
      return join(room, 'b');
    },
    says: /b exists and is no folder/,
  },
  'a link, also one to an empty folder': {
    folder: ({ room }) => {
      mkdirSync(join(room, 'empty'));
      symlinkSync(join(room, 'empty'), join(room, 'b'));
      return join(room, 'b');
    },
    says: /b exists and is no folder/,
  },
  'the journal directory': { folder: ({ dir }) => dir, says: /is the journal directory/ },
  'a folder around the journal directory': {
    folder: ({ dir }) => join(dir, '..'),
    says: /is not empty/,
  },
  'a folder in the journal directory': {
    folder: ({ dir }) => join(dir, 'threads', 'b'),
    says: /lies in the journal directory/,
  },
  'a folder in it by another way': {
    folder: ({ dir, room }) => {
      symlinkSync(dir, join(room, 'way'));
      return join(room, 'way', 'b');
    },
    says: /lies in the journal directory/,
  },
  'a folder in none': {
    folder: ({ room }) => join(room, 'absent', 'b'),
    says: /b needs \S+absent, which is no folder/,
  },
  'a relative path': { folder: () => 'b', says: /b is no absolute path/ },
  'the root': { folder: () => '/', says: /\/ is not empty/ },
  'one whose unfinished name is taken': {
    folder: ({ room }) => {
      mkdirSync(join(room, 'b.partial', '.eventlogd'), { recursive: true });
      const mark = JSON.stringify({ backupOf: '/srv/others' });
      writeFileSync(join(room, 'b.partial', '.eventlogd', 'backup.tmp'), `${mark}\n`);
      return join(room, 'b');
    },
    says: /b\.partial exists and is no unfinished backup of this directory: remove it first/,
  },
};

async function begun(t: ExecutionContext) {
  const daemon = await startDaemonProcess(t);
  const log = await client(t, daemon.dir);
  await log.turns.append('s', { event: 'token', content: 'x' });
  await log.runs.put({ thread_id: 't', run_id: 'r', event_type: 'e', category: 'message' });
  return { daemon, log, room: await makeFolder(t) };
}

/** The room that the daemon says there is. */
async function roomOf(log: EventLog): Promise<{ readonly freeBytes: number }> {
  return (await log.stats())['disk'] as { readonly freeBytes: number };
}

for (const [title, { folder, says }] of Object.entries(PLACES)) {
  test(`${title} is refused`, async (t) => {
    const { daemon, room } = await begun(t);
    const wanted = folder({ dir: daemon.dir, room });
    const trees = (): string[] =>
      [room, daemon.dir].flatMap(treeOf).filter((path) => !path.includes('/spare'));
    const before = trees();
    const { code, outcome, message } = await refusal(
      (await requestBackup(daemon.dir, wanted)).done,
    );
    t.deepEqual([code, outcome], ['INVALID_ARGUMENT', 'not-committed']);
    t.regex(message, says);
    t.deepEqual(trees(), before);
  });
}

testWith(['root', 'mount'], 'an empty file system is refused, a folder in it is not', async (t) => {
  const { daemon, room } = await begun(t);
  const mounted = await mountSmall(t, join(room, 'm'), 8 * 1024 * 1024);
  const { code, message } = await refusal((await requestBackup(daemon.dir, mounted)).done);
  t.is(code, 'INVALID_ARGUMENT');
  t.regex(message, /is where a file system is mounted: name a folder in it/);
  await (await requestBackup(daemon.dir, join(mounted, 'b'))).done;
  t.is((await restored(t, join(mounted, 'b'))).size, 2);
});

testWith(
  ['root', 'mount'],
  'a disk that is too small: refused, emptied, the daemon well',
  async (t) => {
    const { daemon, log, room } = await begun(t);
    const mounted = await mountSmall(t, join(room, 'm'), 256 * 1024);
    await log.turns.append('s', { event: 'token', content: 'y'.repeat(512 * 1024) });
    const { code, message } = await refusal(
      (await requestBackup(daemon.dir, join(mounted, 'b'))).done,
    );
    t.is(code, 'STORAGE_FULL', message);
    t.deepEqual(treeOf(mounted), []);
    t.is((await log.stats()).health, 'ok');
  },
);

testWith(['root', 'mount'], 'on the disk of the journals it leaves room for appends', async (t) => {
  const disk = await smallDisk(t, 32 * 1024 * 1024);
  const args = ['--segment-bytes', '4m', '--disk-reserve-bytes', '1m'];
  const daemon = await startDaemonProcess(t, { dir: join(disk, 'd'), args });
  const log = await client(t, daemon.dir);
  const content = 'x'.repeat(1024 * 1024);
  for (let count = 0; count < 6; count += 1) await log.turns.append('s', { event: 'e', content });
  // There would be room, but not beside the appends.
  const left = Math.floor((await roomOf(log)).freeBytes / 4096) - 15 * 256;
  writeFileSync(join(disk, 'filler'), Buffer.alloc(left * 4096));
  const { code, message } = await refusal((await requestBackup(daemon.dir, join(disk, 'b'))).done);
  t.is(code, 'STORAGE_FULL');
  t.regex(message, /bytes more are needed, \d+ are free, of which 4194304 are kept for appends/);
  t.deepEqual(readdirSync(disk).sort(), ['d', 'filler']);
  t.notRegex(daemon.output(), /"msg":"health: /);
  rmSync(join(disk, 'filler'));
  await (await requestBackup(daemon.dir, join(disk, 'b'))).done;
  t.is((await restored(t, join(disk, 'b'))).get('turns/s')?.length, 6);
});

test('an empty folder is taken; modes are kept', async (t) => {
  const { daemon, room } = await begun(t);
  const folder = join(room, 'b');
  mkdirSync(folder, { mode: 0o755 });
  const backup = await (await requestBackup(daemon.dir, folder)).done;
  t.is(backup.folder, folder);
  const modeOf = (...names: string[]): number => statSync(join(folder, ...names)).mode & 0o777;
  t.is(modeOf(), 0o700);
  t.is(modeOf('.eventlogd'), 0o700);
  t.is(modeOf('_turn_journal', 's.jsonl'), 0o600);
  t.is(
    modeOf('threads', 't', 'runs'),
    statSync(join(daemon.dir, 'threads', 't', 'runs')).mode & 0o777,
  );
  const files = treeOf(folder).filter((name) => statSync(join(folder, name)).isFile());
  t.is(backup.files, files.length);
  t.is(
    backup.bytes,
    files.reduce((sum, name) => sum + readFileSync(join(folder, name)).length, 0),
  );
  t.deepEqual(files, [
    '/.eventlogd/checkpoint-0000000000000001',
    '/.eventlogd/commitlog/0000000000000001.log',
    '/.eventlogd/format',
    '/_turn_journal/s.jsonl',
    '/threads/t/runs/r.jsonl',
  ]);
  t.is((await restored(t, folder)).size, 2);
});

testWith(['fault shim'], 'there is one at a time', async (t) => {
  const shim = await FaultShim.make(await makeFolder(t));
  t.teardown(() => shim.close());
  const { dir } = await startDaemonProcess(t, { env: shim.env });
  const room = await makeFolder(t);
  shim.set([{ calls: ['mkdir'], paths: ['*.partial/*'], effect: { kind: 'hold' } }]);
  const first = await requestBackup(dir, join(room, 'b'));
  await eventually(
    () => shim.hits()[0] ?? 0,
    (hits) => hits > 0,
  );
  const { code, outcome } = await refusal((await requestBackup(dir, join(room, 'c'))).done);
  t.deepEqual([code, outcome], ['OVERLOADED', 'not-committed']);
  shim.clear();
  await first.done;
  t.deepEqual((await restored(t, join(room, 'b'))).size, 0);
  await (await requestBackup(dir, join(room, 'c'))).done;
});
