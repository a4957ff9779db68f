/** What subscribers see of other programs' changes. */
import { appendFileSync, mkdirSync, renameSync, rmdirSync, rmSync } from 'node:fs';
import test from 'ava';
import { startDaemonProcess } from '../../support/daemon.js';
import { client, eventually, refusal, runFile, sessionFile } from '../../support/faults.js';

function line(content: string): string {
  return `${JSON.stringify({ event: 'token', content })}\n`;
}

test('a subscriber gets adopted lines among the others, each once and in order', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'token', content: '1' });
  const subscription = log.turns.subscribe('s');
  const seen: unknown[] = [];
  for await (const { seq, content } of subscription) {
    seen.push([seq, content]);
    // The next one comes from the other side each time; nobody else touches the stream.
    if (seen.length === 6) break;
    const next = String(seen.length + 1);
    if (seen.length % 2 === 1) appendFileSync(sessionFile(dir, 's'), line(next));
    else await log.turns.append('s', { event: 'token', content: next });
  }
  t.deepEqual(
    seen,
    Array.from({ length: 6 }, (_, at) => [at + 1, String(at + 1)]),
  );
});

test('a subscriber to a session that another program begins gets its lines', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  await log.turns.append('other', { event: 'token' });
  const subscription = log.turns.subscribe('s');
  await subscription.caughtUp();
  appendFileSync(sessionFile(dir, 's'), line('first'));
  for await (const { seq, content } of subscription) {
    t.deepEqual([seq, content], [1, 'first']);
    break;
  }
});

test('a file that cannot be read for a while stops nobody for longer', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'token', content: 'first' });
  const subscription = log.turns.subscribe('s');
  await subscription.caughtUp();
  const path = sessionFile(dir, 's');
  renameSync(path, `${path}.aside`);
  mkdirSync(path);
  const refused = await refusal(
    eventually(
      async () => await log.turns.read('s'),
      () => false,
    ),
  );
  t.is(refused.code, 'STORAGE_FAILED');
  rmdirSync(path);
  renameSync(`${path}.aside`, path);
  t.is((await log.turns.read('s')).events.length, 1);
  appendFileSync(path, line('foreign'));
  const seen: unknown[] = [];
  for await (const { seq, content } of subscription) {
    seen.push([seq, content]);
    if (seen.length === 3) break;
    if (seen.length === 2) await log.turns.append('s', { event: 'token', content: 'last' });
  }
  t.deepEqual(seen, [
    [1, 'first'],
    [2, 'foreign'],
    [3, 'last'],
  ]);
});

test('who follows everything gets adopted lines and removals, live and from the log alike', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  const put = async (run: string): Promise<unknown> =>
    await log.runs.put({ thread_id: 't', run_id: run, event_type: 'e', category: 'c' });
  const live = log.subscribeAll({ afterPosition: 0 });
  const seen: unknown[] = [];
  const told = async (entries: typeof live, count: number): Promise<unknown[]> => {
    const got: unknown[] = [];
    for await (const entry of entries) {
      const { position, streamId } = entry;
      got.push(
        entry.deleted === true ? [position, streamId, entry.runId ?? null] : [position, streamId],
      );
      if (got.length === count) break;
    }
    return got;
  };
  const following = told(live, 7).then((got) => seen.push(...got));
  await log.turns.append('s', { event: 'token' });
  await put('a');
  await put('b');
  appendFileSync(sessionFile(dir, 's'), line('foreign'));
  t.is((await log.turns.head('s')).seq, 2);
  rmSync(runFile(dir, 't', 'a'));
  t.is((await log.runs.listEvents('t', 'a')).length, 0);
  rmSync(sessionFile(dir, 's'));
  t.is((await log.turns.head('s')).seq, 0);
  await put('b');
  await following;
  // The adoption of what is left of the thread takes a position too.
  t.deepEqual(seen, [
    [1, 's'],
    [2, 't'],
    [3, 't'],
    [4, 's'],
    [5, 't', 'a'],
    [7, 's', null],
    [8, 't'],
  ]);
  t.deepEqual(await told(log.subscribeAll({ afterPosition: 0 }), 7), seen);
});

test('lines that appear just when their files begin to be watched are met, though nobody reads', async (t) => {
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  const ids = Array.from({ length: 200 }, (_, at) => `s${at}`);
  const follow = async (id: string): Promise<unknown[]> => {
    const seen: unknown[] = [];
    await log.turns.append(id, { event: 'token', content: 'ours' });
    for await (const { content } of log.turns.subscribe(id)) {
      seen.push(content);
      if (seen.length === 2) break;
      appendFileSync(sessionFile(dir, id), line('foreign'));
    }
    return seen;
  };
  const following: Promise<unknown[]>[] = [];
  for (const id of ids) {
    following.push(follow(id));
    // They begin at all times between two looks of the watcher.
    for (let call = 0; call < 5; call += 1) await log.turns.head(id);
  }
  for (const seen of await Promise.all(following)) t.deepEqual(seen, ['ours', 'foreign']);
});
