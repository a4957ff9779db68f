/** Damage to what was durable, and a second daemon: both are refused, by name. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { connect } from '../../client/index.js';
import { FILE_HEADER_BYTES, frameAt } from '../../daemon/storage/frame-format.js';
import { runDaemonProgram, startDaemonProcess } from '../support/daemon.js';
import { copyDirectory } from '../support/journal-files.js';
import { runCluster } from './cluster.js';

const EVENTS = 5;

/** A directory with five commits, whose daemon was stopped or killed. */
async function written(
  t: ExecutionContext,
  signal: 'SIGTERM' | 'SIGKILL',
): Promise<{ readonly dir: string; readonly segment: string; readonly frames: number[] }> {
  const daemon = await startDaemonProcess(t, { args: ['--segment-bytes', '262144'] });
  const log = await connect({ dir: daemon.dir });
  for (let at = 0; at < EVENTS; at += 1) await log.turns.append('s', { event: 'token', at });
  await log.close();
  await daemon.kill(signal);
  const [name = ''] = readdirSync(join(daemon.dir, '.eventlogd', 'commitlog')).sort();
  const segment = join('.eventlogd', 'commitlog', name);
  const bytes = readFileSync(join(daemon.dir, segment));
  const frames: number[] = [];
  for (let at = FILE_HEADER_BYTES; ; ) {
    const frame = frameAt(bytes, at);
    if (frame.kind !== 'frame') break;
    frames.push(at);
    at = frame.end;
  }
  t.is(frames.length, EVENTS);
  return { dir: daemon.dir, segment, frames };
}

async function startFlipped(
  t: ExecutionContext,
  source: { readonly dir: string; readonly segment: string },
  offset: number,
): Promise<{ readonly code: number | null; readonly output: string; readonly path: string }> {
  const dir = `${source.dir}-${offset}`;
  await copyDirectory(source.dir, dir);
  const path = join(dir, source.segment);
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(offset) ^ 0x04, offset);
  writeFileSync(path, bytes);
  const before = readFileSync(path);
  const ended = await runDaemonProgram(['start', '--dir', dir]);
  t.deepEqual(readFileSync(path), before, 'a damaged log was changed');
  return { ...ended, path };
}

const flipped = test.macro(
  async (t: ExecutionContext, signal: 'SIGTERM' | 'SIGKILL', frames: readonly number[]) => {
    const source = await written(t, signal);
    for (const nth of frames) {
      const frame = source.frames[nth] ?? 0;
      const { code, output, path } = await startFlipped(t, source, frame + 90);
      t.is(code, 65, output);
      t.true(output.includes(path) && output.includes(`byte ${frame}`), output);
    }
  },
);

test(
  'a byte flipped in a frame before the last, after kill -9: exit 65',
  flipped,
  'SIGKILL',
  [0, 3],
);
test('a byte flipped in the last frame, after a clean stop: exit 65', flipped, 'SIGTERM', [4]);

test('a byte flipped in a file header: exit 65', async (t) => {
  const source = await written(t, 'SIGKILL');
  const { code, output, path } = await startFlipped(t, source, 20);
  t.is(code, 65, output);
  t.true(output.includes(path) && output.includes('byte 0'), output);
});

test('a second daemon exits 78 and names the first; the lock frees itself on kill -9', async (t) => {
  const first = await startDaemonProcess(t);
  const second = await runDaemonProgram(['start', '--dir', first.dir]);
  t.is(second.code, 78, second.output);
  t.regex(second.output, new RegExp(`\\b${first.process.pid}\\b`));
  const log = await connect({ dir: first.dir });
  t.is((await log.turns.append('s', { event: 'submitted' })).seq, 1);
  await log.close();
  await first.kill('SIGKILL');
  const third = await startDaemonProcess(t, { dir: first.dir });
  t.is(await third.stop(), 0);
});

test('a cluster worker refuses to be a daemon', async (t) => {
  const { dir, stop } = await startDaemonProcess(t);
  await stop();
  const { code, output } = await runCluster(['start', '--dir', dir]);
  t.not(code, 0);
  t.regex(output, /cluster worker/);
});
