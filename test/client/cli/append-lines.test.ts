import test from 'ava';
import { appendLines } from '../../../client/cli/append-lines.js';
import type { InputLine } from '../../../client/cli/input-lines.js';

async function* numbered(count: number): AsyncGenerator<InputLine> {
  for (let number = 1; number <= count; number += 1) yield { number, bytes: new Uint8Array(10) };
}

interface Deferred {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Appends that are answered when the test says so. */
function manual(): {
  append: (line: InputLine) => Promise<number>;
  started: Map<number, Deferred>;
} {
  const started = new Map<number, Deferred>();
  const append = ({ number }: InputLine): Promise<number> =>
    new Promise((resolve, reject) => {
      started.set(number, { resolve: () => resolve(number), reject });
    });
  return { append, started };
}

async function turns(count = 50): Promise<void> {
  for (let i = 0; i < count; i += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('lines are under way together, and their results come in input order', async (t) => {
  const { append, started } = manual();
  const written: number[] = [];
  const run = appendLines(numbered(3), {
    append,
    write: async (event) => void written.push(event),
  });
  await turns();
  t.deepEqual([...started.keys()], [1, 2, 3]);
  started.get(3)?.resolve();
  started.get(2)?.resolve();
  await turns();
  t.deepEqual(written, []);
  started.get(1)?.resolve();
  t.deepEqual(await run, { appended: 3, failed: null });
  t.deepEqual(written, [1, 2, 3]);
});

test('no more than 256 lines are under way', async (t) => {
  const { append, started } = manual();
  const run = appendLines(numbered(300), { append, write: async () => {} });
  await turns(600);
  t.is(started.size, 256);
  started.get(1)?.resolve();
  await turns();
  t.is(started.size, 257);
  for (let number = 2; number <= 300; number += 1) {
    while (!started.has(number)) await turns(1);
    started.get(number)?.resolve();
  }
  t.deepEqual(await run, { appended: 300, failed: null });
});

test('results are shown while the input is waited for', async (t) => {
  const { append, started } = manual();
  const written: number[] = [];
  let more: () => void = () => {};
  async function* slow(): AsyncGenerator<InputLine> {
    yield { number: 1, bytes: new Uint8Array(1) };
    await new Promise<void>((resolve) => {
      more = resolve;
    });
    yield { number: 2, bytes: new Uint8Array(1) };
  }
  const run = appendLines(slow(), { append, write: async (event) => void written.push(event) });
  await turns();
  started.get(1)?.resolve();
  await turns();
  t.deepEqual(written, [1]);
  more();
  await turns();
  started.get(2)?.resolve();
  t.is((await run).appended, 2);
});

test('after a failure no line is started, and those under way are counted', async (t) => {
  const { append, started } = manual();
  const written: number[] = [];
  const run = appendLines(numbered(1_000), {
    append,
    write: async (event) => void written.push(event),
  });
  await turns(600);
  const failure = new Error('refused');
  started.get(2)?.reject(failure);
  started.get(4)?.reject(new Error('also'));
  for (const [number, { resolve }] of started) if (number !== 2 && number !== 4) resolve();
  t.deepEqual(await run, { appended: 254, failed: { line: 2, error: failure } });
  t.is(started.size, 256);
  t.deepEqual(written.slice(0, 3), [1, 3, 5]);
});

test('a failure of the input is told after what is under way is settled', async (t) => {
  const { append, started } = manual();
  const failure = new Error('no more input');
  async function* failing(): AsyncGenerator<InputLine> {
    yield { number: 1, bytes: new Uint8Array(1) };
    throw failure;
  }
  const written: number[] = [];
  const run = appendLines(failing(), { append, write: async (event) => void written.push(event) });
  await turns();
  started.get(1)?.resolve();
  t.deepEqual(await run, { appended: 1, failed: { line: null, error: failure } });
  t.deepEqual(written, [1]);
});

test('an earlier line that fails later is the failure that is told', async (t) => {
  const { append, started } = manual();
  const run = appendLines(numbered(5), {
    append: (line) => {
      if (line.number === 3) throw new Error('bad at sight');
      return append(line);
    },
    write: async () => {},
  });
  await turns();
  t.deepEqual([...started.keys()], [1, 2]);
  const failure = new Error('refused');
  started.get(2)?.reject(failure);
  started.get(1)?.resolve();
  t.deepEqual(await run, { appended: 1, failed: { line: 2, error: failure } });
});
