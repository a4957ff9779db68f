/** Deletions whose crash comes before the next checkpoint: nothing that was deleted comes back. */
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { connect, type EventLog, type NewRunEvent } from '../../client/index.js';
import { makeFolder, startDaemonProcess } from '../support/daemon.js';
import { copyDirectory } from '../support/journal-files.js';

function runEvent(runId: string, content: string): NewRunEvent {
  return { thread_id: 't', run_id: runId, event_type: 'text', category: 'message', content };
}

async function contents(log: EventLog): Promise<unknown[]> {
  return (await log.runs.listMessages('t')).map(({ seq, content }) => [seq, content]);
}

/** Puts the catalog back to what it was at a copy: the crash came before the next checkpoint. */
function forgetCheckpoints(dir: string, copy: string): void {
  const control = join(dir, '.eventlogd');
  const isCatalog = (name: string): boolean => name.startsWith('checkpoint-');
  for (const name of readdirSync(control).filter(isCatalog)) rmSync(join(control, name));
  for (const name of readdirSync(join(copy, '.eventlogd')).filter(isCatalog))
    cpSync(join(copy, '.eventlogd', name), join(control, name));
}

/** A thread of which an old library filed a run's line under another run. */
async function misfiled(t: ExecutionContext): Promise<string> {
  const dir = join(await makeFolder(t), 'd');
  const folder = join(dir, 'threads', 't', 'runs');
  mkdirSync(folder, { recursive: true });
  const line = (runId: string, seq: number): string =>
    `${JSON.stringify({ ...runEvent(runId, `old ${runId}`), metadata: {}, seq, created_at: '2026-01-01T00:00:00+00:00' })}\n`;
  writeFileSync(join(folder, 'a.jsonl'), line('a', 1) + line('b', 2));
  const daemon = await startDaemonProcess(t, { dir });
  const log = await connect({ dir });
  t.is((await contents(log)).length, 2);
  await log.close();
  t.is(await daemon.stop(), 0);
  return dir;
}

interface Scene {
  readonly steps: (log: EventLog) => Promise<unknown>;
  readonly left: readonly (readonly [number, string])[];
  readonly next: number;
}

const crashes = test.macro(async (t: ExecutionContext, { steps, left, next }: Scene) => {
  const dir = await misfiled(t);
  const copy = join(await makeFolder(t), 'copy');
  await copyDirectory(dir, copy);
  const daemon = await startDaemonProcess(t, { dir });
  const log = await connect({ dir });
  await steps(log);
  t.deepEqual(await contents(log), left);
  await log.close();
  const trash = join(dir, '.eventlogd', 'trash');
  await daemon.kill('SIGKILL');
  const emptied = existsSync(trash) ? readdirSync(trash) : [];
  forgetCheckpoints(dir, copy);
  t.log(`trash at the crash: ${emptied.join()}`);
  const again = await startDaemonProcess(t, { dir });
  const after = await connect({ dir });
  t.deepEqual(await contents(after), left);
  t.is((await after.runs.put(runEvent('a', 'next'))).seq, next);
  t.deepEqual(await contents(after), [...left, [next, 'next']]);
  await after.close();
  t.is(await again.stop(), 0);
});

test('a run with lines past the checkpoint, its file shared, is deleted', crashes, {
  steps: async (log) => {
    await log.runs.put(runEvent('a', 'new'));
    await log.runs.deleteByRun('t', 'a');
  },
  left: [[2, 'old b']],
  next: 4,
});

test('both runs of a shared file are deleted, one after the other', crashes, {
  steps: async (log) => {
    await log.runs.deleteByRun('t', 'a');
    await log.runs.put(runEvent('c', 'kept'));
    await log.runs.deleteByRun('t', 'b');
  },
  left: [[3, 'kept']],
  next: 4,
});

test('a thread is deleted', crashes, {
  steps: async (log) => {
    await log.runs.put(runEvent('a', 'new'));
    await log.runs.deleteByThread('t');
  },
  left: [],
  next: 1,
});

test('a thread is deleted and begins anew', crashes, {
  steps: async (log) => {
    await log.runs.put(runEvent('a', 'new'));
    await log.runs.deleteByThread('t');
    await log.runs.put(runEvent('b', 'another life'));
  },
  left: [[1, 'another life']],
  next: 2,
});
