/**
 * One socket to the daemon, from its connect to its end: hello, frames out, messages in.
 *
 * @module
 */
import { createConnection, type Socket } from 'node:net';
import { errorFromWire } from '../shared/error-wire.js';
import {
  DisconnectedError,
  DrainingError,
  EventLogError,
  ProtocolError,
  ProtocolVersionError,
} from '../shared/errors.js';
import { encodeFrame, FrameDecoder } from '../shared/frame-codec.js';
import { Silence } from '../shared/heartbeat.js';
import {
  CLIENT_HEARTBEAT_MS,
  EVENT_BYTES_CEILING,
  FRAME_DEPTH_MAX,
  FRAME_ITEMS_MAX,
  FRAME_OVERHEAD_BYTES,
  HEARTBEATS_MISSED_MAX,
} from '../shared/limits.js';
import {
  type AnnouncedLimits,
  type Heartbeat,
  type Hello,
  PROTOCOL_VERSION,
  type Welcome,
  type WireError,
} from '../shared/protocol.js';

/** What a link tells its owner, each synchronously and in the order of the wire. */
export interface LinkHandlers {
  /** The socket is connected and hello is on its way. */
  readonly onConnected: () => void;
  /** The daemon answered hello: calls may be written. */
  readonly onWelcome: (welcome: Welcome) => void;
  /** Any later message of the daemon. */
  readonly onMessage: (message: Readonly<Record<string, unknown>>) => void;
  /** The socket takes bytes again after `write` filled it. */
  readonly onWritable: () => void;
  /** The link is over. Called once, and nothing after it. */
  readonly onEnd: (error: Error) => void;
}

/** Who speaks, and how long the daemon may take to answer. */
export interface LinkHello {
  readonly clientId: string;
  readonly clientName?: string | undefined;
  readonly timeoutMs: number;
  /** How long the daemon may be silent before it is asked whether it is there. */
  readonly heartbeatMs?: number;
}

type LinkState = 'connecting' | 'handshaking' | 'open' | 'ended';

/** Errors of `connect` that a daemon which starts or is busy causes. */
const PASSING_CODES: ReadonlySet<string | undefined> = new Set([
  'ENOENT',
  'ECONNREFUSED',
  'EAGAIN',
  'ECONNRESET',
  'EPIPE',
]);

/** Whether another attempt may succeed without anyone changing anything. */
export function isPassing(error: Error): boolean {
  if (error instanceof EventLogError) return error.retryable;
  return PASSING_CODES.has((error as NodeJS.ErrnoException).code);
}

/** Invariant: `onEnd` is called exactly once, also when the owner ends the link. */
export class Link {
  #state: LinkState = 'connecting';
  readonly #socket: Socket;
  readonly #path: string;
  readonly #handlers: LinkHandlers;
  readonly #decoder = new FrameDecoder({
    frameBytesMax: EVENT_BYTES_CEILING + FRAME_OVERHEAD_BYTES,
    itemsMax: FRAME_ITEMS_MAX,
    depthMax: FRAME_DEPTH_MAX,
  });
  readonly #helloTimer: NodeJS.Timeout;
  readonly #silence = new Silence();
  readonly #heartbeatMs: number;
  #heartbeatTimer: NodeJS.Timeout | undefined;

  constructor(path: string, hello: LinkHello, handlers: LinkHandlers) {
    this.#path = path;
    this.#handlers = handlers;
    this.#heartbeatMs = hello.heartbeatMs ?? CLIENT_HEARTBEAT_MS;
    this.#socket = createConnection({ path });
    this.#helloTimer = setTimeout(() => {
      const problem = `no answer to hello within ${hello.timeoutMs} ms`;
      this.end(new DisconnectedError(problem, 'not-committed'));
    }, hello.timeoutMs);
    this.#socket.on('connect', () => this.#onConnect(hello));
    this.#socket.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#socket.on('drain', () => {
      if (this.#state === 'open') handlers.onWritable();
    });
    this.#socket.on('error', (error) => this.end(error));
    this.#socket.on('end', () => this.end(this.#endedByDaemon()));
    this.#socket.on('close', () => this.end(this.#endedByDaemon()));
  }

  /** Whether the socket asks for more bytes. */
  get isWritable(): boolean {
    return this.#state === 'open' && !this.#socket.writableNeedDrain;
  }

  /** Hands bytes to the socket. */
  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Ends the link; bytes that the socket still holds are lost. */
  end(error: Error): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    clearTimeout(this.#helloTimer);
    clearInterval(this.#heartbeatTimer);
    this.#socket.destroy();
    this.#handlers.onEnd(error);
  }

  #onConnect(hello: LinkHello): void {
    this.#state = 'handshaking';
    const { clientId, clientName } = hello;
    const message: Hello = {
      type: 'hello',
      protocolMin: PROTOCOL_VERSION,
      protocolMax: PROTOCOL_VERSION,
      clientId,
      ...(clientName === undefined ? {} : { clientName }),
    };
    this.#socket.write(encodeFrame(message));
    this.#handlers.onConnected();
  }

  #onData(chunk: Uint8Array): void {
    this.#silence.heard();
    this.#decoder.push(chunk);
    while (this.#state !== 'ended') {
      const result = this.#decoder.next();
      switch (result.kind) {
        case 'frame':
          this.#onFrame(result.message);
          break;
        case 'incomplete':
          return;
        case 'broken':
          this.end(new ProtocolError(`the daemon sent a broken frame: ${result.reason}`));
          return;
      }
    }
  }

  #onFrame(message: Readonly<Record<string, unknown>>): void {
    if (this.#state === 'open') {
      if (message['type'] === 'ping') this.#beat('pong');
      else if (message['type'] !== 'pong') this.#handlers.onMessage(message);
      return;
    }
    clearTimeout(this.#helloTimer);
    const welcome = readWelcome(message, this.#path);
    if (welcome instanceof Error) {
      this.end(welcome);
    } else {
      this.#state = 'open';
      this.#heartbeatTimer = setInterval(() => this.#listen(), this.#heartbeatMs);
      // It watches over those who wait, and is nothing to wait for itself.
      this.#heartbeatTimer.unref();
      this.#handlers.onWelcome(welcome);
    }
  }

  /** A period is over: asks a daemon that is silent whether it is there, or gives it up. */
  #listen(): void {
    switch (this.#silence.tick()) {
      case 'quiet':
        return;
      case 'ping':
        this.#beat('ping');
        return;
      case 'dead': {
        const silentMs = HEARTBEATS_MISSED_MAX * this.#heartbeatMs;
        const problem = `the daemon said nothing for ${silentMs} ms, although it was asked`;
        this.end(new DisconnectedError(problem, 'unknown'));
      }
    }
  }

  #beat(type: Heartbeat['type']): void {
    this.#socket.write(encodeFrame({ type } satisfies Heartbeat));
  }

  #endedByDaemon(): Error {
    if (this.#state === 'open') {
      return new DisconnectedError('the daemon ended the connection', 'unknown');
    }
    const problem = 'the connection ended before hello was answered';
    return new DisconnectedError(problem, 'not-committed');
  }
}

/** The daemon's answer to hello, or why there can be no connection. */
function readWelcome(message: Readonly<Record<string, unknown>>, path: string): Welcome | Error {
  const { type, error, protocol, limits } = message as {
    readonly type?: unknown;
    readonly error?: WireError;
    readonly protocol?: unknown;
    readonly limits?: unknown;
  };
  if (error !== undefined) {
    return errorFromWire({ ...error, message: `${path}: ${error.message}` }, () => ({}));
  }
  if (type === 'draining') return new DrainingError(`${path}: the daemon is stopping`);
  if (type !== 'hello') {
    return new ProtocolError(`${path}: the peer does not answer hello as eventlogd does`);
  }
  if (protocol !== PROTOCOL_VERSION) {
    return new ProtocolVersionError(
      `${path}: the daemon speaks protocol ${String(protocol)}, this client ${PROTOCOL_VERSION}`,
    );
  }
  if (!isLimits(limits)) return new ProtocolError(`${path}: the daemon's hello lacks its limits`);
  return message as unknown as Welcome;
}

const LIMIT_NAMES: readonly (keyof AnnouncedLimits)[] = [
  'eventBytesMax',
  'batchBytesMax',
  'batchEventsMax',
  'frameBytesMax',
  'callsInFlightMax',
  'bytesInFlightMax',
];

function isLimits(value: unknown): value is AnnouncedLimits {
  if (typeof value !== 'object' || value === null) return false;
  const limits = value as Readonly<Record<string, unknown>>;
  return LIMIT_NAMES.every((name) => {
    const limit = limits[name];
    return typeof limit === 'number' && Number.isSafeInteger(limit) && limit > 0;
  });
}
