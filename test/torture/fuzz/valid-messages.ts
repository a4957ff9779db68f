/**
 * Messages as an honest client sends them: what mutations begin with. All of one conversation are
 * drawn from its own random numbers, and name only streams that no good client uses.
 */
import type { AnnouncedLimits, Notice, RequestOf, RequestType } from '../../../shared/protocol.js';
import type { Random } from '../../support/random.js';
import { between, chance, pick, weighted } from './draw.js';

/** The limits of the daemon that is spoken to. */
export type Sizes = Pick<AnnouncedLimits, 'eventBytesMax' | 'batchBytesMax' | 'frameBytesMax'>;

/** What may be absent may be undefined as well: members that are undefined are not sent. */
type Loose<T> = {
  readonly [K in keyof T]: Partial<Pick<T, K>> extends Pick<T, K> ? T[K] | undefined : T[K];
};
type Fields<T extends RequestType> = Loose<Omit<RequestOf<T>, 'type' | 'id'>>;
type Append = Fields<'turns.append'>;
type Page = Pick<Fields<'runs.listMessages'>, 'limit' | 'beforeSeq' | 'afterSeq'>;
type Subscribing = Pick<Fields<'turns.subscribe'>, 'subscription' | 'credit' | 'after'>;

const TURN_EVENTS = ['submitted', 'worker_started', 'token', 'completed', 'interrupted'];
const CATEGORIES = ['message', 'trace', 'tool'];
const CREDITS = [0, 1, 64, 1000, 65_536, 2 ** 32, Number.MAX_SAFE_INTEGER];
const SEQS = [0, 1, 2, 10, 1_000_000];

/** A seq, or a limit, as clients ask for them. */
function count(random: Random): number {
  return chance(random, 30) ? pick(random, SEQS) : random(50);
}

/** What one client says, one message after the other. */
export class HonestClient {
  readonly random: Random;
  readonly sizes: Sizes;
  readonly clientId: string;
  #id = 0;
  #number = 0;
  #subscription = 0;

  constructor(random: Random, sizes: Sizes) {
    this.random = random;
    this.sizes = sizes;
    this.clientId = Array.from({ length: 32 }, () => random(16).toString(16)).join('');
  }

  hello(): object {
    const clientName = chance(this.random, 50) ? 'fuzz' : undefined;
    return { type: 'hello', protocolMin: 1, protocolMax: 1, clientId: this.clientId, clientName };
  }

  /** A request with valid fields. */
  request(type: RequestType = pick(this.random, REQUEST_TYPES)): {
    readonly type: RequestType;
    readonly id: number;
  } {
    this.#id += 1;
    return { type, id: this.#id, ...FIELDS[type](this) };
  }

  notice(): Notice {
    const { random } = this;
    const subscription = this.aSubscription();
    return pick<Notice>(random, [
      { type: 'ping' },
      { type: 'pong' },
      { type: 'unsubscribe', subscription },
      { type: 'credit', subscription, credit: pick(random, CREDITS) },
    ]);
  }

  /** The number of a subscription that was asked for, or was not. */
  aSubscription(): number {
    return this.random(this.#subscription + 2);
  }

  session(): string {
    return `x${this.random(chance(this.random, 90) ? 40 : 3000)}`;
  }

  thread(): string {
    return `y${this.random(chance(this.random, 90) ? 40 : 500)}`;
  }

  run(): string {
    return `z${this.random(6)}`;
  }

  /** A text of that length or a little more. */
  filler(length: number): string {
    const unit = pick(this.random, ['a', '\\n', 'ä', '\u2028', '😀', '\\ud800', ' ']);
    return unit.repeat(Math.ceil(length / Buffer.byteLength(unit)));
  }

  /** How long a content is: mostly short, seldom as long as it may be. */
  length(): number {
    const { eventBytesMax } = this.sizes;
    return weighted(this.random, [
      [900, this.random(200)],
      [80, this.random(20_000)],
      [18, this.random(300_000)],
      [1, this.random(eventBytesMax)],
      [1, eventBytesMax - 1000],
    ]);
  }

  turnText(length: number = this.length()): Uint8Array {
    const { random } = this;
    const members = [`"event":"${pick(random, TURN_EVENTS)}"`];
    if (chance(random, 40)) members.push(`"turn_id":"t${random(20)}"`);
    if (chance(random, 20)) members.push(`"created_at":${random(2_000_000_000)}.5`);
    if (chance(random, 10)) members.push(`"stream_id":"v${random(5)}"`);
    members.push(`"content":"${this.filler(length)}"`);
    return Buffer.from(`{${members.join(',')}}`);
  }

  runText(length: number = this.length()): Uint8Array {
    const { random } = this;
    const members = [
      `"thread_id":"${this.thread()}"`,
      `"run_id":"${this.run()}"`,
      `"event_type":"e${random(4)}"`,
      `"category":"${pick(random, CATEGORIES)}"`,
    ];
    if (chance(random, 80)) members.push(`"content":"${this.filler(length)}"`);
    if (chance(random, 30)) members.push(`"metadata":{"task_id":"k${random(4)}"}`);
    return Buffer.from(`{${members.join(',')}}`);
  }

  identity(): Pick<Append, 'number' | 'lowest'> {
    if (chance(this.random, 20)) return {};
    this.#number += 1;
    // Sometimes the same write again, or one of those before it.
    const number = chance(this.random, 90) ? this.#number : between(this.random, 1, this.#number);
    const lowest = chance(this.random, 70) ? Math.max(1, number - this.random(20)) : undefined;
    return { number, lowest };
  }

  appendOptions(): Pick<Append, 'expectedSeq' | 'idempotencyKey' | 'number' | 'lowest'> {
    const { random } = this;
    return {
      ...this.identity(),
      expectedSeq: chance(random, 10) ? count(random) : undefined,
      idempotencyKey: chance(random, 20) ? `key-${random(50)}` : undefined,
    };
  }

  page(): Page {
    const { random } = this;
    return {
      limit: 1 + count(random),
      beforeSeq: chance(random, 30) ? count(random) : undefined,
      afterSeq: chance(random, 30) ? count(random) : undefined,
    };
  }

  subscribing(): Subscribing {
    const { random } = this;
    this.#subscription += 1;
    const after = pick(random, [
      undefined,
      'start' as const,
      'now' as const,
      count(random),
      { generation: 0, seq: 0 },
      { generation: 1 + random(10_000), seq: count(random) },
    ]);
    return { subscription: this.#subscription, credit: pick(random, CREDITS), after };
  }

  names(): string[] | undefined {
    const { random } = this;
    if (chance(random, 60)) return undefined;
    return Array.from({ length: random(4) }, () => pick(random, [...CATEGORIES, 'e0', 'e1']));
  }
}

/** Every type of request with valid fields: the compiler sees to it that none is missing. */
const FIELDS: { readonly [T in RequestType]: (client: HonestClient) => Fields<T> } = {
  'turns.append': (client) => ({
    sessionId: client.session(),
    text: client.turnText(),
    streamId: chance(client.random, 10) ? `v${client.random(5)}` : undefined,
    unlessTerminal: chance(client.random, 20) ? chance(client.random, 50) : undefined,
    ...client.appendOptions(),
  }),
  'turns.read': (client) => ({
    sessionId: client.session(),
    afterSeq: chance(client.random, 50) ? count(client.random) : undefined,
    limit: 1 + count(client.random),
  }),
  'turns.states': (client) => ({ sessionId: client.session() }),
  'turns.pending': (client) => ({
    sessionId: chance(client.random, 95) ? client.session() : undefined,
    limit: 1 + client.random(20),
  }),
  'turns.sessionIds': () => ({}),
  'turns.head': (client) => ({ sessionId: client.session() }),
  'turns.delete': (client) => ({ sessionId: client.session(), ...client.identity() }),
  'turns.repair': (client) => ({
    sessionId: client.session(),
    apply: chance(client.random, 20) ? true : undefined,
    ...client.identity(),
  }),
  'runs.put': (client) => {
    const { random } = client;
    const events = chance(random, 80) ? 1 : 1 + random(30);
    return {
      texts: Array.from({ length: events }, () =>
        client.runText(events === 1 ? undefined : random(200)),
      ),
      ifAbsent: chance(random, 10) ? true : undefined,
      ...client.appendOptions(),
    };
  },
  'runs.listMessages': (client) => ({ threadId: client.thread(), ...client.page() }),
  'runs.listEvents': (client) => ({
    threadId: client.thread(),
    runId: client.run(),
    eventTypes: client.names(),
    taskId: chance(client.random, 20) ? `k${client.random(4)}` : undefined,
    afterSeq: chance(client.random, 30) ? count(client.random) : undefined,
    limit: 1 + count(client.random),
  }),
  'runs.listMessagesByRun': (client) => ({
    threadId: client.thread(),
    runId: client.run(),
    ...client.page(),
  }),
  'runs.countMessages': (client) => ({ threadId: client.thread() }),
  'runs.threadIds': () => ({}),
  'runs.head': (client) => ({ threadId: client.thread() }),
  'runs.deleteByThread': (client) => ({ threadId: client.thread(), ...client.identity() }),
  'runs.deleteByRun': (client) => ({
    threadId: client.thread(),
    runId: client.run(),
    ...client.identity(),
  }),
  'runs.repair': (client) => ({
    threadId: client.thread(),
    apply: chance(client.random, 20) ? true : undefined,
    ...client.identity(),
  }),
  'turns.subscribe': (client) => ({ sessionId: client.session(), ...client.subscribing() }),
  'runs.subscribe': (client) => ({
    threadId: client.thread(),
    runId: chance(client.random, 30) ? client.run() : undefined,
    categories: client.names(),
    eventTypes: client.names(),
    taskId: chance(client.random, 10) ? `k${client.random(4)}` : undefined,
    ...client.subscribing(),
  }),
  subscribeAll: (client) => {
    const { subscription, credit } = client.subscribing();
    return {
      subscription,
      credit,
      afterPosition: chance(client.random, 50) ? count(client.random) : undefined,
      journal: pick(client.random, [undefined, 'turns' as const, 'runs' as const]),
    };
  },
  stats: () => ({}),
  // Refused, also when it is changed: a backup would be made outside of the test's folders.
  backup: () => ({ folder: '.' }),
};

const REQUEST_TYPES = Object.keys(FIELDS) as RequestType[];
