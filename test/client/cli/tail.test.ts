/** `eventlog tail` as a process, against a real daemon. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import test, { type ExecutionContext } from 'ava';
import { connect } from '../../../client/index.js';
import { type Finished, finished, runCli, startCli } from '../../support/cli.js';
import { startDaemonProcess } from '../../support/daemon.js';

/** A program that follows, whose lines come as they are written. */
class Tail {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  #errors = '';
  readonly #closed: Promise<unknown>;

  constructor(t: ExecutionContext, args: readonly string[]) {
    this.#child = startCli(['tail', ...args]);
    t.teardown(() => this.#child.kill('SIGKILL'));
    const { stdout, stderr } = this.#child;
    if (stdout === null || stderr === null) throw new Error('the program has no pipes');
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
    stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    this.#closed = once(this.#child, 'close');
  }

  async take(count: number): Promise<string[]> {
    const lines: string[] = [];
    while (lines.length < count) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error(`the program ended: ${this.#errors}`);
      lines.push(value);
    }
    return lines;
  }

  /** Its exit code and standard error, after all that it still writes. */
  async end(signal?: NodeJS.Signals): Promise<{ code: number | null; stderr: string }> {
    if (signal !== undefined) this.#child.kill(signal);
    await this.#closed;
    return { code: this.#child.exitCode, stderr: this.#errors };
  }
}

const TOKEN = { event: 'token' };

test('tail turns writes each line as it stands on disk, over a killed daemon, quietly', async (t) => {
  const first = await startDaemonProcess(t);
  const { dir } = first;
  const log = await connect({ dir });
  t.teardown(() => log.close());
  const file = join(dir, '_turn_journal', 's.jsonl');
  await log.turns.append('s', { event: 'submitted', content: 'hi' });
  const tail = new Tail(t, ['turns', 's', '--dir', dir]);
  const lines = await tail.take(1);
  await first.kill('SIGKILL');
  await startDaemonProcess(t, { dir });
  await log.turns.append('s', TOKEN);
  lines.push(...(await tail.take(1)));
  t.is(`${lines.join('\n')}\n`, await readFile(file, 'utf8'));
  t.deepEqual(await tail.end('SIGINT'), { code: 0, stderr: '' });
});

test('tail all embeds the exact text and tells of deletions; runs are filtered', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const all = new Tail(t, ['all', '--from', 'start', '--dir', dir]);
  const turnsOnly = new Tail(t, ['all', '--from', '0', '--journal', 'turns', '--dir', dir]);
  const runs = new Tail(t, ['runs', 't', '--run', 'r1', '--category', 'message', '--dir', dir]);
  const text = '{"event_type":"said","category":"message","content":1.0}';
  for (const run of ['r2', 'r1']) {
    const put = await runCli(['append', 'runs', 't', run, text, '--dir', dir]);
    t.is(put.code, 0, put.stderr);
  }
  await runCli(['append', 'turns', 's', '{"event":"a","n":1.0}', '--dir', dir]);
  await runCli(['delete', 'runs', 't', 'r2', '--dir', dir]);
  await runCli(['delete', 'turns', 's', '--dir', dir]);
  const lines = await all.take(5);
  const onDisk = await readFile(join(dir, 'threads', 't', 'runs', 'r1.jsonl'), 'utf8');
  t.is(lines[1], `{"position":2,"journal":"runs","streamId":"t","event":${onDisk.trimEnd()}}`);
  t.true(lines[2]?.includes('"event":{"event":"a","n":1.0,'));
  const [, , , fourth, fifth] = lines.map((line) => JSON.parse(line) as object);
  const deleted = { position: 4, journal: 'runs', streamId: 't', runId: 'r2', deleted: true };
  t.deepEqual(fourth, deleted);
  t.deepEqual(fifth, { position: 5, journal: 'turns', streamId: 's', deleted: true });
  t.deepEqual(await turnsOnly.take(2), [lines[2], lines[4]]);
  t.deepEqual(await runs.take(1), [onDisk.trimEnd()]);
  t.is((await all.end('SIGTERM')).code, 0);
});

test('tail --from takes up at a cursor, a seq or now', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await connect({ dir });
  t.teardown(() => log.close());
  for (let appended = 0; appended < 3; appended += 1) await log.turns.append('s', TOKEN);
  const { generation } = await log.turns.head('s');
  const seqs = async (from: string): Promise<unknown[]> => {
    const tail = new Tail(t, ['turns', 's', '--from', from, '--dir', dir]);
    const lines = await tail.take(from === 'start' ? 3 : 1);
    await tail.end('SIGTERM');
    return lines.map((line) => (JSON.parse(line) as { seq: number }).seq);
  };
  t.deepEqual(await seqs('start'), [1, 2, 3]);
  t.deepEqual(await seqs(`${generation}-2`), [3]);
  t.deepEqual(await seqs('2'), [3]);
  for (const from of ['x', '1-', '-1']) {
    t.is((await runCli(['tail', 'turns', 's', `--from=${from}`, '--dir', dir])).code, 2, from);
  }
  t.is((await runCli(['tail', 'all', '--from', '1-2', '--dir', dir])).code, 2);
});

test('a stream that is deleted and a cursor that is expired end with what to do', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await connect({ dir });
  t.teardown(() => log.close());
  await log.turns.append('s', TOKEN);
  const { generation } = await log.turns.head('s');
  const tail = new Tail(t, ['turns', 's', '--dir', dir]);
  await tail.take(1);
  await log.turns.delete('s');
  const { code, stderr } = await tail.end();
  t.is(code, 1);
  t.true(stderr.includes(`cursor ${generation}-1`), stderr);
  t.true(stderr.includes('--from start'), stderr);
  const expired = await runCli(['tail', 'turns', 's', '--from', `${generation}-1`, '--dir', dir]);
  t.is(expired.code, 1);
  t.true(expired.stderr.includes('--from start'), expired.stderr);
});

test('a reader that goes away ends it quietly', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await connect({ dir });
  t.teardown(() => log.close());
  const content = 'x'.repeat(1_000);
  const appends = Array.from({ length: 2_000 }, () =>
    log.turns.append('s', { event: 'token', content }),
  );
  await Promise.all(appends);
  const child = startCli(['tail', 'turns', 's', '--dir', dir]);
  t.teardown(() => child.kill('SIGKILL'));
  const ended: Promise<Finished> = finished(child);
  child.stdout?.once('data', () => child.stdout?.destroy());
  const code = await once(child, 'exit').then(([exitCode]) => exitCode as number | null);
  t.is(code, 0);
  await ended.catch(() => {});
});
