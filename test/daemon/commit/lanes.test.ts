import test, { type ExecutionContext } from 'ava';
import { Lane } from '../../../daemon/commit/lanes.js';
import type { FragileTask } from '../../support/fragile.worker.js';

function openLane(t: ExecutionContext): Lane<FragileTask, string> {
  return new Lane('../../test/support/fragile.worker.js', (error) => t.fail(error.message));
}

function echoes(lane: Lane<FragileTask, string>, texts: readonly string[]): Promise<string>[] {
  return texts.map((text) => lane.run({ kind: 'echo', text }));
}

test('tasks are done in the order of the calls', async (t) => {
  const lane = openLane(t);
  const done: string[] = [];
  const texts = Array.from({ length: 100 }, (_, at) => `${at}`);
  await Promise.all(echoes(lane, texts).map((echo) => echo.then((text) => done.push(text))));
  t.deepEqual(done, texts);
  await lane.close();
});

test('closing waits for the tasks that were given, and takes no more', async (t) => {
  const lane = openLane(t);
  const given = echoes(lane, ['a', 'b', 'c']);
  const closed = lane.close();
  await t.throwsAsync(lane.run({ kind: 'echo', text: 'd' }), { message: /closed/ });
  t.deepEqual(await Promise.all(given), ['a', 'b', 'c']);
  await closed;
});

test('a task that throws fails alone', async (t) => {
  const lane = openLane(t);
  const failing = lane.run({ kind: 'throw', text: 'a fault' });
  const next = echoes(lane, ['after it']);
  await t.throwsAsync(failing, { instanceOf: RangeError, message: 'a fault' });
  t.deepEqual(await Promise.all(next), ['after it']);
  await lane.close();
});

test('a thread that dies takes its task with it, and another does the rest', async (t) => {
  const lane = openLane(t);
  const lost = lane.run({ kind: 'exit', text: '' });
  const rest = echoes(lane, ['a', 'b']);
  await t.throwsAsync(lost, { message: /exited with code: 7/ });
  t.deepEqual(await Promise.all(rest), ['a', 'b']);
  const lostAtTheEnd = lane.run({ kind: 'exit', text: '' });
  const last = echoes(lane, ['c']);
  const closed = lane.close();
  await t.throwsAsync(lostAtTheEnd);
  t.deepEqual(await Promise.all(last), ['c']);
  await closed;
});
