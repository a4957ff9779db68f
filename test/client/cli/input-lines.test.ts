import test from 'ava';
import fc from 'fast-check';
import { splitLines } from '../../../client/cli/input-lines.js';
import { EventTooLargeError } from '../../../client/index.js';

async function* chunksOf(text: string, sizes: readonly number[]): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  let at = 0;
  for (const size of sizes) {
    yield bytes.subarray(at, at + size);
    at += size;
  }
  yield bytes.subarray(at);
}

async function linesOf(
  text: string,
  sizes: readonly number[] = [],
  max = 1_000,
): Promise<[number, string][]> {
  const lines: [number, string][] = [];
  for await (const { number, bytes } of splitLines(chunksOf(text, sizes), max)) {
    lines.push([number, Buffer.from(bytes).toString()]);
  }
  return lines;
}

test('lines keep their number, blank ones are skipped, CR belongs to the line end', async (t) => {
  t.deepEqual(await linesOf('{"a":1}\r\n\n  \t\r\n {"b":2} \n{"c":3}'), [
    [1, '{"a":1}'],
    [4, ' {"b":2} '],
    [5, '{"c":3}'],
  ]);
  t.deepEqual(await linesOf(''), []);
  t.deepEqual(await linesOf('\u2028\n'), [[1, '\u2028']]);
});

test('any cut of the input into chunks gives the same lines', async (t) => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.constantFrom('{}', 'é', '\r', '\n', '\n', ' ', 'x')),
      fc.array(fc.nat(5)),
      async (pieces, sizes) => {
        const text = pieces.join('');
        t.deepEqual(await linesOf(text, sizes), await linesOf(text));
      },
    ),
  );
  t.pass();
});

test('a line that is too long is refused before it is gathered', async (t) => {
  t.deepEqual(await linesOf(`${'x'.repeat(10)}\r\n`, [], 10), [[1, 'x'.repeat(10)]]);
  async function* endless(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('{}\n');
    for (;;) yield Buffer.alloc(6, 'x');
  }
  const lines = splitLines(endless(), 10);
  t.is((await lines.next()).value?.number, 1);
  const error = await t.throwsAsync(lines.next(), { instanceOf: EventTooLargeError });
  t.regex(error?.message ?? '', /^line 2 /);
});
