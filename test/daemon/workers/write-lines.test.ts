/** Lines of ours beside another program's that comes in two writes. */
import { appendFileSync, closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { writeLines } from '../../../daemon/workers/write-lines.js';
import { makeFolder } from '../../support/daemon.js';

const OURS = '{"event":"ours"}\n';

/** Writes the rest of a line as soon as it is told to. */
const SECOND_HALF = `
const { workerData } = require('node:worker_threads');
Atomics.wait(workerData.go, 0, 0);
require('node:fs').appendFileSync(workerData.path, workerData.rest);
`;

test('a line that another program has begun gets its rest before ours is written', async (t) => {
  const path = join(await makeFolder(t), 'f.jsonl');
  const fd = openSync(path, 'a+');
  t.teardown(() => closeSync(fd));
  const whole = `{"event":"foreign","text":"${'x'.repeat(100_000)}"}\n`;
  for (let round = 0; round < 20; round += 1) {
    const before = readFileSync(path).length;
    appendFileSync(path, whole.slice(0, 50_000));
    const go = new Int32Array(new SharedArrayBuffer(4));
    const rest = whole.slice(50_000);
    const second = new Worker(SECOND_HALF, { eval: true, workerData: { go, path, rest } });
    const ended = new Promise((resolve) => second.once('exit', resolve));
    await new Promise((resolve) => second.once('online', resolve));
    Atomics.store(go, 0, 1);
    Atomics.notify(go, 0);
    const bytes = Buffer.from(OURS);
    const written = writeLines({ fd, path, expectedSize: before, needsLf: false, bytes });
    await ended;
    if (!written.ok) return t.fail(written.failure.message);
    const text = readFileSync(path, 'utf8');
    t.true(written.foreign);
    t.is(text.slice(written.at, written.at + OURS.length), OURS);
    t.is(text[written.at - 1], '\n');
    // On a machine that is too busy the rest comes too late, and is no line of its own then.
    if (written.at === before + whole.length) t.is(text.slice(before, written.at), whole);
    if (!text.endsWith('\n')) appendFileSync(path, '\n');
  }
});

test('a torn end that nobody ends is fenced off', async (t) => {
  const path = join(await makeFolder(t), 'f.jsonl');
  appendFileSync(path, '{"torn');
  const fd = openSync(path, 'a+');
  t.teardown(() => closeSync(fd));
  const bytes = Buffer.from(OURS);
  const written = writeLines({ fd, path, expectedSize: 0, needsLf: false, bytes });
  t.deepEqual(written, { ok: true, at: 7, size: 7 + OURS.length, foreign: true });
  t.is(readFileSync(path, 'utf8'), `{"torn\n${OURS}`);
});
