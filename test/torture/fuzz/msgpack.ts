/**
 * Writes msgpack of which a proper encoder makes none: keys that come twice or are no strings,
 * extension types, numbers in every width, lengths that are not true.
 */
import { Buffer } from 'node:buffer';

/** Bytes that stand as they are where a value is due. */
export class Raw {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array | readonly number[]) {
    this.bytes = Uint8Array.from(bytes);
  }
}

/** A map whose entries may be anything, in their order. */
export class Entries {
  readonly list: readonly (readonly [Tree, Tree])[];

  constructor(list: readonly (readonly [Tree, Tree])[]) {
    this.list = list;
  }
}

export type Tree =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Raw
  | Entries
  | readonly Tree[];

/** A message, its undefined members left out, as a tree that can be changed at each place. */
export function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return value.map(treeOf);
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null)
    return value as Tree;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return new Entries(members.map(([key, member]) => [key, treeOf(member)]));
}

/** The bytes of a tree. */
export function encodeTree(tree: Tree): Buffer {
  const parts: Uint8Array[] = [];
  write(tree, parts);
  return Buffer.concat(parts);
}

/** A frame of that body; its prefix says another length where one is given. */
export function frameOf(body: Uint8Array, length: number = body.length): Buffer {
  const frame = Buffer.alloc(4 + body.length);
  frame.writeUInt32BE(length);
  frame.set(body, 4);
  return frame;
}

/** A first byte and a big-endian number behind it. */
export function head(first: number, width: 1 | 2 | 4 | 8, value: number | bigint): Uint8Array {
  const bytes = Buffer.alloc(1 + width);
  bytes[0] = first;
  if (width === 8) bytes.writeBigUInt64BE(BigInt.asUintN(64, BigInt(value)), 1);
  else bytes.writeUIntBE(Number(value), 1, width);
  return bytes;
}

function write(tree: Tree, parts: Uint8Array[]): void {
  if (tree === null) parts.push(Uint8Array.of(0xc0));
  else if (typeof tree === 'boolean') parts.push(Uint8Array.of(tree ? 0xc3 : 0xc2));
  else if (typeof tree === 'number') parts.push(numberBytes(tree));
  else if (typeof tree === 'bigint') parts.push(head(tree < 0n ? 0xd3 : 0xcf, 8, tree));
  else if (typeof tree === 'string') writeText(Buffer.from(tree), parts);
  else if (tree instanceof Uint8Array) parts.push(binHead(tree.length), tree);
  else if (tree instanceof Raw) parts.push(tree.bytes);
  else if (tree instanceof Entries) {
    parts.push(countHead(0x80, 0xde, tree.list.length));
    for (const [key, value] of tree.list) {
      write(key, parts);
      write(value, parts);
    }
  } else {
    parts.push(countHead(0x90, 0xdc, tree.length));
    for (const value of tree) write(value, parts);
  }
}

function writeText(utf8: Uint8Array, parts: Uint8Array[]): void {
  const { length } = utf8;
  if (length < 32) parts.push(Uint8Array.of(0xa0 + length));
  else if (length < 0x100) parts.push(head(0xd9, 1, length));
  else parts.push(length < 0x1_0000 ? head(0xda, 2, length) : head(0xdb, 4, length));
  parts.push(utf8);
}

function binHead(length: number): Uint8Array {
  if (length < 0x100) return head(0xc4, 1, length);
  return length < 0x1_0000 ? head(0xc5, 2, length) : head(0xc6, 4, length);
}

function countHead(fix: number, wide: number, count: number): Uint8Array {
  if (count < 16) return Uint8Array.of(fix + count);
  return count < 0x1_0000 ? head(wide, 2, count) : head(wide + 1, 4, count);
}

function numberBytes(value: number): Uint8Array {
  if (!Number.isInteger(value) || Object.is(value, -0) || Math.abs(value) > 0xffff_ffff)
    return floatBytes(value);
  if (value < 0) return value >= -32 ? Uint8Array.of(value & 0xff) : head(0xd3, 8, value);
  if (value < 0x80) return Uint8Array.of(value);
  if (value < 0x100) return head(0xcc, 1, value);
  return value < 0x1_0000 ? head(0xcd, 2, value) : head(0xce, 4, value);
}

/** A number as float64, whatever it is. */
export function floatBytes(value: number): Uint8Array {
  const bytes = Buffer.alloc(9);
  bytes[0] = 0xcb;
  bytes.writeDoubleBE(value, 1);
  return bytes;
}
