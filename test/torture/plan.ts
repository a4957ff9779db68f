/**
 * What a torture does, and when: a pure function of its seed. A plan has no end; a run does as much
 * of it as its time allows. What this machine cannot do is skipped when it is due, so the plan is
 * the same everywhere.
 */
import { type Random, randomOf } from '../support/random.js';

/** How the daemon comes back after it died. */
export interface Comeback {
  /** `recover`: `eventlogd recover` first, after which the files are read as any program reads them. */
  readonly how: 'start' | 'recover';
  /** Starts before that which are killed, each after so many milliseconds. */
  readonly killedStarts: readonly number[];
}

export type Fault =
  | { readonly kind: 'kill'; readonly comeback: Comeback }
  | { readonly kind: 'drain' }
  | { readonly kind: 'hang'; readonly ms: number; readonly comeback: Comeback | null }
  | { readonly kind: 'kill-client'; readonly client: number }
  | { readonly kind: 'hang-client'; readonly client: number; readonly ms: number }
  | { readonly kind: 'kill-subscriber'; readonly subscriber: number }
  | { readonly kind: 'hang-subscriber'; readonly subscriber: number; readonly ms: number }
  | { readonly kind: 'foreign-lines'; readonly count: number; readonly padding: number }
  | { readonly kind: 'remove-file'; readonly nth: number }
  | {
      /** Bytes behind the log's last frame, as a write that was torn leaves them. */
      readonly kind: 'torn-log';
      readonly with: 'noise' | 'head' | 'old-frame';
      readonly bytes: number;
      readonly comeback: Comeback;
    }
  | {
      /** What a journal file has past its last checkpoint is lost, as page cache is. */
      readonly kind: 'torn-journal';
      readonly nth: number;
      readonly share: number;
      readonly how: 'cut' | 'zeros';
      readonly comeback: Comeback;
    }
  | {
      /** Damage to a copy of the directory, of what was durable. */
      readonly kind: 'damage';
      readonly what: 'log' | 'catalog' | 'journal';
      readonly how: 'flip' | 'zeros' | 'cut';
      readonly nth: number;
      readonly share: number;
      readonly comeback: Comeback;
    };

export type FaultKind = Fault['kind'];

/** A fault, and how long all goes well before it. */
export interface Step {
  readonly waitMs: number;
  readonly fault: Fault;
}

/** A directory from its beginning to its end. */
export interface Act {
  readonly number: number;
  readonly seed: number;
  readonly segmentBytes: string;
  readonly paddingMax: number;
  readonly clients: number;
  readonly steps: readonly Step[];
}

const STEPS = 14;
const WAIT_MS_MAX = 900;

const FAULTS: readonly (readonly [weight: number, make: (random: Random) => Fault])[] = [
  [14, (random) => ({ kind: 'kill', comeback: comeback(random) })],
  [4, () => ({ kind: 'drain' })],
  [6, hang],
  [6, (random) => ({ kind: 'kill-client', client: random(100) })],
  [3, (random) => ({ kind: 'hang-client', client: random(100), ms: 50 + random(1_500) })],
  [5, (random) => ({ kind: 'kill-subscriber', subscriber: random(100) })],
  [3, (random) => ({ kind: 'hang-subscriber', subscriber: random(100), ms: 50 + random(1_500) })],
  [6, (random) => ({ kind: 'foreign-lines', count: 1 + random(200), padding: random(500) })],
  [3, (random) => ({ kind: 'remove-file', nth: random(100) })],
  [5, tornLog],
  [5, tornJournal],
  [6, damage],
];
const WEIGHTS = FAULTS.reduce((sum, [weight]) => sum + weight, 0);

/** One act of a seed's plan. */
export function actOf(seed: number, number: number): Act {
  const random = randomOf(seed * 1_000_003 + number);
  const segmentBytes = pick(random, ['256k', '256k', '1m', '128m']);
  return {
    number,
    seed: random(2 ** 31),
    segmentBytes,
    // A segment holds two commits of the largest size.
    paddingMax: segmentBytes === '256k' ? 4_000 : pick(random, [4_000, 40_000]),
    clients: 2 + random(2),
    steps: Array.from({ length: STEPS }, () => ({
      waitMs: random(WAIT_MS_MAX),
      fault: someFault(random),
    })),
  };
}

/** The acts of which at least the waiting fits into so many minutes. */
export function* planOf(seed: number, minutes: number): Generator<Act> {
  let ms = 0;
  for (let number = 1; ms < minutes * 60_000; number += 1) {
    const act = actOf(seed, number);
    yield act;
    ms += act.steps.reduce((sum, { waitMs }) => sum + waitMs, 0);
  }
}

function someFault(random: Random): Fault {
  let left = random(WEIGHTS);
  for (const [weight, make] of FAULTS) {
    left -= weight;
    if (left < 0) return make(random);
  }
  throw new Error('the weights do not add up');
}

function comeback(random: Random): Comeback {
  const killedStarts = random(4) === 0 ? [100 + random(500), 100 + random(500)] : [];
  return { how: random(2) === 0 ? 'start' : 'recover', killedStarts };
}

function hang(random: Random): Fault {
  const isKilled = random(2) === 0;
  return { kind: 'hang', ms: 20 + random(800), comeback: isKilled ? comeback(random) : null };
}

function tornLog(random: Random): Fault {
  return {
    kind: 'torn-log',
    with: pick(random, ['noise', 'head', 'old-frame']),
    bytes: 1 + random(5_000),
    comeback: comeback(random),
  };
}

function tornJournal(random: Random): Fault {
  return {
    kind: 'torn-journal',
    nth: random(1_000),
    share: random(1_000) / 1_000,
    how: pick(random, ['cut', 'zeros']),
    comeback: comeback(random),
  };
}

function damage(random: Random): Fault {
  return {
    kind: 'damage',
    what: pick(random, ['log', 'log', 'catalog', 'journal']),
    how: pick(random, ['flip', 'flip', 'zeros', 'cut']),
    nth: random(1_000_000),
    share: random(1_000) / 1_000,
    comeback: comeback(random),
  };
}

function pick<T>(random: Random, values: readonly [T, ...T[]]): T {
  return values[random(values.length)] ?? values[0];
}
