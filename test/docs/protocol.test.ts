/** The bytes that docs/protocol.md shows: parsed by the codec, and sent to a real daemon. */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { AnswerCollector } from '../../client/answer.js';
import { turnEventOf } from '../../client/records.js';
import { encodeFrame, FrameDecoder } from '../../shared/frame-codec.js';
import { FRAME_DEPTH_MAX, FRAME_ITEMS_MAX } from '../../shared/limits.js';
import type { Answer } from '../../shared/protocol.js';
import { startDaemonProcess } from '../support/daemon.js';
import {
  blockOf,
  blocksOf,
  bytesOfHex,
  errorCodes,
  readDocument,
  tableUnder,
} from '../support/docs.js';

type Message = Readonly<Record<string, unknown>>;

const DOCUMENT = readDocument('docs/protocol.md');
const WORKED = ['client', 'daemon', 'split', 'draining'];

function newDecoder(): FrameDecoder {
  return new FrameDecoder({
    frameBytesMax: 64 * 1024 * 1024,
    itemsMax: FRAME_ITEMS_MAX,
    depthMax: FRAME_DEPTH_MAX,
  });
}

/** The hex blocks of these kinds, in the order of the document. */
function framesOf(...kinds: readonly string[]): { kind: string; bytes: Uint8Array }[] {
  return blocksOf(DOCUMENT)
    .filter(({ language, info }) => language === 'hex' && kinds.includes(info))
    .map(({ info, text }) => ({ kind: info, bytes: bytesOfHex(text) }));
}

function decoded(bytes: Uint8Array): Message {
  const decoder = newDecoder();
  decoder.push(bytes);
  const next = decoder.next();
  if (next.kind !== 'frame') throw new Error(`no frame: ${JSON.stringify(next)}`);
  return next.message;
}

/** Bins as text, to compare them whatever class of bytes they are. */
function comparable(message: Message): unknown {
  return JSON.parse(
    JSON.stringify(message, (_key, value: unknown) =>
      isBytes(value) ? { bin: Buffer.from(bytesOf(value)).toString('utf8') } : value,
    ),
  );
}

/** A Buffer gives its own JSON form before a replacer sees it. */
function isBytes(value: unknown): value is Uint8Array | { type: 'Buffer'; data: number[] } {
  if (value instanceof Uint8Array) return true;
  return typeof value === 'object' && value !== null && 'data' in value && 'type' in value;
}

function bytesOf(value: Uint8Array | { data: number[] }): Uint8Array {
  return value instanceof Uint8Array ? value : Uint8Array.from(value.data);
}

/** A connection without any client code. */
class Wire {
  readonly socket: Socket;
  readonly ended: Promise<unknown>;
  readonly #decoder = newDecoder();

  constructor(path: string) {
    this.socket = createConnection({ path });
    this.socket.on('error', () => undefined);
    this.ended = once(this.socket, 'close');
  }

  async next(): Promise<Message> {
    for (;;) {
      const next = this.#decoder.next();
      if (next.kind === 'frame') return next.message;
      if (next.kind === 'broken') throw new Error(next.reason);
      const [chunk] = (await once(this.socket, 'data')) as [Buffer];
      this.#decoder.push(chunk);
    }
  }
}

async function greeted(t: ExecutionContext, path: string): Promise<Wire> {
  const wire = new Wire(path);
  t.teardown(() => wire.socket.destroy());
  wire.socket.write(framesOf('client')[0]?.bytes ?? new Uint8Array());
  t.is((await wire.next())['type'], 'hello');
  return wire;
}

test('every worked frame decodes, and encodes to the same bytes', (t) => {
  const frames = framesOf(...WORKED);
  t.true(frames.length >= 10);
  for (const { bytes } of frames)
    t.deepEqual(Uint8Array.from(encodeFrame(decoded(bytes))), Uint8Array.from(bytes));
});

test('every broken frame is refused by the codec', (t) => {
  for (const { bytes } of framesOf('broken')) {
    const decoder = newDecoder();
    decoder.push(bytes);
    t.is(decoder.next().kind, 'broken', Buffer.from(bytes).toString('hex'));
  }
});

test('a daemon gives the answers that the document shows', async (t) => {
  const daemon = await startDaemonProcess(t);
  const wire = new Wire(daemon.socketPath);
  const [hello, ...rest] = framesOf('client', 'daemon');
  wire.socket.write(hello?.bytes ?? new Uint8Array());
  const welcome = await wire.next();
  const shown = JSON.parse(blockOf(DOCUMENT, 'json', 'hello')) as Message;
  t.deepEqual(Object.keys(welcome), Object.keys(shown));
  t.deepEqual(welcome['limits'], shown['limits']);
  for (const { kind, bytes } of rest) {
    if (kind === 'client') wire.socket.write(bytes);
    else t.deepEqual(comparable(await wire.next()), comparable(decoded(bytes)));
  }
  const stopped = daemon.stop();
  const [draining] = framesOf('draining');
  t.deepEqual(await wire.next(), decoded(draining?.bytes ?? new Uint8Array()));
  await wire.ended;
  t.is(await stopped, 0);
});

test('a broken frame ends its connection and no other', async (t) => {
  const daemon = await startDaemonProcess(t);
  const bystander = await greeted(t, daemon.socketPath);
  for (const { bytes } of framesOf('broken')) {
    const wire = await greeted(t, daemon.socketPath);
    wire.socket.write(bytes);
    const { id, error } = await wire.next();
    t.is(id, 0);
    t.is((error as Message)['code'], 'PROTOCOL');
    await wire.ended;
  }
  bystander.socket.write(encodeFrame({ type: 'stats', id: 1 }));
  t.is((await bystander.next())['id'], 1);
  bystander.socket.write(encodeFrame({ type: 'turns.nonsense', id: 2 }));
  t.is(((await bystander.next())['error'] as Message)['code'], 'PROTOCOL');
});

test('every request of the table is one that a daemon knows', async (t) => {
  const daemon = await startDaemonProcess(t);
  const wire = await greeted(t, daemon.socketPath);
  const types = tableUnder(DOCUMENT, '## Requests').map(([type = '']) => type.replaceAll('`', ''));
  t.is(types.length, 23);
  for (const [id, type] of types.entries()) {
    wire.socket.write(encodeFrame({ type, id }));
    const { error } = await wire.next();
    t.not((error as Message | undefined)?.['code'], 'PROTOCOL', type);
  }
});

test('a split row is one row', (t) => {
  const collector = new AnswerCollector(turnEventOf);
  const [first, second] = framesOf('split').map(({ bytes }) => decoded(bytes) as unknown as Answer);
  t.is(collector.add(first as Answer), null);
  const answer = collector.add(second as Answer);
  t.deepEqual(
    answer?.rows.map(({ event }) => ({ ...event })),
    [{ event: 'x', seq: 1 }],
  );
});

test('the table of errors holds every code', (t) => {
  const documented = tableUnder(DOCUMENT, '## Errors').map(([code = '']) =>
    code.replaceAll('`', ''),
  );
  t.deepEqual([...documented].sort(), errorCodes().sort());
});
