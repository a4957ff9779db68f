/**
 * Conversations of hostile clients: what each of them sends, and how, is decided by the seed and
 * the conversation's number alone, so that any of them can be had again.
 */
import { type Random, randomOf } from '../../support/random.js';
import { between, chance, pick, seedOf, weighted } from './draw.js';
import { type Frame, honestFrame, OPEN } from './frames.js';
import { brokenFrame } from './mutate-bytes.js';
import { mutatedMessage } from './mutate-message.js';
import { HonestClient, type Sizes } from './valid-messages.js';

/** How frames are written: all in one write, each in its own, cut anywhere, or byte by byte. */
export type Writing = 'joined' | 'each' | 'cut' | 'bytes';

export type Step =
  | { readonly kind: 'send'; readonly frames: readonly Frame[]; readonly as: Writing }
  /** From here on nothing that comes is read, or all of it again. */
  | { readonly kind: 'stop-reading' | 'read-on' }
  /** Waits until all is answered that is due so far. */
  | { readonly kind: 'await' };

/**
 * How it ends: when all is answered; with its sending side closed, and reading to the end; torn
 * off; or left open until a later one begins.
 */
export type Ending = 'answered' | 'half-closed' | 'torn' | 'left';

export interface Conversation {
  readonly index: number;
  readonly kind: string;
  readonly steps: readonly Step[];
  readonly ending: Ending;
}

/** What a kind of conversation makes of an honest client. */
type Kind = (client: HonestClient) => Pick<Conversation, 'steps' | 'ending'>;

/** The conversation of that number. */
export function conversationOf(seed: number, index: number, sizes: Sizes): Conversation {
  const random = randomOf(seedOf(seed, index));
  const kind = weighted(
    random,
    Object.entries(KINDS).map(([name, { weight }]) => [weight, name] as const),
  );
  const build = (KINDS[kind] as { readonly build: Kind }).build;
  return { index, kind, ...build(new HonestClient(random, sizes)) };
}

export function framesIn({ steps }: Pick<Conversation, 'steps'>): number {
  return steps.reduce((sum, step) => sum + (step.kind === 'send' ? step.frames.length : 0), 0);
}

/** What is answered at any time: a client that does everything once and nothing wrong. */
export function probeOf(sizes: Sizes): Conversation {
  const client = new HonestClient(randomOf(0), sizes);
  const of = { sessionId: 'probe', threadId: 'probe', runId: 'probe' };
  const texts = [
    '{"event":"token"}',
    '{"thread_id":"probe","run_id":"probe","event_type":"text","category":"message"}',
  ].map((text) => Buffer.from(text));
  const said = [
    { type: 'turns.append', text: texts[0] },
    { type: 'runs.put', texts: [texts[1]] },
    { type: 'turns.read', limit: 10 },
    { type: 'turns.states' },
    { type: 'runs.listMessages', limit: 10 },
    { type: 'turns.subscribe', subscription: 1, credit: 1000, after: 'now' },
    { type: 'stats' },
  ];
  const frames = said.map((message, at) => honestFrame({ ...message, ...of, id: at + 1 }));
  const steps: Step[] = [greeting(client), { kind: 'send', frames, as: 'each' }];
  return { index: -1, kind: 'probe', steps, ending: 'answered' };
}

const KINDS: Readonly<Record<string, { readonly weight: number; readonly build: Kind }>> = {
  honest: { weight: 12, build: honest },
  'mutated messages': { weight: 30, build: mutatedMessages },
  'broken bytes': { weight: 25, build: brokenBytes },
  'no hello': { weight: 3, build: noHello },
  'strange hello': { weight: 4, build: strangeHello },
  'never reads': { weight: 2, build: neverReads },
  'reads late': { weight: 2, build: readsLate },
  'half open': { weight: 4, build: halfOpen },
  'torn off': { weight: 5, build: tornOff },
  'frame that stays away': { weight: 2, build: frameThatStaysAway },
  'credit games': { weight: 4, build: creditGames },
  'many subscriptions': { weight: 1, build: manySubscriptions },
  'ids again': { weight: 2, build: idsAgain },
  'numbers without end': { weight: 1, build: numbersWithoutEnd },
  'large filters': { weight: 1, build: largeFilters },
  'left open': { weight: 2, build: leftOpen },
};

function greeting(client: HonestClient): Step {
  return { kind: 'send', frames: [honestFrame(client.hello())], as: 'each' };
}

function honestFrames(client: HonestClient, count: number): readonly Frame[] {
  return Array.from({ length: count }, () =>
    honestFrame(chance(client.random, 15) ? client.notice() : client.request()),
  );
}

function writing(random: Random): Writing {
  return weighted<Writing>(random, [
    [4, 'joined'],
    [3, 'each'],
    [2, 'cut'],
    [1, 'bytes'],
  ]);
}

/** Nothing is wrong with it but how its bytes are cut. */
function honest(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  const steps: Step[] = [greeting(client)];
  for (let part = between(random, 1, 3); part > 0; part -= 1) {
    const frames = honestFrames(client, between(random, 1, 20));
    steps.push({ kind: 'send', frames, as: writing(random) });
    if (chance(random, 50)) steps.push({ kind: 'await' });
  }
  return { steps, ending: 'answered' };
}

function mutatedMessages(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  const frames = Array.from({ length: between(random, 2, 40) }, () =>
    chance(random, 30) ? (honestFrames(client, 1)[0] as Frame) : mutatedMessage(client),
  );
  const steps: Step[] = [greeting(client), { kind: 'send', frames, as: writing(random) }];
  return { steps, ending: 'answered' };
}

function brokenBytes(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  const frames = [
    ...honestFrames(client, random(6)),
    ...Array.from({ length: between(random, 1, 4) }, () => brokenFrame(client)),
    ...honestFrames(client, random(6)),
  ];
  const steps: Step[] = [greeting(client), { kind: 'send', frames, as: writing(random) }];
  return { steps, ending: 'answered' };
}

function noHello(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  const first = { ...(honestFrames(client, 1)[0] as Frame), due: OPEN };
  const frames = chance(random, 80) ? [first, ...honestFrames(client, random(5))] : [];
  return { steps: [{ kind: 'send', frames, as: writing(random) }], ending: 'half-closed' };
}

function strangeHello(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  const hello = client.hello();
  const first = pick<object>(random, [
    hello,
    { ...hello, protocolMin: 0, protocolMax: 2 ** 53 - 1 },
    { ...hello, protocolMin: 2, protocolMax: 3 },
    { ...hello, protocolMin: 1.5 },
    { ...hello, protocolMax: Number.NaN },
    { ...hello, clientId: client.clientId.toUpperCase() },
    { ...hello, clientId: `${client.clientId}\n` },
    { ...hello, clientId: [client.clientId] },
    { ...hello, clientName: 'n'.repeat(201) },
    { ...hello, clientName: 'n'.repeat(100_000) },
    { ...hello, id: 1 },
    { type: 'hello' },
  ]);
  const frames: readonly Frame[] = [
    { ...honestFrame(first), due: OPEN },
    ...honestFrames(client, random(3)),
    // A second one.
    ...(chance(random, 70) ? [{ ...honestFrame(hello), due: OPEN }] : []),
    ...honestFrames(client, random(5)),
  ];
  return { steps: [{ kind: 'send', frames, as: writing(random) }], ending: 'half-closed' };
}

/** What makes much of little: reads of a large event, pings, refusals, pages, and pushes. */
function unreadFrames(client: HonestClient, count: number): readonly Frame[] {
  const { random } = client;
  const sessionId = `fat${random(4)}`;
  const of = pick<() => object>(random, [
    () => ({ ...client.request('turns.read'), sessionId, afterSeq: undefined, limit: 1 }),
    () => ({ type: 'ping' }),
    () => ({ ...client.request('stats'), type: 'nonsense' }),
    () => client.request('stats'),
    () => client.request('turns.sessionIds'),
    () => client.request('turns.append'),
    () => ({ ...client.request('turns.subscribe'), sessionId, credit: 2 ** 40 }),
    () => client.request(),
  ]);
  const text = client.turnText(240_000);
  const large = { type: 'turns.append', id: client.request('stats').id, sessionId, text };
  return [honestFrame(large), ...Array.from({ length: count }, () => honestFrame(of()))];
}

function neverReads(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  const frames = unreadFrames(client, between(random, 300, 2000));
  const steps: Step[] = [
    greeting(client),
    { kind: 'await' },
    { kind: 'stop-reading' },
    { kind: 'send', frames, as: 'joined' },
    // To be dropped while nothing can be sent to it.
    ...(chance(random, 40)
      ? [{ kind: 'send', frames: [brokenFrame(client)], as: 'each' } as const]
      : []),
    { kind: 'send', frames: honestFrames(client, 20), as: 'each' },
  ];
  return { steps, ending: chance(random, 70) ? 'torn' : 'left' };
}

function readsLate(client: HonestClient): ReturnType<Kind> {
  const frames = unreadFrames(client, between(client.random, 50, 150));
  const steps: Step[] = [
    greeting(client),
    { kind: 'await' },
    { kind: 'stop-reading' },
    { kind: 'send', frames, as: 'joined' },
    { kind: 'read-on' },
  ];
  return { steps, ending: 'answered' };
}

function halfOpen(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  const steps: Step[] = [
    greeting(client),
    { kind: 'send', frames: honestFrames(client, between(random, 1, 30)), as: writing(random) },
  ];
  return { steps, ending: 'half-closed' };
}

function tornOff(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  const frames = honestFrames(client, between(random, 1, 60));
  const last = frames.at(-1) as Frame;
  const half = { bytes: last.bytes.subarray(0, random(last.bytes.length)), due: OPEN };
  const steps: Step[] = [
    greeting(client),
    { kind: 'send', frames: chance(random, 50) ? frames : [...frames, half], as: writing(random) },
  ];
  return { steps, ending: 'torn' };
}

/** Most of a frame of the greatest length, and then nothing. */
function frameThatStaysAway(client: HonestClient): ReturnType<Kind> {
  const { random, sizes } = client;
  const length = sizes.frameBytesMax - random(1000);
  const bytes = Buffer.alloc(chance(random, 50) ? length - random(1000) : random(length));
  bytes.writeUInt32BE(length);
  const steps: Step[] = [greeting(client), { kind: 'await' }];
  steps.push({ kind: 'send', frames: [{ bytes, due: OPEN }], as: 'each' });
  return { steps, ending: 'left' };
}

function creditGames(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  const type = pick(random, ['turns.subscribe', 'runs.subscribe', 'subscribeAll'] as const);
  const steps: Step[] = [greeting(client)];
  const said: object[] = [];
  for (let at = between(random, 5, 40); at > 0; at -= 1) {
    const subscription = client.aSubscription();
    said.push(
      weighted<() => object>(random, [
        [30, () => client.request(type)],
        [30, () => ({ type: 'credit', subscription, credit: Number.MAX_SAFE_INTEGER })],
        [15, () => ({ type: 'credit', subscription, credit: random(300) })],
        [10, () => ({ type: 'unsubscribe', subscription })],
        // The same number for another one, while the first may be open.
        [10, () => ({ ...client.request(type), subscription })],
        [5, () => ({ type: 'unsubscribe', subscription: Number.MAX_SAFE_INTEGER })],
      ])(),
    );
  }
  steps.push({ kind: 'send', frames: said.map(honestFrame), as: writing(random) });
  if (chance(random, 50)) steps.push({ kind: 'await' });
  steps.push({ kind: 'send', frames: honestFrames(client, 10), as: 'joined' });
  return { steps, ending: pick<Ending>(random, ['answered', 'torn', 'half-closed']) };
}

/** Subscriptions that cost next to nothing, many at once. */
function manySubscriptions(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  const isOneStream = chance(random, 50);
  const frames = Array.from({ length: between(random, 500, 3000) }, (_, at) => {
    const request = { ...client.request('turns.subscribe'), subscription: at + 1 };
    const sessionId = isOneStream ? 'x1' : `absent${random(100_000)}`;
    return honestFrame({ ...request, sessionId, after: 'start', credit: random(2) });
  });
  const steps: Step[] = [greeting(client), { kind: 'send', frames, as: 'joined' }];
  return { steps, ending: pick<Ending>(random, ['answered', 'torn', 'left']) };
}

function idsAgain(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  const id = pick(random, [0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER]);
  const frames = Array.from({ length: between(random, 5, 60) }, () =>
    honestFrame({ ...client.request(), id }),
  );
  const steps: Step[] = [greeting(client), { kind: 'send', frames, as: writing(random) }];
  return { steps, ending: 'answered' };
}

/** Writes whose answers are awaited for ever, so that no result of them may be forgotten. */
function numbersWithoutEnd(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  const step = pick(random, [1, 7, 2 ** 33]);
  const frames = Array.from({ length: between(random, 200, 1500) }, (_, at) =>
    honestFrame({
      ...client.request('turns.append'),
      text: client.turnText(20),
      number: 1 + at * step,
      lowest: 0,
      expectedSeq: undefined,
      idempotencyKey: undefined,
    }),
  );
  const steps: Step[] = [greeting(client), { kind: 'send', frames, as: 'joined' }];
  return { steps, ending: 'answered' };
}

/** Filters that the daemon has to keep as long as the subscription is open. */
function largeFilters(client: HonestClient): ReturnType<Kind> {
  const { random, sizes } = client;
  const bytes = Math.floor(sizes.frameBytesMax / pick(random, [2, 10, 100]));
  const frames = Array.from({ length: between(random, 2, 20) }, () => {
    const request = client.request('runs.subscribe');
    return honestFrame(
      chance(random, 50)
        ? { ...request, taskId: 'k'.repeat(bytes) }
        : { ...request, categories: Array.from({ length: 100 }, () => 'c'.repeat(bytes / 100)) },
    );
  });
  const steps: Step[] = [greeting(client), { kind: 'send', frames, as: 'each' }];
  return { steps, ending: pick<Ending>(random, ['answered', 'left']) };
}

/** A connection that says hello, or not even that, and is heard of no more. */
function leftOpen(client: HonestClient): ReturnType<Kind> {
  const { random } = client;
  if (chance(random, 30)) return { steps: [], ending: 'left' };
  const steps: Step[] = [greeting(client)];
  if (chance(random, 50))
    steps.push({ kind: 'send', frames: honestFrames(client, random(10)), as: 'joined' });
  return { steps, ending: 'left' };
}
