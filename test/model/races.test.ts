/** Processes that try the same thing at the same time. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { startDaemonProcess } from '../support/daemon.js';

const PROGRAM = fileURLToPath(new URL('./race.process.js', import.meta.url));
const ROUNDS = 20;

/** Lets processes race; returns what each of them got, round by round. */
async function race(t: ExecutionContext, what: string, count: number): Promise<unknown[][]> {
  const { dir } = await startDaemonProcess(t);
  const racers: ChildProcess[] = [];
  for (let at = 0; at < count; at += 1) {
    const racer = fork(PROGRAM, [dir, what]);
    t.teardown(() => racer.kill('SIGKILL'));
    racers.push(racer);
  }
  await Promise.all(racers.map((racer) => once(racer, 'message')));
  const rounds: unknown[][] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const answers = racers.map((racer) => once(racer, 'message'));
    for (const racer of racers) racer.send(round);
    const messages = (await Promise.all(answers)) as [{ result: unknown }][];
    rounds.push(messages.map(([{ result }]) => result));
  }
  return rounds;
}

test('putIfAbsent of 16 processes: one creates the event, all get it', async (t) => {
  for (const results of await race(t, 'putIfAbsent', 16)) {
    const events = results as { created: boolean; seq: number; content: number }[];
    t.is(events.filter(({ created }) => created).length, 1);
    t.is(new Set(events.map(({ content }) => content)).size, 1);
    t.true(events.every(({ seq }) => seq === 1));
  }
});

test('appendForStream of processes on one stream: all get the same turn', async (t) => {
  for (const turns of await race(t, 'appendForStream', 4)) {
    t.regex(String(turns[0]), /^\d{8}T\d{6}Z-[0-9a-f]{12}$/);
    t.is(new Set(turns).size, 1);
  }
});

test('expectedSeq of processes on one session: exactly one wins', async (t) => {
  for (const results of await race(t, 'expectedSeq', 4)) {
    t.deepEqual(
      results.filter((result) => result !== 'SEQUENCE_CONFLICT'),
      [1],
    );
  }
});
