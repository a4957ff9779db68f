import test from 'ava';
import fc from 'fast-check';
import {
  planTail,
  TAIL_TABLE,
  type Tail,
  type TailPlan,
} from '../../../daemon/recovery/replay-table.js';

const LF = 0x0a;

function lines(...texts: string[]): Buffer[] {
  return texts.map((text) => Buffer.from(text));
}

function joined(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts.flatMap((part) => [part, Buffer.of(LF)]));
}

/** Carries a plan out, up to a number of written bytes, in the order of recovery. */
function carryOut(bytes: Buffer, plan: TailPlan, budget = Number.POSITIVE_INFINITY): Buffer {
  let left = budget;
  let file = bytes;
  const write = (at: number, all: Buffer): void => {
    const part = all.subarray(0, Math.min(all.length, left));
    left -= part.length;
    if (part.length === 0) return;
    const grown = Buffer.alloc(Math.max(file.length, at + part.length));
    file.copy(grown);
    part.copy(grown, at);
    file = grown;
  };
  if (plan.cutAt !== null) file = file.subarray(0, plan.cutAt);
  for (const { at, bytes: own } of plan.rewrite) write(at, own);
  if (plan.append !== null && left > 0) write(file.length, plan.append);
  return file;
}

function linesOf(bytes: Buffer): string[] {
  return bytes.toString('latin1').split('\n');
}

const DUE = lines('{"seq":1,"a":"x"}', '{"seq":2,"b":"yy"}', '{"seq":3}');
const WHOLE = joined(DUE);
const FOREIGN = Buffer.from('{"foreign":1}\n');
const FIRST = joined(DUE.slice(0, 1));

/** For each row of the table, ends of files that it is for. */
const SCENES: Readonly<Record<string, readonly Buffer[]>> = {
  'own lines, whole or missing: written again at their place': [Buffer.alloc(0), FIRST, WHOLE],
  'an own half-written or zeroed end: kept aside, written again at its place': [
    WHOLE.subarray(0, 5),
    WHOLE.subarray(0, WHOLE.length - 1),
    Buffer.alloc(WHOLE.length),
    Buffer.alloc(WHOLE.length + 100),
    Buffer.concat([FIRST, Buffer.alloc(10)]),
    Buffer.concat([Buffer.alloc(FIRST.length), WHOLE.subarray(FIRST.length)]),
  ],
  'foreign lines among ours: they stay, what is missing is appended': [
    FOREIGN,
    Buffer.concat([WHOLE, FOREIGN]),
    Buffer.concat([FOREIGN, WHOLE]),
    Buffer.concat([FIRST, FOREIGN, joined(DUE.slice(2))]),
    Buffer.concat([FIRST, FOREIGN, joined(DUE.slice(1)).subarray(0, -1)]),
  ],
  'foreign lines and an own half-written end: kept aside, cut, what is missing is appended': [
    Buffer.concat([FOREIGN, WHOLE.subarray(0, 5)]),
    Buffer.concat([FIRST, FOREIGN, joined(DUE.slice(1)).subarray(0, 6), Buffer.alloc(4)]),
  ],
  'foreign lines and a foreign torn end: it stays, fenced off, what is missing is appended': [
    Buffer.concat([FOREIGN, Buffer.from('{"torn')]),
    Buffer.concat([WHOLE, Buffer.from('{"torn')]),
    Buffer.concat([WHOLE, Buffer.alloc(8)]),
    Buffer.concat([FIRST, Buffer.from('torn')]),
  ],
};

for (const { name } of TAIL_TABLE) {
  test(`tail: ${name}`, (t) => {
    const scenes = SCENES[name] ?? [];
    t.true(scenes.length > 0, 'each row has its scenes');
    for (const bytes of scenes) {
      const plan = planTail({ bytes, afterLf: true, due: DUE });
      t.is(plan.row, name);
      check({ bytes, afterLf: true, due: DUE }, plan);
    }
  });
}

test('every scene belongs to a row', (t) => {
  t.deepEqual(Object.keys(SCENES).sort(), TAIL_TABLE.map(({ name }) => name).sort());
});

test('a file that ends without LF before the tail: ours begin behind one', (t) => {
  const plan = planTail({ bytes: Buffer.alloc(0), afterLf: false, due: DUE });
  t.is(carryOut(Buffer.alloc(0), plan).toString(), `\n${WHOLE.toString()}`);
  const foreign = { bytes: Buffer.from('rest\n'), afterLf: false, due: DUE };
  t.is(carryOut(foreign.bytes, planTail(foreign)).toString(), `rest\n${WHOLE.toString()}`);
});

test('nothing is due: nothing changes', (t) => {
  for (const bytes of [Buffer.alloc(0), FOREIGN, Buffer.from('torn'), Buffer.alloc(4)]) {
    const plan = planTail({ bytes, afterLf: true, due: [] });
    t.deepEqual(carryOut(bytes, plan), bytes);
    t.is(plan.keepAside, null);
  }
});

test('a half-written end that was glued to what stood before it is no line of ours', (t) => {
  // The byte before the tail is no LF, and neither is the tail's first.
  const bytes = Buffer.concat([FIRST, FOREIGN]);
  check({ bytes, afterLf: false, due: DUE }, planTail({ bytes, afterLf: false, due: DUE }));
  t.pass();
});

/** What must hold of every plan. */
function check(tail: Tail, plan: TailPlan, budget?: number): void {
  const { bytes, afterLf, due } = tail;
  const after = carryOut(bytes, plan);
  const all = linesOf(after);
  // A line that goes on what stands before the tail is none of ours.
  const own = afterLf ? all : all.slice(1);
  for (const [at, line] of due.entries()) {
    const text = line.toString('latin1');
    const count = own.slice(0, -1).filter((one) => one === text).length;
    if (count !== 1) throw new Error(`due line ${at} is there ${count} times`);
    const place = plan.places[at] as number;
    const there = after.subarray(place, place + line.length + 1);
    if (there.toString('latin1') !== `${text}\n`)
      throw new Error(`due line ${at} is not at ${place}`);
    if (place > 0 ? after[place - 1] !== LF : !afterLf) throw new Error(`due line ${at} is glued`);
  }
  const wanted = new Set(due.map((line) => line.toString('latin1')));
  const before = linesOf(bytes).slice(0, -1);
  const foreign = before.filter((line) => line !== '' && !line.includes('\0') && !wanted.has(line));
  let from = 0;
  for (const line of foreign) {
    from = all.indexOf(line, from) + 1;
    if (from === 0) throw new Error(`the foreign line ${line} is gone, or out of order`);
  }
  if (plan.keepAside === null) {
    for (let at = 0; at < bytes.length; at += 1) {
      if (bytes[at] !== after[at]) throw new Error(`byte ${at} was changed and not kept`);
    }
  } else if (!bytes.subarray(bytes.length - plan.keepAside.length).equals(plan.keepAside)) {
    throw new Error('what is kept aside is not what stood there');
  }
  const again = planTail({ bytes: after, afterLf, due });
  if (!carryOut(after, again).equals(after) || again.keepAside !== null) {
    throw new Error('done again, it changes something');
  }
  if (budget === undefined) return;
  // Killed while it was carried out, and done again.
  const killed = carryOut(bytes, plan, budget);
  check({ bytes: killed, afterLf, due }, planTail({ bytes: killed, afterLf, due }));
}

test('whatever a crash and other programs left: every due line is there once, the rest stays', (t) => {
  const dueLines = fc
    .array(fc.string({ maxLength: 6 }), { minLength: 1, maxLength: 5 })
    .map((texts) => texts.map((text, at) => Buffer.from(JSON.stringify({ text, seq: at + 1 }))));
  const damage = fc.record({
    written: fc.nat(400),
    zeroFrom: fc.option(fc.nat(400)),
    zeroLength: fc.integer({ min: 1, max: 60 }),
    tailZeros: fc.oneof(fc.constant(0), fc.nat(40)),
  });
  const foreignPiece = fc.record({
    at: fc.nat(6),
    text: fc.oneof(
      fc.constant('{"foreign":true}\n'),
      fc.string({ maxLength: 8 }).map((text) => `${JSON.stringify({ foreign: text })}\n`),
      fc.constant('\n'),
      fc.constant('torn'),
      fc.constant('{'),
    ),
  });
  fc.assert(
    fc.property(
      dueLines,
      fc.boolean(),
      damage,
      fc.oneof(fc.constant([]), fc.array(foreignPiece, { maxLength: 3 })),
      fc.nat(300),
      (due, afterLf, { written, zeroFrom, zeroLength, tailZeros }, foreign, budget) => {
        let own = Buffer.concat([Buffer.alloc(afterLf ? 0 : 1, LF), joined(due)]);
        if (zeroFrom !== null)
          own
            .subarray(zeroFrom % own.length)
            .subarray(0, zeroLength)
            .fill(0);
        own = own.subarray(0, written);
        // Other programs append whole pieces where our lines ended at that moment.
        const ends = [
          0,
          ...[...own.keys()].filter((at) => own[at] === LF).map((at) => at + 1),
          own.length,
        ];
        const pieces: Buffer[] = [];
        let from = 0;
        for (const [index, end] of ends.entries()) {
          pieces.push(own.subarray(from, end));
          from = end;
          for (const { at, text } of foreign) if (at === index) pieces.push(Buffer.from(text));
        }
        const bytes = Buffer.concat([...pieces, Buffer.alloc(tailZeros)]);
        check({ bytes, afterLf, due }, planTail({ bytes, afterLf, due }), budget);
      },
    ),
    { numRuns: 5_000, includeErrorInReport: true },
  );
  t.pass();
});
