/**
 * A scripted peer that speaks real frames over a real socket: for what a real daemon cannot be
 * asked to do, such as cutting a connection at a given frame.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { encodeFrame, FrameDecoder } from '../../shared/frame-codec.js';
import type { AnnouncedLimits } from '../../shared/protocol.js';

export type Message = Readonly<Record<string, unknown>>;

export const LIMITS: AnnouncedLimits = {
  eventBytesMax: 16 * 1024 * 1024,
  batchBytesMax: 32 * 1024 * 1024,
  batchEventsMax: 10_000,
  frameBytesMax: 33 * 1024 * 1024,
  callsInFlightMax: 1_024,
  bytesInFlightMax: 64 * 1024 * 1024,
};

/** What the peer says that it remembers: nothing, in its first epoch, unless told. */
export interface PeerMemory {
  readonly epoch?: number;
  readonly known?: boolean;
}

/** A folder with a path short enough for sockets, gone after the test. */
export async function temporaryFolder(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp('/tmp/el-');
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** An event of a push; its life is 7 unless it says another. */
export interface PushedRow {
  readonly seq: number;
  readonly generation?: number;
  readonly text?: string;
  readonly sameSeqFollows?: true;
}

function wireRowOf({ text, ...row }: PushedRow): object {
  const line = text ?? JSON.stringify({ event: 'token', seq: row.seq });
  return { generation: 7, ...row, text: Buffer.from(line) };
}

/** One connection of a client, from the peer's side. */
export class RawConnection {
  readonly socket: Socket;
  /** Whether it answers pings by itself: else they are messages like others. */
  answersPings = true;
  /** Chunks that arrived after hello. */
  chunks = 0;
  readonly #messages: Message[] = [];
  readonly #waiters: ((message: Message | null) => void)[] = [];
  readonly #decoder = new FrameDecoder({
    frameBytesMax: 2 ** 27,
    itemsMax: 262_144,
    depthMax: 16,
  });
  #hasEnded = false;
  readonly closed: Promise<void>;

  constructor(socket: Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      this.chunks += 1;
      this.#decoder.push(chunk as Buffer);
      for (let next = this.#decoder.next(); next.kind === 'frame'; next = this.#decoder.next()) {
        if (this.answersPings && next.message['type'] === 'ping') {
          this.send({ type: 'pong' });
          continue;
        }
        const waiter = this.#waiters.shift();
        if (waiter === undefined) this.#messages.push(next.message);
        else waiter(next.message);
      }
    });
    socket.on('close', () => {
      this.#hasEnded = true;
      for (const waiter of this.#waiters.splice(0)) waiter(null);
    });
  }

  /** The client's next message; null once the connection has ended. */
  async nextOrEnd(): Promise<Message | null> {
    const message = this.#messages.shift();
    if (message !== undefined) return message;
    if (this.#hasEnded) return null;
    return await new Promise((resolve) => this.#waiters.push(resolve));
  }

  async next(): Promise<Message> {
    const message = await this.nextOrEnd();
    if (message === null) throw new Error('the client ended the connection');
    return message;
  }

  /** The next messages of the client. */
  async take(count: number): Promise<Message[]> {
    const messages: Message[] = [];
    while (messages.length < count) messages.push(await this.next());
    return messages;
  }

  /** Messages that came and were not asked for yet. */
  get waiting(): readonly Message[] {
    return this.#messages;
  }

  send(message: object): void {
    this.socket.write(encodeFrame(message));
  }

  welcome(limits: Partial<AnnouncedLimits> = {}, memory: PeerMemory = {}): void {
    this.send({
      type: 'hello',
      protocol: 1,
      version: '0.0.0',
      capabilities: [],
      epoch: memory.epoch ?? 1,
      limits: { ...LIMITS, ...limits },
      known: memory.known ?? false,
    });
  }

  answer(request: Message, fields: object): void {
    this.send({ id: request['id'], ...fields });
  }

  /** Answers an append of one event. */
  ack(request: Message, fields: object = {}): void {
    const seq = Number(request['number'] ?? 1);
    this.answer(request, {
      acks: [{ seq, generation: 1, position: seq, createdAtUs: 1_779_000_000_123_456, ...fields }],
    });
  }

  refuse(request: Message, code: string, facts: object = {}): void {
    const error = { code, message: `${code} for a test`, outcome: 'not-committed', ...facts };
    this.answer(request, { error });
  }

  /** Sends events of a stream to a subscription, each with this text or one made of its seq. */
  push(request: Message, rows: readonly PushedRow[], fields: object = {}): void {
    const { subscription } = request;
    this.send({ type: 'push', subscription, rows: rows.map(wireRowOf), ...fields });
  }

  /** Tells a subscription how far it has come. */
  progress(request: Message, fields: object): void {
    this.send({ type: 'progress', subscription: request['subscription'], ...fields });
  }

  /** Ends a subscription. */
  endSubscription(request: Message, code: string, facts: object = {}): void {
    const error = { code, message: `${code} for a test`, outcome: 'not-committed', ...facts };
    this.send({ type: 'ended', subscription: request['subscription'], error });
  }

  /** Ends the connection after what was sent. */
  end(): void {
    this.socket.end();
  }
}

/** The peer: a socket that hands its connections to the test. */
export class RawServer {
  readonly socketPath: string;
  readonly #server: Server;
  readonly #connections: RawConnection[] = [];
  readonly #waiters: ((connection: RawConnection) => void)[] = [];
  readonly #sockets = new Set<Socket>();

  constructor(socketPath: string) {
    this.socketPath = socketPath;
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      const connection = new RawConnection(socket);
      const waiter = this.#waiters.shift();
      if (waiter === undefined) this.#connections.push(connection);
      else waiter(connection);
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.socketPath, resolve);
    });
  }

  /** The next connection, before its hello was read. */
  async connection(): Promise<RawConnection> {
    const connection = this.#connections.shift();
    if (connection !== undefined) return connection;
    return await new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** The next connection, its hello answered. */
  async accept(
    limits: Partial<AnnouncedLimits> = {},
    memory: PeerMemory = {},
  ): Promise<RawConnection> {
    const connection = await this.connection();
    await connection.next();
    connection.chunks = 0;
    connection.welcome(limits, memory);
    return connection;
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

/** A peer at a socket of its own, gone after the test. */
export async function startRawServer(t: ExecutionContext, socketPath?: string): Promise<RawServer> {
  const server = new RawServer(socketPath ?? join(await temporaryFolder(t), 's'));
  await server.listen();
  t.teardown(() => server.close());
  return server;
}
