import { Buffer } from 'node:buffer';
import test from 'ava';
import fc from 'fast-check';
import { pack, Unpackr } from 'msgpackr';
import { encodeFrame } from '../../shared/frame-codec.js';
import { scanMsgpack } from '../../shared/msgpack-scan.js';
import { messages } from '../support/messages.js';

const LIMITS = { itemsMax: 262_144, depthMax: 16 };
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });

function bodyOf(message: object): Uint8Array {
  return encodeFrame(message).subarray(4);
}

/** The one-entry map whose value is given: {a: …}. */
function mapOf(...value: number[]): Uint8Array {
  return Uint8Array.from([0x81, 0xa1, 0x61, ...value]);
}

test('every message is accepted', (t) => {
  fc.assert(
    fc.property(messages(), (message) => {
      t.is(scanMsgpack(bodyOf(message), LIMITS), null);
    }),
  );
});

test('a message cut short at any byte is refused, and so is one with bytes behind it', (t) => {
  fc.assert(
    fc.property(messages(), (message) => {
      const body = bodyOf(message);
      const reasons = new Set<string | null>();
      for (let length = 0; length < body.length; length += 1) {
        reasons.add(scanMsgpack(body.subarray(0, length), LIMITS));
      }
      t.deepEqual([...reasons], ['the message ends inside a value']);
      const longer = Buffer.concat([body, Buffer.from([0xc0, 0xc0])]);
      t.is(scanMsgpack(longer, LIMITS), '2 bytes follow the message');
    }),
  );
});

test('what is accepted is decoded to an object without an error', (t) => {
  const edit = fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }));
  let accepted = 0;
  fc.assert(
    fc.property(messages(), fc.array(edit, { maxLength: 2 }), (message, edits) => {
      const body = Uint8Array.from(bodyOf(message));
      for (const [place, byte] of edits) body[place % body.length] = byte;
      if (scanMsgpack(body, LIMITS) !== null) return;
      accepted += 1;
      const decoded = unpackr.unpack(body) as unknown;
      t.is(Object.getPrototypeOf(decoded), Object.prototype);
    }),
    { numRuns: 2_000 },
  );
  t.true(accepted > 100);
});

/** A value of every type that is allowed, with its header in each of its widths. */
const allowed: readonly (readonly [name: string, value: number[]])[] = [
  ['positive fixint', [0x7f]],
  ['negative fixint', [0xe0]],
  ['nil', [0xc0]],
  ['false', [0xc2]],
  ['true', [0xc3]],
  ['float 32', [0xca, 0, 0, 0, 0]],
  ['float 64', [0xcb, 0, 0, 0, 0, 0, 0, 0, 0]],
  ['uint 8', [0xcc, 0]],
  ['uint 16', [0xcd, 0, 0]],
  ['uint 32', [0xce, 0, 0, 0, 0]],
  ['uint 64', [0xcf, 0, 0, 0, 0, 0, 0, 0, 0]],
  ['int 8', [0xd0, 0]],
  ['int 16', [0xd1, 0, 0]],
  ['int 32', [0xd2, 0, 0, 0, 0]],
  ['int 64', [0xd3, 0, 0, 0, 0, 0, 0, 0, 0]],
  ['fixstr', [0xa2, 0x61, 0x62]],
  ['str 8', [0xd9, 1, 0x61]],
  ['str 16', [0xda, 0, 1, 0x61]],
  ['str 32', [0xdb, 0, 0, 0, 1, 0x61]],
  ['bin 8', [0xc4, 1, 0x61]],
  ['bin 16', [0xc5, 0, 1, 0x61]],
  ['bin 32', [0xc6, 0, 0, 0, 1, 0x61]],
  ['fixarray', [0x92, 1, 2]],
  ['array 16', [0xdc, 0, 1, 1]],
  ['array 32', [0xdd, 0, 0, 0, 1, 1]],
  ['fixmap', [0x81, 0xa1, 0x61, 1]],
  ['map 16', [0xde, 0, 1, 0xa1, 0x61, 1]],
  ['map 32', [0xdf, 0, 0, 0, 1, 0xa1, 0x61, 1]],
  ['empty map', [0x80]],
  ['empty array', [0x90]],
];

for (const [name, value] of allowed) {
  test(`allowed: ${name}`, (t) => {
    const body = mapOf(...value);
    t.is(scanMsgpack(body, LIMITS), null);
    t.notThrows(() => unpackr.unpack(body) as unknown);
    t.is(scanMsgpack(body.subarray(0, -1), LIMITS), 'the message ends inside a value');
    t.is(scanMsgpack(mapOf(...value, 0), LIMITS), '1 bytes follow the message');
  });
}

const refused: readonly (readonly [name: string, bytes: Uint8Array, reason: string])[] = [
  ['nothing', Uint8Array.of(), 'the message ends inside a value'],
  ['an array at the top', Uint8Array.of(0x91, 1), 'the message is not a map'],
  ['nil at the top', Uint8Array.of(0xc0), 'the message is not a map'],
  ['0xc1', mapOf(0xc1), 'type 0xc1 is not allowed'],
  ['0xc1 at the top', Uint8Array.of(0xc1), 'type 0xc1 is not allowed'],
  ['ext 8', mapOf(0xc7, 1, 1, 0), 'type 0xc7 is not allowed'],
  ['ext 16', mapOf(0xc8, 0, 1, 1, 0), 'type 0xc8 is not allowed'],
  ['ext 32', mapOf(0xc9, 0, 0, 0, 1, 1, 0), 'type 0xc9 is not allowed'],
  ['fixext 1: undefined', mapOf(0xd4, 0, 0), 'type 0xd4 is not allowed'],
  ['fixext 1: a record', mapOf(0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 1), 'type 0xd4 is not allowed'],
  ['a record at the top', Uint8Array.of(0xd4, 0x72, 0x40), 'type 0xd4 is not allowed'],
  ['fixext 2: a record', mapOf(0xd5, 0x72, 0x40, 0), 'type 0xd5 is not allowed'],
  ['fixext 4: a timestamp', mapOf(0xd6, 0xff, 0, 0, 0, 0), 'type 0xd6 is not allowed'],
  ['fixext 8', mapOf(0xd7, 0xff, 0, 0, 0, 0, 0, 0, 0, 0), 'type 0xd7 is not allowed'],
  ['fixext 16', mapOf(0xd8, ...new Uint8Array(17)), 'type 0xd8 is not allowed'],
  ['an ext as a key', Uint8Array.of(0x81, 0xd4, 0, 0, 1), 'type 0xd4 is not allowed'],
  ['an integer as a key', Uint8Array.of(0x81, 1, 1), 'a map key is not a string but type 0x01'],
  ['nil as a key', Uint8Array.of(0x81, 0xc0, 1), 'a map key is not a string but type 0xc0'],
  ['a bin as a key', Uint8Array.of(0x81, 0xc4, 0, 1), 'a map key is not a string but type 0xc4'],
  ['an array as a key', Uint8Array.of(0x81, 0x90, 1), 'a map key is not a string but type 0x90'],
  ['a later key', Uint8Array.of(0x82, 0xa0, 1, 0xc3, 1), 'a map key is not a string but type 0xc3'],
  ['a key further in', mapOf(0x91, 0x81, 1, 1), 'a map key is not a string but type 0x01'],
];

for (const [name, bytes, reason] of refused) {
  test(`refused: ${name}`, (t) => {
    t.is(scanMsgpack(bytes, LIMITS), reason);
  });
}

for (const first of [0xdb, 0xc6, 0xdd, 0xdf]) {
  test(`a length of 4 GiB is refused at once: 0x${first.toString(16)}`, (t) => {
    const limits = { itemsMax: Number.MAX_SAFE_INTEGER, depthMax: 16 };
    t.is(scanMsgpack(mapOf(first, 255, 255, 255, 255), limits), 'the message ends inside a value');
    const body = Buffer.concat([mapOf(first, 255, 255, 255, 255), Buffer.alloc(65_536, 0xa0)]);
    t.is(scanMsgpack(body, limits), 'the message ends inside a value');
  });
}

test('a map of 4 GiB at the top is refused at once', (t) => {
  const body = Uint8Array.of(0xdf, 255, 255, 255, 255);
  t.is(scanMsgpack(body, LIMITS), 'the message ends inside a value');
});

test('records as msgpackr itself writes them are refused', (t) => {
  const body = pack({ a: [{ x: 1 }, { x: 2 }] });
  t.is(scanMsgpack(body, LIMITS), null, 'the plain function writes none');
  const definition = Buffer.from([0x81, 0xa1, 0x61, 0xd4, 0x72, 0x40, 0x91, 0xa1, 0x78, 1]);
  t.deepEqual(unpackr.unpack(definition), { a: { x: 1 } }, 'the decoder would honour it');
  t.is(scanMsgpack(definition, LIMITS), 'type 0xd4 is not allowed');
});

test('depth counts open containers, the outermost included', (t) => {
  const nested = (depth: number): Uint8Array => mapOf(...Array<number>(depth - 1).fill(0x91), 0);
  t.is(scanMsgpack(nested(16), LIMITS), null);
  t.is(scanMsgpack(nested(17), LIMITS), 'nested deeper than 16');
  t.is(scanMsgpack(Uint8Array.of(0x80), { itemsMax: 1, depthMax: 0 }), 'nested deeper than 0');
});

test('a million levels are refused, and are walked without recursion where the limit allows', (t) => {
  const body = Buffer.concat([mapOf(), Buffer.alloc(1_000_000, 0x91), Buffer.from([0])]);
  t.is(scanMsgpack(body, { itemsMax: 2_000_000, depthMax: 16 }), 'nested deeper than 16');
  t.is(scanMsgpack(body, { itemsMax: 2_000_000, depthMax: 2_000_000 }), null);
  t.is(scanMsgpack(body, { itemsMax: 1_000_000, depthMax: 2_000_000 }), 'more than 1000000 items');
});

test('items count every value, keys and containers included', (t) => {
  // The map, its key, the array, its three elements.
  const body = mapOf(0x93, 1, 2, 3);
  t.is(scanMsgpack(body, { itemsMax: 6, depthMax: 16 }), null);
  t.is(scanMsgpack(body, { itemsMax: 5, depthMax: 16 }), 'more than 5 items');
});

test('empty containers count too: what amplifies most is refused', (t) => {
  const body = Buffer.concat([mapOf(0xdd, 0, 0x10, 0, 0), Buffer.alloc(1 << 20, 0x80)]);
  t.is(scanMsgpack(body, LIMITS), 'more than 262144 items');
});
