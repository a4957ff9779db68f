/**
 * Little-endian reading and writing of the integers, strings and byte strings that the commit
 * log and the catalog are made of. Integers of 64 bits are safe integers throughout.
 *
 * @module
 */

const decoder = new TextDecoder('utf-8', { fatal: true });
const TWO_32 = 2 ** 32;
const BYTES_START = 4096;
const UTF8_BYTES_MAX = 3;

/** Appends values to a buffer that grows. */
export class ByteWriter {
  #bytes: Buffer = Buffer.alloc(BYTES_START);
  #view: DataView = new DataView(this.#bytes.buffer);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#view.setUint8(this.#length, value);
    this.#length += 1;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  u64(value: number): void {
    this.#reserve(8);
    writeU64(this.#view, this.#length, value);
    this.#length += 8;
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** The bytes that hexadecimal digits stand for. */
  hex(digits: string): void {
    this.#reserve(digits.length / 2);
    this.#length += this.#bytes.write(digits, this.#length, 'hex');
  }

  /** A length in 32 bits, then the bytes. */
  sized(value: Uint8Array): void {
    this.u32(value.length);
    this.bytes(value);
  }

  text(value: string): void {
    // No code unit takes more bytes.
    this.#reserve(4 + value.length * UTF8_BYTES_MAX);
    const length = this.#bytes.write(value, this.#length + 4);
    this.u32(length);
    this.#length += length;
  }

  texts(values: readonly string[]): void {
    this.u32(values.length);
    for (const value of values) this.text(value);
  }

  /** The bytes so far, valid until the next write. */
  view(): Uint8Array {
    return new Uint8Array(this.#bytes.buffer, 0, this.#length);
  }

  #reserve(more: number): void {
    const needed = this.#length + more;
    if (needed <= this.#bytes.length) return;
    const grown = Buffer.alloc(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.view());
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Raised by `ByteReader` where the bytes end early or are not what they must be. */
export class ByteFormatError extends Error {}

/** Reads what `ByteWriter` wrote. Byte strings are views of the source. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get at(): number {
    return this.#at;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): number {
    return readU64(this.#view, this.#take(8));
  }

  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  sized(): Uint8Array {
    return this.bytes(this.u32());
  }

  text(): string {
    return decoder.decode(this.sized());
  }

  texts(): string[] {
    const values: string[] = [];
    for (let left = this.u32(); left > 0; left -= 1) values.push(this.text());
    return values;
  }

  #take(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) throw new ByteFormatError(`ends early at byte ${at}`);
    this.#at = at + length;
    return at;
  }
}

export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % TWO_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_32), true);
}

export function readU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * TWO_32 + view.getUint32(at, true);
}
