/** Messages that are well-formed frames and not what the daemon asks for. */
import type { Random } from '../../support/random.js';
import { chance, pick, someBytes, weighted } from './draw.js';
import { type Due, FATAL, type Frame, OPEN, SILENT, treeFrame } from './frames.js';
import { Entries, encodeTree, floatBytes, head, Raw, type Tree, treeOf } from './msgpack.js';
import type { HonestClient } from './valid-messages.js';

type Entry = readonly [Tree, Tree];

const LONG = 70_000;
/** One more than the deepest nesting that is allowed, counted from inside a message's map. */
const TOO_DEEP = 16;
/** More values than a frame may hold. */
const TOO_MANY = 262_145;

/** Numbers where numbers are not expected, and others where they are. */
const NUMBERS: readonly Tree[] = [
  0,
  1,
  -1,
  -0,
  1.5,
  0.1,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 53 + 2,
  -(2 ** 53),
  2 ** 64,
  1e308,
  5e-324,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  2n ** 63n,
  2n ** 64n - 1n,
  -(2n ** 63n),
  7n,
  // The same small number in every width there is.
  new Raw(head(0xcc, 1, 3)),
  new Raw(head(0xcd, 2, 3)),
  new Raw(head(0xce, 4, 3)),
  new Raw(head(0xcf, 8, 3)),
  new Raw(head(0xd0, 1, 3)),
  new Raw(head(0xd1, 2, 3)),
  new Raw(head(0xd2, 4, 3)),
  new Raw(head(0xd3, 8, 3)),
  new Raw([0xca, 0x40, 0x40, 0, 0]),
  new Raw(floatBytes(3)),
  new Raw([0xca, 0x7f, 0xc0, 0, 0]),
];

const TEXTS: readonly string[] = [
  '',
  ' ',
  '.',
  '..',
  '../../etc/passwd',
  'a/b',
  'x\n',
  'x\0',
  'ä',
  '\u2028',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  'x'.repeat(200),
  'x'.repeat(201),
  'x'.repeat(255),
  'x'.repeat(256),
  'x'.repeat(LONG),
  '\u0001'.repeat(LONG),
  'turns.append',
  'start',
  'now',
  '0',
  'null',
  'X1',
  'x1~2',
];

/** Texts of events that are none, or unusual ones. */
const EVENT_TEXTS: readonly string[] = [
  '',
  '{}',
  '[]',
  'null',
  '7',
  '{"event":1}',
  '{"event":" "}',
  '{"event":"e"',
  '{"event":"e"}x',
  '{"event":"e","event":"f"}',
  '{"event":"e","seq":1}',
  '{"event":"e","\\u0073eq":1}',
  '{"event":"e","a":NaN}',
  '{"event":"e","a":-Infinity}',
  '{"event":"e","a":1e999}',
  '{"event":"e","created_at":1e308}',
  '{"event":"e","created_at":-1}',
  '{"event":"e","created_at":"x"}',
  '{"event":"e","created_at":null,"turn_id":null}',
  '{"event":"e","turn_id":{"a":[1]},"stream_id":[2]}',
  '{"event":"completed","turn_id":1e400}',
  `{"event":"e","turn_id":"${'t'.repeat(LONG)}"}`,
  '{"event":"e","__proto__":{"x":1},"constructor":1,"toString":2}',
  '{"event":"e","session_id":"another"}',
  '{"event":"e","a":"\\ud800"}',
  '{"event":"e","a":"\u2028\u2029\u0085"}',
  '{"event":"e",\n"a":1}',
  '{"event":"e","a":"\t"}',
  '\ufeff{"event":"e"}',
  `{"event":"e","a":${'['.repeat(511)}${']'.repeat(511)}}`,
  `{"event":"e","a":${'['.repeat(LONG)}`,
  `{"event":"e","a":${'{"a":'.repeat(600)}1${'}'.repeat(600)}}`,
  `{"event":"e"${',"a":1'.repeat(10_001)}}`,
  `{"event":"e","a":${'1'.repeat(LONG)}}`,
  '{"thread_id":"y1","run_id":"z1","event_type":"e","category":"c","extra":1}',
  '{"thread_id":"y1","run_id":"../z1","event_type":"e","category":"c"}',
  '{"thread_id":"__proto__","run_id":"__proto__","event_type":"__proto__","category":"__proto__"}',
  '{"thread_id":"y1","run_id":"z1","event_type":"e","category":"c","metadata":null}',
  '{"thread_id":"y1","run_id":"z1","event_type":"e","category":"c","metadata":{"task_id":[1]}}',
  '{"thread_id":"y1","run_id":"z1","event_type":"e","category":"c","created_at":"yesterday"}',
  '{"thread_id":"y1","run_id":"z1","event_type":"e","category":"c","created_at":"9999-12-31T23:59:59.999999+00:00"}',
];

/**
 * A value of any type that a frame may hold.
 *
 * @param depthMax how deep it may be nested: one level less than a message's field may be
 */
function anyValue(random: Random, depthMax: number = TOO_DEEP - 2): Tree {
  if (depthMax === 0) return pick(random, NUMBERS);
  return weighted<() => Tree>(random, [
    [30, () => pick(random, NUMBERS)],
    [25, () => pick(random, TEXTS)],
    [10, () => pick<Tree>(random, [null, true, false])],
    [10, () => eventText(random)],
    [5, () => someBytes(random, random(40))],
    // A text that is no UTF-8.
    [4, () => new Raw([0xa4, 0xff, 0xc0, 0xed, 0xa0])],
    [6, () => Array.from({ length: random(4) }, () => anyValue(random, depthMax - 1))],
    [2, () => Array.from({ length: 12_000 }, () => 'e')],
    [6, () => new Entries([[pick(random, TEXTS), pick(random, NUMBERS)]])],
    [2, () => nested(random, depthMax)],
  ])();
}

function eventText(random: Random): Uint8Array {
  const text = Buffer.from(pick(random, EVENT_TEXTS));
  if (text.length > 0 && chance(random, 30)) text[random(text.length)] = random(256);
  return text;
}

function nested(random: Random, depth: number): Tree {
  let tree: Tree = 1;
  for (let at = 0; at < depth; at += 1)
    tree = chance(random, 50) ? [tree] : new Entries([['a', tree]]);
  return tree;
}

/** A value that no frame may hold. */
function forbidden(random: Random): Tree {
  return pick<() => Tree>(random, [
    () => nested(random, TOO_DEEP),
    () => nested(random, 3000),
    () => Array.from({ length: TOO_MANY }, () => 0),
    // What msgpackr calls a record: its definition, and one of it.
    () => new Raw([0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 0x01]),
    () => new Raw([0xd4, 0x72, 0x40]),
    // A timestamp, a set, an error, a pointer, a typed array, each an extension of some encoder.
    () => new Raw([0xd6, 0xff, 0, 0, 0, 1]),
    () => new Raw([0xc7, 0, 0x73]),
    () => new Raw([0xc7, 1, 0x65, 0x90]),
    () => new Raw([0xd6, 0x70, 0, 0, 0, 1]),
    () => new Raw([0xc8, 0, 4, 0x74, 1, 2, 3, 4]),
    () => new Raw([0xc9, 0xff, 0xff, 0xff, 0xff, 0x01]),
    () => new Raw([0xd5, random(256), 1, 2]),
    () => new Raw([0xc1]),
    // Keys that are no strings.
    () => new Entries([[1, 1]]),
    () => new Entries([[null, 1]]),
    () => new Entries([[new Entries([]), 1]]),
    () => new Entries([[Uint8Array.of(97), 1]]),
    // More than there is.
    () => new Raw(head(0xdd, 4, 0xffff_ffff)),
    () => new Raw(head(0xdf, 4, 0x7fff_ffff)),
    () => new Raw(head(0xc6, 4, 0xffff_fff0)),
    () => new Raw(head(0xdb, 4, 0x8000_0000)),
  ])();
}

/** A key that nobody asked for. */
function strangeKey(random: Random): string {
  return pick(random, [
    '__proto__',
    'constructor',
    'toString',
    '',
    'k'.repeat(LONG),
    'then',
    'id2',
  ]);
}

const WHOLE_MESSAGES: readonly Tree[] = [
  null,
  7,
  'hello',
  [],
  [1, 2],
  Uint8Array.of(1),
  new Raw([0xd4, 0x72, 0x40, 0x90]),
  new Raw([]),
];

/** Something else where the message is due: no map at all, or one that says nothing. */
function strangeMessage(random: Random): Frame {
  const message = pick(random, [...WHOLE_MESSAGES, new Entries([])]);
  return treeFrame(message, FATAL);
}

/** One honest message with one thing wrong, or odd, about it. */
export function mutatedMessage(client: HonestClient): Frame {
  const { random } = client;
  const isNotice = chance(random, 15);
  const message = isNotice ? client.notice() : client.request();
  const entries = (treeOf(message) as Entries).list;
  // What is wrong with a notice may leave it one, or make it a message without an id.
  const due: Due = isNotice ? OPEN : { kind: 'answered', id: (message as { id: number }).id };
  const changed = (list: readonly Entry[], then: Due = due): Frame =>
    treeFrame(new Entries(list), then);
  return weighted<() => Frame>(random, [
    [40, () => changed(withField(random, entries, anyValue(random)))],
    [8, () => changed(withField(random, entries, forbidden(random)), FATAL)],
    [8, () => changed(withoutField(random, entries))],
    [8, () => changed([...entries, [strangeKey(random), anyValue(random)]])],
    [4, () => changed([[strangeKey(random), anyValue(random)], ...entries])],
    [6, () => changed(withTwice(random, entries))],
    [4, () => changed([...entries, [pick<Tree>(random, [1, null, [], 1.5]), 1]], FATAL)],
    [10, () => withOtherId(random, entries, isNotice)],
    [8, () => withOtherType(random, entries)],
    [4, () => strangeMessage(random)],
  ])();
}

/** Which of the members beside type and id is meant; -1 where there is none. */
function someField(random: Random, entries: readonly Entry[]): number {
  const places = entries.flatMap(([key], at) => (key === 'type' || key === 'id' ? [] : [at]));
  return places.length === 0 ? -1 : pick(random, places);
}

function withField(random: Random, entries: readonly Entry[], value: Tree): readonly Entry[] {
  const at = someField(random, entries);
  if (at === -1) return [...entries, ['more', value]];
  const [key, before] = entries[at] as Entry;
  // An array is as it should be but for one of its elements.
  const isInside = Array.isArray(before) && before.length > 0 && chance(random, 50);
  const after = isInside ? before.with(random(before.length), value) : value;
  return entries.with(at, [key, after]);
}

function withoutField(random: Random, entries: readonly Entry[]): readonly Entry[] {
  const at = someField(random, entries);
  return entries.filter((_, index) => index !== at);
}

function withTwice(random: Random, entries: readonly Entry[]): readonly Entry[] {
  const at = someField(random, entries);
  if (at === -1) return entries;
  const [key] = entries[at] as Entry;
  return [...entries, [key, anyValue(random)]];
}

function withOtherId(random: Random, entries: readonly Entry[], isNotice: boolean): Frame {
  const others = entries.filter(([key]) => key !== 'id');
  if (chance(random, 20)) return treeFrame(new Entries(others), isNotice ? SILENT : FATAL);
  const id = pick(random, [...NUMBERS, '1', null, [], new Entries([]), 1, 2, 3]);
  const isId = typeof id === 'number' && Number.isSafeInteger(id) && id >= 0;
  const due: Due = isId && !isNotice ? { kind: 'answered', id: id + 0 } : OPEN;
  return treeFrame(new Entries([...others, ['id', id]]), due);
}

const STRANGE_TYPES: readonly Tree[] = [
  'nonsense',
  '',
  '__proto__',
  'constructor',
  'turns',
  'turns.append\n',
  'x'.repeat(LONG),
  7,
  null,
  [],
  new Entries([]),
  true,
];

function withOtherType(random: Random, entries: readonly Entry[]): Frame {
  const others = entries.filter(([key]) => key !== 'type');
  const due = others.find(([key]) => key === 'id')?.[1];
  const id = typeof due === 'number' ? due : null;
  if (chance(random, 15)) {
    const type = pick(random, ['ping', 'pong', 'credit', 'unsubscribe', 'hello']);
    const isSilent = type === 'ping' || type === 'pong';
    return treeFrame(new Entries([['type', type], ...others]), isSilent ? SILENT : OPEN);
  }
  const type = pick(random, STRANGE_TYPES);
  const then: Due = id === null ? FATAL : { kind: 'answered', id };
  return treeFrame(new Entries([['type', type], ...others]), then);
}

/** A frame's body with its honest neighbours' sizes, for those who break bytes. */
export function honestBody(client: HonestClient): Uint8Array {
  const message = chance(client.random, 15) ? client.notice() : client.request();
  return encodeTree(treeOf(message));
}
