/**
 * What a torture does, and when: a pure function of its seed. A plan has no end; a run does as much
 * of it as its time allows. What this machine cannot do is skipped when it is due, so the plan is
 * the same everywhere.
 */
import { type Place, POINTS } from '../support/fault-shim/named-points.js';
import { type Random, randomOf } from '../support/random.js';

/** A moment of the daemon's work, by its name and how often it passes by before. */
export interface Moment {
  readonly point: string;
  readonly after: number;
}

/** How the daemon comes back after it died. */
export interface Comeback {
  /** `recover`: `eventlogd recover` first, after which the files are read as any program reads them. */
  readonly how: 'start' | 'recover';
  /** Starts before that which are killed, each after so many milliseconds or at a moment. */
  readonly killedStarts: readonly (number | Moment)[];
}

export type ErrorCode = 'EIO' | 'ENOSPC' | 'EDQUOT' | 'EFBIG';

export type Fault =
  | { readonly kind: 'kill'; readonly comeback: Comeback }
  | { readonly kind: 'drain' }
  | { readonly kind: 'kill-at'; readonly at: Moment; readonly comeback: Comeback }
  | {
      /** A sync fails, once or for ever; after the daemon's end the power may fail too. */
      readonly kind: 'failed-sync';
      readonly place: Place;
      readonly after: number;
      readonly losesPower: boolean;
      readonly comeback: Comeback;
    }
  | {
      /** Writes are refused for a while, the first of them in its midst if `short` is not null. */
      readonly kind: 'failed-writes';
      readonly place: Place;
      readonly code: ErrorCode;
      readonly after: number;
      readonly short: number | null;
      readonly ms: number;
      /** How it ends: there is room again, or the daemon is killed. */
      readonly comeback: Comeback | null;
    }
  | { readonly kind: 'slow-sync'; readonly delayMs: number; readonly ms: number }
  | { readonly kind: 'clock-step'; readonly offsetMs: number }
  | { readonly kind: 'power-loss'; readonly comeback: Comeback }
  | { readonly kind: 'hang'; readonly ms: number; readonly comeback: Comeback | null }
  | { readonly kind: 'kill-client'; readonly client: number }
  | { readonly kind: 'hang-client'; readonly client: number; readonly ms: number }
  | { readonly kind: 'kill-subscriber'; readonly subscriber: number }
  | { readonly kind: 'hang-subscriber'; readonly subscriber: number; readonly ms: number }
  | { readonly kind: 'foreign-lines'; readonly count: number; readonly padding: number }
  | { readonly kind: 'foreign-torn' }
  | {
      /** A line of another program with a seq that is taken; the repair is killed at a moment. */
      readonly kind: 'foreign-clash';
      readonly killedAt: Moment | null;
      readonly comeback: Comeback;
    }
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

/** The fault of a kind. */
export type Of<Kind extends FaultKind> = Extract<Fault, { kind: Kind }>;

/** A fault, and how many calls are answered before it. */
export interface Step {
  readonly answers: number;
  readonly fault: Fault;
}

/** A directory from its beginning to its end. */
export interface Act {
  readonly number: number;
  readonly seed: number;
  readonly segmentBytes: string;
  /** With little, segments go while the act lasts. */
  readonly logRetentionBytes: string;
  /** Whether the directory is on a disk that can lose power. */
  readonly isOnPowerDisk: boolean;
  readonly paddingMax: number;
  readonly clients: number;
  readonly steps: readonly Step[];
}

const STEPS = 14;
const ANSWERS_MAX = 250;
/** What a daemon that serves comes by; the rest belongs to its start. */
const SERVING =
  /-(log-(write|fsync|truncate)|journal-(create|write|fsync)|catalog-(write|fsync)|trash-\w+|directory-\w+)$/;
/** What a repair of a stream comes by. */
const REPAIRING = /-(journal-\w+|directory-fsync|quarantine-\w+|log-write)$/;
const REPAIR_POINTS = POINTS.filter((point) => REPAIRING.test(point));
const SERVING_POINTS = POINTS.filter((point) => SERVING.test(point));
/** Within what a client's results and keys are surely remembered, from one end to the other. */
const CLOCK_STEP_MS = 6 * 60_000;
/** A daemon that is silent for so long is given up by its clients. */
const LONG_HANG_MS = 17_000;

/** How often each kind comes, and how it is made. */
const FAULTS: {
  readonly [Kind in FaultKind]: readonly [weight: number, make: (random: Random) => Of<Kind>];
} = {
  kill: [8, (random) => ({ kind: 'kill', comeback: comeback(random) })],
  drain: [3, () => ({ kind: 'drain' })],
  'kill-at': [
    14,
    (random) => ({
      kind: 'kill-at',
      at: moment(random, SERVING_POINTS),
      comeback: comeback(random),
    }),
  ],
  hang: [5, hang],
  'failed-sync': [8, failedSync],
  'failed-writes': [9, failedWrites],
  'slow-sync': [5, slowSync],
  'clock-step': [
    4,
    (random) => ({ kind: 'clock-step', offsetMs: random(2 * CLOCK_STEP_MS) - CLOCK_STEP_MS }),
  ],
  'power-loss': [12, (random) => ({ kind: 'power-loss', comeback: comeback(random) })],
  'torn-log': [5, tornLog],
  'torn-journal': [5, tornJournal],
  damage: [6, damage],
  'remove-file': [3, (random) => ({ kind: 'remove-file', nth: random(100) })],
  'foreign-lines': [
    6,
    (random) => ({ kind: 'foreign-lines', count: 1 + random(200), padding: random(500) }),
  ],
  'foreign-torn': [2, () => ({ kind: 'foreign-torn' })],
  'foreign-clash': [4, foreignClash],
  'kill-client': [6, (random) => ({ kind: 'kill-client', client: random(100) })],
  'hang-client': [
    3,
    (random) => ({ kind: 'hang-client', client: random(100), ms: 50 + random(1_500) }),
  ],
  'kill-subscriber': [5, (random) => ({ kind: 'kill-subscriber', subscriber: random(100) })],
  'hang-subscriber': [
    3,
    (random) => ({ kind: 'hang-subscriber', subscriber: random(100), ms: 50 + random(1_500) }),
  ],
};
/** Every kind, in the order of the table in docs/torture.md. */
export const FAULT_KINDS: readonly FaultKind[] = Object.keys(FAULTS) as FaultKind[];
const WEIGHTS = FAULT_KINDS.reduce((sum, kind) => sum + FAULTS[kind][0], 0);

/** The largest paddings of events, by the size of segments: one holds two commits of the largest size. */
const PADDINGS = {
  '256k': [4_000],
  '1m': [4_000, 40_000],
  '128m': [4_000, 40_000, 1_300_000],
} as const;

/** One act of a seed's plan. */
export function actOf(seed: number, number: number): Act {
  const random = randomOf(seed * 1_000_003 + number);
  const segmentBytes = pick(random, ['256k', '256k', '1m', '128m'] as const);
  return {
    number,
    seed: random(2 ** 31),
    segmentBytes,
    logRetentionBytes: pick(random, ['1g', '1g', '512k']),
    isOnPowerDisk: random(3) > 0,
    paddingMax: pick(random, PADDINGS[segmentBytes]),
    clients: 2 + random(2),
    steps: Array.from({ length: STEPS }, () => ({
      answers: random(ANSWERS_MAX),
      fault: someFault(random),
    })),
  };
}

/** All acts of a seed's plan, without an end. */
export function* planOf(seed: number): Generator<Act, never> {
  for (let number = 1; ; number += 1) yield actOf(seed, number);
}

function someFault(random: Random): Fault {
  let left = random(WEIGHTS);
  for (const kind of FAULT_KINDS) {
    const [weight, make] = FAULTS[kind];
    left -= weight;
    if (left < 0) return make(random);
  }
  throw new Error('the weights do not add up');
}

function comeback(random: Random): Comeback {
  const killedStarts = random(4) === 0 ? [killedStart(random), killedStart(random)] : [];
  return { how: random(2) === 0 ? 'start' : 'recover', killedStarts };
}

function killedStart(random: Random): number | Moment {
  return random(3) === 0 ? 100 + random(500) : moment(random, POINTS);
}

/** What comes by with every commit may come by more often before. */
function moment(random: Random, points: readonly string[]): Moment {
  const point = points[random(points.length)] ?? '';
  const isOften = /-(log|journal)-(write|fsync)$/.test(point);
  return { point, after: isOften ? random(1 + random(12)) : 0 };
}

function hang(random: Random): Of<'hang'> {
  if (random(25) === 0) return { kind: 'hang', ms: LONG_HANG_MS, comeback: null };
  const isKilled = random(2) === 0;
  return { kind: 'hang', ms: 20 + random(800), comeback: isKilled ? comeback(random) : null };
}

function failedSync(random: Random): Of<'failed-sync'> {
  return {
    kind: 'failed-sync',
    place: pick(random, ['log', 'log', 'journal', 'directory', 'catalog', 'spare']),
    after: random(4),
    losesPower: random(2) === 0,
    comeback: comeback(random),
  };
}

function failedWrites(random: Random): Of<'failed-writes'> {
  return {
    kind: 'failed-writes',
    place: pick(random, ['log', 'log', 'journal', 'journal', 'spare', 'catalog']),
    code: pick(random, ['ENOSPC', 'ENOSPC', 'EDQUOT', 'EFBIG', 'EIO']),
    after: random(6),
    short: random(2) === 0 ? null : 1 + random(300),
    ms: 50 + random(900),
    comeback: random(3) === 0 ? comeback(random) : null,
  };
}

function slowSync(random: Random): Of<'slow-sync'> {
  return { kind: 'slow-sync', delayMs: pick(random, [2, 200]), ms: 200 + random(2_000) };
}

function foreignClash(random: Random): Of<'foreign-clash'> {
  const killedAt = random(2) === 0 ? moment(random, REPAIR_POINTS) : null;
  return { kind: 'foreign-clash', killedAt, comeback: comeback(random) };
}

function tornLog(random: Random): Of<'torn-log'> {
  return {
    kind: 'torn-log',
    with: pick(random, ['noise', 'head', 'old-frame']),
    bytes: 1 + random(5_000),
    comeback: comeback(random),
  };
}

function tornJournal(random: Random): Of<'torn-journal'> {
  return {
    kind: 'torn-journal',
    nth: random(1_000),
    share: random(1_000) / 1_000,
    how: pick(random, ['cut', 'zeros']),
    comeback: comeback(random),
  };
}

function damage(random: Random): Of<'damage'> {
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
