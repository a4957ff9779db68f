/**
 * One client's connection: frames in, answers out, within limits. A client that does not follow
 * the protocol loses its connection; one that sends more than its window is read more slowly.
 *
 * States: greeting → serving → closed; draining refuses new calls and waits for those accepted.
 *
 * @module
 */
import type { Socket } from 'node:net';
import { errorToWire } from '../../shared/error-wire.js';
import { DrainingError, ProtocolError, ProtocolVersionError } from '../../shared/errors.js';
import { FrameDecoder } from '../../shared/frame-codec.js';
import { Silence } from '../../shared/heartbeat.js';
import {
  CLOSE_LINGER_MS,
  CONNECTION_BYTES_MAX,
  CONNECTION_CALLS_MAX,
  DAEMON_HEARTBEAT_MS,
  FRAME_DEPTH_MAX,
  FRAME_ITEMS_MAX,
  HELLO_TIMEOUT_MS,
} from '../../shared/limits.js';
import { type Notice, PROTOCOL_VERSION } from '../../shared/protocol.js';
import { AnswerWriter, type CallOwner } from './answer-writer.js';
import type { ByteBudget } from './byte-budget.js';
import type { ServerContext } from './context.js';
import { Gathering, type GatheringRoom } from './gathering.js';
import { ClientGone, Outbox } from './outbox.js';
import { checkHello, checkNotice, checkRequest, isRequestType } from './request-schemas.js';
import { Router } from './router.js';
import { type SubscriptionCounts, Subscriptions } from './subscriptions.js';
import { welcomeOf } from './welcome.js';
import { wireError } from './wire-refusal.js';

const DRAINING = 'the daemon is stopping; nothing was written, try again on its next start';

type State = 'greeting' | 'serving' | 'draining' | 'closed';

/** What a connection is served with. */
export interface ConnectionOptions {
  readonly context: ServerContext;
  /** Request bytes in flight in the whole daemon. */
  readonly budget: ByteBudget;
  /** The room for large frames while they come in, in the whole daemon. */
  readonly gatheringRoom: GatheringRoom;
  readonly onClose: () => void;
  readonly onProblem: (reason: string) => void;
}

/** One connection. */
export class Connection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #decoder: FrameDecoder;
  readonly #gathering: Gathering;
  readonly #outbox: Outbox;
  #state: State = 'greeting';
  #router: Router | null = null;
  readonly #subscriptions: Subscriptions;
  readonly #silence = new Silence();
  #heartbeatTimer: NodeJS.Timeout | undefined;
  readonly #owner: CallOwner = {
    refuse: (id, error) => this.#refuse(id, error),
    finished: ({ bytes }) => this.#finished(bytes),
  };
  #isReading = false;
  #calls = 0;
  #bytes = 0;
  #idle: (() => void)[] = [];
  readonly #greetingTimer: NodeJS.Timeout;
  readonly #retry = (): void => this.#read();

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#outbox = new Outbox(socket, () => this.#onRoom());
    this.#subscriptions = new Subscriptions(options.context, this.#outbox);
    this.#decoder = new FrameDecoder({
      frameBytesMax: options.context.limits.frameBytesMax,
      itemsMax: FRAME_ITEMS_MAX,
      depthMax: FRAME_DEPTH_MAX,
    });
    this.#gathering = new Gathering(options.gatheringRoom, this.#retry, () =>
      this.#drop('a frame did not come whole, and others wait for its room'),
    );
    this.#greetingTimer = setTimeout(
      () => this.#drop('it did not say hello in time'),
      HELLO_TIMEOUT_MS,
    );
    socket.on('data', (chunk) => {
      if (this.#state === 'closed') return;
      this.#silence.heard();
      this.#decoder.push(chunk);
      this.#read();
    });
    // A connection that breaks ends like one that closes.
    socket.on('error', () => undefined);
    socket.on('close', () => this.#closed());
  }

  /** Adds its subscriptions to the counts. */
  countSubscriptions(states: SubscriptionCounts): void {
    this.#subscriptions.count(states);
  }

  /** Refuses new calls and resolves when all that were accepted are answered and sent. */
  async drain(): Promise<void> {
    if (this.#state === 'closed') return;
    const isGreeting = this.#state === 'greeting';
    this.#state = 'draining';
    this.#outbox.send({ type: 'draining' });
    this.#outbox.flush();
    // A client ends its side when it has all its answers; what it sent before it heard is refused.
    if (!isGreeting) await this.#closedWithin(CLOSE_LINGER_MS);
    if (this.#calls > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#outbox.flush();
    this.#subscriptions.close();
    await this.#linger();
  }

  async #closedWithin(timeoutMs: number): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /**
   * Ends the connection and waits for the client to end it too. Closed with requests unread, it
   * would break the client's next write, and with it the answers that the client has not read.
   */
  async #linger(): Promise<void> {
    const socket = this.#socket;
    if (socket.destroyed) return;
    this.#state = 'closed';
    socket.removeAllListeners('data').resume();
    await new Promise<void>((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      socket.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      socket.end(() => {
        timer = setTimeout(() => socket.destroy(), CLOSE_LINGER_MS);
      });
    });
  }

  #read(): void {
    // What is answered at once makes room for the next, which this very loop goes on to.
    if (this.#isReading) return;
    this.#isReading = true;
    this.#readMessages();
    this.#isReading = false;
  }

  #readMessages(): void {
    const { budget } = this.#options;
    while (this.#state !== 'closed') {
      if (!this.#hasWindow()) {
        this.#socket.pause();
        return;
      }
      const next = this.#decoder.next();
      if (next.kind === 'broken') return this.#drop(next.reason);
      if (next.kind === 'incomplete') {
        if (this.#gathering.mayGoOn(this.#decoder.awaitedBytes)) this.#socket.resume();
        else this.#socket.pause();
        return;
      }
      this.#gathering.end();
      budget.take(next.bytes);
      this.#bytes += next.bytes;
      this.#message(next.message, next.bytes);
    }
  }

  /** The client has read. */
  #onRoom(): void {
    this.#silence.heard();
    this.#subscriptions.resume();
    if (this.#socket.isPaused()) this.#read();
  }

  #hasWindow(): boolean {
    if (this.#outbox.isFull) return false;
    if (this.#calls >= CONNECTION_CALLS_MAX || this.#bytes >= CONNECTION_BYTES_MAX) return false;
    return this.#options.budget.hasRoom(this.#retry);
  }

  #message(message: Readonly<Record<string, unknown>>, bytes: number): void {
    if (this.#router === null) {
      this.#release(bytes);
      this.#greet(message);
      return;
    }
    const notice = checkNotice(message);
    if (notice !== null) {
      this.#release(bytes);
      this.#notice(notice);
      return;
    }
    const { type, id } = message;
    if (!isRequestType(type) || typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0) {
      this.#release(bytes);
      this.#unknown(type, id);
      return;
    }
    this.#calls += 1;
    const answer = new AnswerWriter(this.#outbox, this.#owner, { id, bytes });
    try {
      if (this.#state === 'draining') throw new DrainingError(DRAINING);
      const handled = this.#router.route(checkRequest(type, message), answer);
      handled?.catch((error: unknown) => answer.fail(error));
    } catch (error) {
      answer.fail(error);
    }
  }

  #finished(bytes: number): void {
    this.#calls -= 1;
    this.#release(bytes);
    if (this.#calls === 0) for (const resolve of this.#idle.splice(0)) resolve();
    if (this.#socket.isPaused()) this.#read();
  }

  #notice(notice: Notice): void {
    switch (notice.type) {
      case 'credit':
        return this.#subscriptions.grant(notice.subscription, notice.credit);
      case 'unsubscribe':
        return this.#subscriptions.end(notice.subscription);
      case 'ping':
        return this.#outbox.send({ type: 'pong' });
      case 'pong':
        return;
      default:
        notice satisfies never;
    }
  }

  /** A client that hangs is left, and with it what its subscriptions take. */
  #beat(): void {
    // What is not read yet may be the sign of life, but for a client that does not read.
    if (this.#socket.isPaused() && !this.#outbox.isFull) this.#silence.heard();
    const step = this.#silence.tick();
    if (step === 'ping') this.#outbox.send({ type: 'ping' });
    if (step !== 'dead') return;
    this.#options.onProblem('a client gave no sign of life; its connection is closed');
    this.#socket.destroy();
  }

  #greet(message: Readonly<Record<string, unknown>>): void {
    const hello = checkHello(message);
    if (hello === null) return this.#drop('the first message must be a hello');
    clearTimeout(this.#greetingTimer);
    if (hello.protocolMin > PROTOCOL_VERSION || hello.protocolMax < PROTOCOL_VERSION) {
      const ours = `this daemon speaks protocol ${PROTOCOL_VERSION}, the client ${hello.protocolMin} to ${hello.protocolMax}`;
      this.#outbox.send({ type: 'hello', error: errorToWire(new ProtocolVersionError(ours)) });
      return this.#leave();
    }
    const { context } = this.#options;
    const { clientId } = hello;
    const { retries } = context.store;
    this.#router = new Router(context, clientId, this.#subscriptions);
    this.#heartbeatTimer = setInterval(() => this.#beat(), DAEMON_HEARTBEAT_MS).unref();
    retries.touch(clientId, Date.now());
    this.#socket.once('close', () => retries.touch(clientId, Date.now()));
    if (this.#state === 'greeting') this.#state = 'serving';
    this.#outbox.send(welcomeOf(context, clientId));
  }

  /** A message that is no request of this protocol: answered if it can be, else the end. */
  #unknown(type: unknown, id: unknown): void {
    if (typeof id !== 'number' || !Number.isSafeInteger(id))
      return this.#drop('a message has no id');
    const shown = typeof type === 'string' ? JSON.stringify(type.slice(0, 80)) : typeof type;
    this.#refuse(id, new ProtocolError(`unknown request type ${shown}`));
  }

  #refuse(id: number, error: unknown): void {
    if (error instanceof ClientGone) return;
    const { context, onProblem } = this.#options;
    const wire = wireError(error, onProblem);
    context.refusals.set(wire.code, (context.refusals.get(wire.code) ?? 0) + 1);
    this.#outbox.send({ id, error: wire });
  }

  #release(bytes: number): void {
    this.#bytes -= bytes;
    this.#options.budget.release(bytes);
  }

  /** Ends the connection of a client that does not follow the protocol. */
  #drop(reason: string): void {
    if (this.#state === 'closed') return;
    this.#options.onProblem(reason);
    this.#outbox.send({
      id: 0,
      error: errorToWire(new ProtocolError(`the connection is closed: ${reason}`)),
    });
    this.#leave();
  }

  /** Ends the connection when what was sent is taken, or soon: its client may read nothing. */
  #leave(): void {
    this.#outbox.flush();
    this.#state = 'closed';
    this.#gathering.end();
    const socket = this.#socket;
    socket.pause();
    socket.destroySoon();
    const timer = setTimeout(() => socket.destroy(), CLOSE_LINGER_MS);
    socket.once('close', () => clearTimeout(timer));
  }

  #closed(): void {
    clearTimeout(this.#greetingTimer);
    clearInterval(this.#heartbeatTimer);
    this.#state = 'closed';
    this.#gathering.end();
    this.#subscriptions.close();
    this.#options.onClose();
  }
}
