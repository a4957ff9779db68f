/**
 * Looks at the structure of a msgpack map before it is decoded. Decoding can cost a hundred times
 * the bytes that were sent, recurses, and honours record and class extensions; none of that is
 * reached by bytes that this scan refuses.
 *
 * @module
 */

/** What the first byte of a value says of it. */
interface Shape {
  readonly kind: 'plain' | 'string' | 'array' | 'map' | 'refused';
  /** Bytes of the number that follows the first byte; 0 where `fixed` stands for it. */
  readonly width: number;
  /** Bytes of content, or values of an array, or entries of a map. */
  readonly fixed: number;
}

const SHAPES: readonly Shape[] = Array.from({ length: 256 }, (_, first) => shapeOf(first));

/** Values still to come in each open container; in a map an even count means: a key comes next. */
const remaining: number[] = [];
const maps: boolean[] = [];

const OVERRUN = 'the message ends inside a value';

/**
 * Checks that the bytes are exactly one msgpack map, with string keys throughout, without
 * extension types, within the limits. Never recurses, never allocates what a length claims.
 * Does not look into strings: invalid UTF-8 in one is the decoder's matter.
 *
 * @param limits.itemsMax values in all, keys and containers included
 * @param limits.depthMax containers that may be open at once, the outermost included
 * @returns null when the bytes may be decoded, else the reason
 */
export function scanMsgpack(
  bytes: Uint8Array,
  limits: { itemsMax: number; depthMax: number },
): string | null {
  const length = bytes.length;
  // One scan at a time is under way: what another one left is of no use.
  remaining.length = 0;
  maps.length = 0;
  let items = 1;
  let at = 0;
  do {
    if (at >= length) return OVERRUN;
    const first = bytes[at] as number;
    const { kind, width, fixed } = SHAPES[first] as Shape;
    if (kind === 'refused') return `type ${hex(first)} is not allowed`;
    const open = remaining.length - 1;
    if (open >= 0) {
      const left = remaining[open] as number;
      if (maps[open] === true && left % 2 === 0 && kind !== 'string') {
        return `a map key is not a string but type ${hex(first)}`;
      }
      remaining[open] = left - 1;
    } else if (kind !== 'map') {
      return 'the message is not a map';
    }
    at += 1 + width;
    if (at > length) return OVERRUN;
    const announced = width === 0 ? fixed : bigEndian(bytes, at - width, at);
    if (kind === 'array' || kind === 'map') {
      const values = kind === 'map' ? announced * 2 : announced;
      // Every value takes a byte at least, so a count that the bytes cannot hold is refused here.
      if (values > length - at) return OVERRUN;
      items += values;
      if (items > limits.itemsMax) return `more than ${limits.itemsMax} items`;
      if (remaining.length >= limits.depthMax) return `nested deeper than ${limits.depthMax}`;
      remaining.push(values);
      maps.push(kind === 'map');
    } else {
      at += announced;
      if (at > length) return OVERRUN;
    }
    while (remaining.length > 0 && remaining[remaining.length - 1] === 0) {
      remaining.pop();
      maps.pop();
    }
  } while (remaining.length > 0);
  return at === length ? null : `${length - at} bytes follow the message`;
}

function shapeOf(first: number): Shape {
  if (first < 0x80 || first >= 0xe0) return { kind: 'plain', width: 0, fixed: 0 };
  if (first < 0x90) return { kind: 'map', width: 0, fixed: first & 0x0f };
  if (first < 0xa0) return { kind: 'array', width: 0, fixed: first & 0x0f };
  if (first < 0xc0) return { kind: 'string', width: 0, fixed: first & 0x1f };
  switch (first) {
    case 0xc0: // nil
    case 0xc2: // false
    case 0xc3: // true
      return { kind: 'plain', width: 0, fixed: 0 };
    case 0xc4: // bin 8, 16, 32
    case 0xc5:
    case 0xc6:
      return { kind: 'plain', width: 1 << (first - 0xc4), fixed: 0 };
    case 0xca: // float 32, 64
    case 0xcb:
      return { kind: 'plain', width: 0, fixed: 4 << (first - 0xca) };
    case 0xcc: // uint 8, 16, 32, 64
    case 0xcd:
    case 0xce:
    case 0xcf:
      return { kind: 'plain', width: 0, fixed: 1 << (first - 0xcc) };
    case 0xd0: // int 8, 16, 32, 64
    case 0xd1:
    case 0xd2:
    case 0xd3:
      return { kind: 'plain', width: 0, fixed: 1 << (first - 0xd0) };
    case 0xd9: // str 8, 16, 32
    case 0xda:
    case 0xdb:
      return { kind: 'string', width: 1 << (first - 0xd9), fixed: 0 };
    case 0xdc: // array 16, 32
    case 0xdd:
      return { kind: 'array', width: 2 << (first - 0xdc), fixed: 0 };
    case 0xde: // map 16, 32
    case 0xdf:
      return { kind: 'map', width: 2 << (first - 0xde), fixed: 0 };
    default: // 0xc1 and every extension type
      return { kind: 'refused', width: 0, fixed: 0 };
  }
}

/** The unsigned integer of the bytes from `start` to `end`. */
function bigEndian(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let at = start; at < end; at += 1) value = value * 256 + (bytes[at] as number);
  return value;
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}
