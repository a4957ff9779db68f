/** Frames whose bytes are broken: in their body, or in the length before it. */
import { Buffer } from 'node:buffer';
import { between, chance, pick, someBytes, weighted } from './draw.js';
import { FATAL, type Frame, OPEN } from './frames.js';
import { frameOf } from './msgpack.js';
import { honestBody } from './mutate-message.js';
import type { HonestClient } from './valid-messages.js';

/** A frame with wrong bytes in it. */
export function brokenFrame(client: HonestClient): Frame {
  const { random, sizes } = client;
  const body = honestBody(client);
  const limit = sizes.frameBytesMax;
  const open = (bytes: Uint8Array): Frame => ({ bytes, due: OPEN });
  const fatal = (bytes: Uint8Array): Frame => ({ bytes, due: FATAL });
  return weighted<() => Frame>(random, [
    [30, () => open(frameOf(withFlips(client, body)))],
    [10, () => open(frameOf(spliced(client, body, 0, between(random, 1, 8))))],
    [10, () => open(frameOf(spliced(client, body, between(random, 1, 8), 0)))],
    [8, () => open(frameOf(spliced(client, body, 1, 1)))],
    [4, () => open(frameOf(someBytes(random, random(200))))],
    // A map that ends before it is over, and one that goes on behind its end.
    [8, () => fatal(frameOf(body.subarray(0, between(random, 1, body.length - 1))))],
    [8, () => fatal(frameOf(Buffer.concat([body, someBytes(random, between(random, 1, 9))])))],
    [3, () => fatal(frameOf(Buffer.concat([body, body])))],
    // A length that is not the body's.
    [2, () => fatal(frameOf(body, 0))],
    [2, () => fatal(frameOf(body, pick(random, [0xffff_ffff, 0x8000_0000, 0x7fff_ffff])))],
    [2, () => fatal(frameOf(body, limit + 1 + random(3)))],
    [3, () => open(frameOf(body, limit - random(3)))],
    [5, () => open(frameOf(body, body.length + between(random, 1, 300)))],
    [5, () => open(frameOf(body, Math.max(1, body.length - between(random, 1, 40))))],
    [3, () => open(frameOf(body).subarray(between(random, 1, 4)))],
  ])();
}

function withFlips(client: HonestClient, body: Uint8Array): Uint8Array {
  const { random } = client;
  const flipped = Uint8Array.from(body);
  const flips = chance(random, 60) ? 1 : between(random, 2, 16);
  for (let flip = 0; flip < flips; flip += 1) {
    // The beginning of a frame says most.
    const at = random(chance(random, 70) ? Math.min(64, body.length) : body.length);
    flipped[at] = (flipped[at] as number) ^ (1 << random(8));
  }
  return flipped;
}

/** With so many bytes cut at some place, and so many others put there. */
function spliced(client: HonestClient, body: Uint8Array, cut: number, put: number): Uint8Array {
  const { random } = client;
  const at = random(body.length);
  return Buffer.concat([body.subarray(0, at), someBytes(random, put), body.subarray(at + cut)]);
}
