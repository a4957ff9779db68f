/**
 * What is on its way to one client: frames are gathered for one write a turn of the event loop,
 * and whoever produces them learns when the client has not taken enough of them yet.
 *
 * @module
 */
import type { Socket } from 'node:net';
import { encodeFrame } from '../../shared/frame-codec.js';
import { CONNECTION_UNREAD_BYTES_MAX, CONNECTION_UNSENT_BYTES_MAX } from '../../shared/limits.js';

/** Parts this small are copied together, larger ones are written as they are. */
const GATHERED_BYTES_MAX = 16 * 1024;

/** The client left before its answer was sent; there is nobody to tell. */
export class ClientGone extends Error {}

/** The outgoing side of a connection. */
export class Outbox {
  /** Resolves when the connection has ended. */
  readonly left: Promise<void>;
  readonly #socket: Socket;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #isDue = false;
  #drains: { readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];

  /** @param onRoom told when the client has taken what it was sent */
  constructor(socket: Socket, onRoom: () => void) {
    this.#socket = socket;
    socket.on('drain', () => {
      for (const { resolve } of this.#drains.splice(0)) resolve();
      onRoom();
    });
    this.left = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('close', () => {
      for (const { reject } of this.#drains.splice(0)) reject(new ClientGone());
    });
  }

  /** Sends a message with the others of this turn of the event loop. */
  send(message: object): void {
    this.sendFrame([encodeFrame(message)]);
  }

  /** As `send`, of a frame in parts that other clients may share. */
  sendFrame(parts: readonly Uint8Array[]): void {
    if (!this.#socket.writable) return;
    for (const part of parts) {
      this.#parts.push(part);
      this.#bytes += part.length;
    }
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => this.flush());
  }

  /** Whether the client has taken enough for more to be produced. */
  get hasRoom(): boolean {
    if (this.#bytes >= CONNECTION_UNSENT_BYTES_MAX) this.flush();
    if (!this.#socket.writable) return false;
    return this.#bytes + this.#socket.writableLength < CONNECTION_UNSENT_BYTES_MAX;
  }

  /** Whether so much waits for the client that nothing more is to be taken from it. */
  get isFull(): boolean {
    return this.#bytes + this.#socket.writableLength >= CONNECTION_UNREAD_BYTES_MAX;
  }

  /** Resolves when there is room; rejects when the client is gone. */
  async drained(): Promise<void> {
    // Of many that wait, the first ones may take all the room.
    while (!this.hasRoom) {
      if (this.#socket.destroyed) throw new ClientGone();
      await new Promise<void>((resolve, reject) => this.#drains.push({ resolve, reject }));
    }
  }

  /** Hands everything to the socket. */
  flush(): void {
    this.#isDue = false;
    const parts = this.#parts;
    this.#parts = [];
    this.#bytes = 0;
    // An answer that comes after the end would take what is on its way with it.
    if (parts.length === 0 || !this.#socket.writable) return;
    this.#socket.cork();
    for (const chunk of gathered(parts)) this.#socket.write(chunk);
    this.#socket.uncork();
  }
}

/** Fewer, larger chunks of the same bytes. */
function* gathered(parts: readonly Uint8Array[]): Generator<Uint8Array> {
  let small: Uint8Array[] = [];
  for (const part of parts) {
    if (part.length <= GATHERED_BYTES_MAX) {
      small.push(part);
      continue;
    }
    if (small.length > 0) yield Buffer.concat(small);
    small = [];
    yield part;
  }
  if (small.length > 0) yield Buffer.concat(small);
}
