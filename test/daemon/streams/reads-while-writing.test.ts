/** Reads of a stream into which others write at the same time. */
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { connect, type NewRunEvent } from '../../../client/index.js';
import { startDaemonProcess } from '../../support/daemon.js';

const APPENDS = 300;

function message(runId: string, n: number): NewRunEvent {
  return { thread_id: 't', run_id: runId, event_type: 'e', category: 'message', content: n };
}

test("a commit's own lines are never taken for another program's", async (t) => {
  const daemon = await startDaemonProcess(t);
  const writer = await connect({ dir: daemon.dir });
  const reader = await connect({ dir: daemon.dir });
  t.teardown(() => Promise.all([writer.close(), reader.close()]));
  let isWriting = true;
  const seqs: number[] = [];
  const writing = (async () => {
    for (let n = 0; n < APPENDS; n += 1) {
      const events = await writer.runs.putBatch([message('a', n), message('b', n)]);
      seqs.push(...events.map(({ seq }) => seq));
    }
    isWriting = false;
  })();
  let seen = 0;
  while (isWriting) {
    const messages = await reader.runs.listMessages('t', { limit: 1_000_000 });
    t.true(messages.length >= seen && messages.length % 2 === 0, 'a batch is there or not');
    seen = messages.length;
  }
  await writing;
  t.deepEqual(
    seqs,
    seqs.map((_, index) => index + 1),
  );
  t.false(daemon.output().includes('reading them again'), daemon.output());
});

test('a foreign line in one file of a thread takes nothing from what is written to another', async (t) => {
  const daemon = await startDaemonProcess(t);
  const writer = await connect({ dir: daemon.dir });
  const reader = await connect({ dir: daemon.dir });
  t.teardown(() => Promise.all([writer.close(), reader.close()]));
  const file = join(daemon.dir, 'threads', 't', 'runs', 'foreign.jsonl');
  await writer.runs.put(message('foreign', 0));
  let isWriting = true;
  const seqs: number[] = [1];
  const writing = (async () => {
    for (let n = 0; n < APPENDS; n += 1) {
      const events = await writer.runs.putBatch([message('a', n), message('b', n)]);
      seqs.push(...events.map(({ seq }) => seq));
    }
    isWriting = false;
  })();
  let foreign = 0;
  while (isWriting) {
    // Blank lines are no events: the file grows, the order does not change.
    await appendFile(file, '\n');
    foreign += 1;
    const messages = await reader.runs.listMessages('t', { limit: 1_000_000 });
    t.deepEqual(
      messages.map(({ seq }) => seq),
      messages.map((_, index) => index + 1),
    );
  }
  await writing;
  t.true(foreign > 0);
  t.deepEqual(
    seqs,
    seqs.map((_, index) => index + 1),
  );
});
