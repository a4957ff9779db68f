/** A commit log that is damaged while the daemon runs: who follows everything is told, and misses nothing unsaid. */
import { closeSync, openSync, readdirSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { LogCorruptError } from '../../client/index.js';
import { FILE_HEADER_BYTES, frameHeaderAt } from '../../daemon/storage/frame-format.js';
import { startDaemonProcess } from '../support/daemon.js';
import { client } from '../support/faults.js';

const EVENTS = 1_000;

/** Bytes of a frame's header, where a flipped bit shows in nothing that is read by hopping. */
for (const [what, byte] of [
  ['its beginning', 0],
  ['its length', 4],
  ['its first position', 24],
  ['its last position', 32],
  ['its content', 60],
] as const) {
  test(`a frame with another bit in ${what} ends who follows everything, behind all before it`, async (t) => {
    const { dir } = await startDaemonProcess(t, { args: ['--segment-bytes', '256k'] });
    const log = await client(t, dir);
    const event = { event: 'token', content: 'x'.repeat(300) };
    for (let sent = 0; sent < EVENTS; sent += 50) {
      await Promise.all(Array.from({ length: 50 }, () => log.turns.append('s', event)));
    }
    const folder = join(dir, '.eventlogd', 'commitlog');
    const [first] = readdirSync(folder).sort();
    const path = join(folder, first ?? '');
    const bytes = readFileSync(path);
    const begin = FILE_HEADER_BYTES + (frameHeaderAt(bytes, FILE_HEADER_BYTES)?.length ?? 0);
    const due = frameHeaderAt(bytes, begin)?.firstPosition ?? 0;
    const fd = openSync(path, 'r+');
    writeSync(fd, Buffer.of((bytes[begin + byte] ?? 0) ^ 1), 0, 1, begin + byte);
    closeSync(fd);
    let last = 0;
    const following = async (): Promise<void> => {
      for await (const { position } of log.subscribeAll({ afterPosition: 0 })) {
        t.is(position, last + 1);
        last = position;
      }
    };
    const error = await t.throwsAsync(following(), { instanceOf: LogCorruptError });
    t.is(error?.file, path);
    t.is(last, due - 1);
  });
}

test('a segment that somebody removed ends who follows everything', async (t) => {
  const { dir } = await startDaemonProcess(t, { args: ['--segment-bytes', '256k'] });
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'token' });
  const folder = join(dir, '.eventlogd', 'commitlog');
  const [first] = readdirSync(folder).sort();
  const path = join(folder, first ?? '');
  renameSync(path, join(dir, 'aside'));
  const subscription = log.subscribeAll({ afterPosition: 0 });
  const error = await t.throwsAsync(subscription.next(), { instanceOf: LogCorruptError });
  t.is(error?.file, path);
});
