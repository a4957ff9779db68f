/**
 * Plays one conversation over a real socket, and sees to it that the daemon does what is due:
 * every request is answered once, what breaks the protocol ends its connection, nothing hangs, and
 * all that comes back is of the protocol.
 */
import { createConnection, type Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { FrameDecoder } from '../../../shared/frame-codec.js';
import { type Random, randomOf } from '../../support/random.js';
import type { Conversation, Writing } from './conversations.js';
import { between } from './draw.js';
import { Finding, PATIENCE_MS } from './finding.js';
import type { Frame } from './frames.js';
import { problemWith } from './replies.js';

type Message = Readonly<Record<string, unknown>>;

/**
 * Plays a conversation to its end.
 *
 * @param onMessage told of each message of the daemon
 * @returns what ends the connection, where the conversation leaves it open
 * @throws Finding
 */
export async function play(
  conversation: Conversation,
  socketPath: string,
  onMessage: (message: Message) => void = () => undefined,
): Promise<(() => void) | null> {
  return await new Player(conversation, createConnection({ path: socketPath }), onMessage).play();
}

/** What is expected: all that is due; the end of the connection; or anything that is no failure. */
type Expectation = 'all' | 'end' | 'anything';

class Player {
  readonly #conversation: Conversation;
  readonly #socket: Socket;
  readonly #random: Random;
  readonly #decoder = new FrameDecoder({ frameBytesMax: 2 ** 27, itemsMax: 2 ** 20, depthMax: 16 });
  #expects: Expectation = 'all';
  /** Answers that are due, by id; an id may be used again. */
  readonly #due: Map<number, number> = new Map();
  #dueCount = 0;
  /** Ids of answers of which a part has come. */
  readonly #begun: Set<unknown> = new Set();
  #greetingsDue = 0;
  #last: Message | null = null;
  #isLastFatal = false;
  #isReading = true;
  #hasConnected = false;
  #hasEnded = false;
  /** Messages that came, pings apart. */
  #heard = 0;
  #hasClosed = false;
  #problem: string | null = null;
  #wake: () => void = () => undefined;

  constructor(conversation: Conversation, socket: Socket, onMessage: (message: Message) => void) {
    this.#conversation = conversation;
    this.#socket = socket;
    this.#random = randomOf(conversation.index);
    socket.on('connect', () => {
      this.#hasConnected = true;
      this.#wake();
    });
    socket.on('data', (chunk) => {
      this.#decoder.push(chunk);
      this.#read(onMessage);
      this.#wake();
    });
    socket.on('drain', () => this.#wake());
    // A connection that the daemon ends may break what is still being written to it.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#hasClosed = true;
      this.#wake();
    });
  }

  async play(): Promise<(() => void) | null> {
    const { steps, ending } = this.#conversation;
    let hasLeft = false;
    try {
      await this.#until('the connection is accepted', () => this.#hasConnected);
      for (const step of steps) {
        if (step.kind === 'send') await this.#send(step.frames, step.as);
        else if (step.kind === 'await') await this.#answered();
        else this.#setReading(step.kind === 'read-on');
      }
      hasLeft = ending === 'left' && !this.#hasClosed;
      if (hasLeft) return () => this.#socket.destroy();
      if (ending === 'answered') await this.#answered();
      if (ending !== 'torn') await this.#end();
      return null;
    } finally {
      if (!hasLeft) this.#socket.destroy();
    }
  }

  async #send(frames: readonly Frame[], as: Writing): Promise<void> {
    for (const frame of frames) this.#expect(frame);
    if (as === 'each') for (const { bytes } of frames) await this.#write(bytes);
    else await this.#writeCut(Buffer.concat(frames.map(({ bytes }) => bytes)), as);
  }

  async #writeCut(bytes: Uint8Array, as: Exclude<Writing, 'each'>): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      // No frame is cut at every byte of a long content.
      const isCut = as !== 'joined' && at < 4096;
      const end = isCut ? at + (as === 'bytes' ? 1 : between(this.#random, 1, 300)) : bytes.length;
      await this.#write(bytes.subarray(at, end));
      if (isCut) await turn();
      at = end;
    }
  }

  async #write(bytes: Uint8Array): Promise<void> {
    if (this.#hasClosed || this.#socket.write(bytes) || !this.#isReading) return;
    await this.#until(
      'the daemon takes what is sent',
      () => this.#hasClosed || !this.#socket.writableNeedDrain,
    );
  }

  /** What is due for a frame, after all those before it. */
  #expect({ due }: Frame): void {
    this.#isLastFatal = false;
    if (this.#expects !== 'all') return;
    switch (due.kind) {
      case 'answered':
        this.#due.set(due.id, (this.#due.get(due.id) ?? 0) + 1);
        this.#dueCount += 1;
        return;
      case 'greeted':
        this.#greetingsDue += 1;
        return;
      case 'silent':
        return;
      case 'fatal':
        this.#expects = 'end';
        this.#isLastFatal = true;
        return;
      case 'open':
        this.#expects = 'anything';
        return;
      default:
        due satisfies never;
    }
  }

  #read(onMessage: (message: Message) => void): void {
    for (;;) {
      const next = this.#decoder.next();
      if (next.kind === 'broken') this.#problem ??= `a broken frame came: ${next.reason}`;
      if (next.kind !== 'frame') return;
      this.#last = next.message;
      if (next.message['type'] !== 'ping') this.#heard += 1;
      onMessage(next.message);
      const { id, more } = next.message;
      this.#problem ??=
        problemWith(next.message, this.#begun.has(id)) ?? this.#unexpected(next.message);
      if (more === true) this.#begun.add(id);
    }
  }

  /** Counts an answer; says what is wrong where nobody asked for it. */
  #unexpected({ id, more, type }: Message): string | null {
    if (type === 'hello') this.#greetingsDue -= 1;
    if (typeof id !== 'number' || more === true || this.#expects === 'anything') return null;
    const due = this.#due.get(id) ?? 0;
    if (due === 0) {
      const isEnd = id === 0 && this.#expects === 'end';
      return isEnd ? null : `an answer to ${id}, which is not due`;
    }
    this.#due.set(id, due - 1);
    this.#dueCount -= 1;
    return null;
  }

  #setReading(isReading: boolean): void {
    this.#isReading = isReading;
    if (isReading) this.#socket.resume();
    else this.#socket.pause();
  }

  /** Waits until what is due has come. */
  async #answered(): Promise<void> {
    if (this.#expects === 'anything' || !this.#isReading) return;
    if (this.#expects === 'end') {
      await this.#until('the connection is ended', () => this.#hasClosed);
      const { id, error } = (this.#last ?? {}) as {
        readonly id?: unknown;
        readonly error?: object;
      };
      const code = (error as { readonly code?: unknown } | undefined)?.code;
      if (this.#isLastFatal && !this.#hasEnded && (id !== 0 || code !== 'PROTOCOL'))
        throw this.#finding('the connection ended without PROTOCOL');
      return;
    }
    await this.#until('all is answered', () => this.#dueCount === 0 && this.#greetingsDue === 0);
  }

  /** Ends the sending side and reads on until the daemon has ended the other one. */
  async #end(): Promise<void> {
    this.#hasEnded = true;
    this.#setReading(true);
    this.#socket.end();
    await this.#until('the connection is closed', () => this.#hasClosed);
  }

  async #until(what: string, condition: () => boolean): Promise<void> {
    let hasWaited = false;
    let heard = this.#heard;
    const timer = setTimeout(() => {
      hasWaited = true;
      this.#wake();
    }, PATIENCE_MS);
    try {
      for (;;) {
        if (this.#problem !== null) throw this.#finding(this.#problem);
        if (condition()) return;
        if (this.#hasClosed) throw this.#finding(`the connection ended before ${what}`);
        if (this.#heard > heard) {
          // Slow is no hang.
          heard = this.#heard;
          hasWaited = false;
          timer.refresh();
        }
        if (hasWaited)
          throw this.#finding(`it hangs: ${PATIENCE_MS} ms, and not yet so that ${what}`);
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #finding(message: string): Finding {
    const due = [...this.#due].filter(([, count]) => count > 0).map(([id]) => id);
    const awaited = due.length === 0 ? '' : ` (${due.length} answers are due, first to ${due[0]})`;
    const { index, kind } = this.#conversation;
    return new Finding(`conversation ${index} (${kind}): ${message}${awaited}`, [
      this.#conversation,
    ]);
  }
}
