/** What the fault shim is told, and its form in the control file (see `fault-shim.c`). */
import { constants } from 'node:os';

/** A kind of system call: `write` is each of its variants, `create` an open with O_CREAT. */
export type Call =
  | 'write'
  | 'fsync'
  | 'fdatasync'
  | 'create'
  | 'rename'
  | 'unlink'
  | 'truncate'
  | 'mkdir';

const CALLS: Record<Call, number> = {
  write: 1 << 0,
  fsync: 1 << 1,
  fdatasync: 1 << 2,
  create: 1 << 3,
  rename: 1 << 4,
  unlink: 1 << 5,
  truncate: 1 << 6,
  mkdir: 1 << 7,
};

const SYNCS: ReadonlySet<Call> = new Set(['fsync', 'fdatasync']);

const ENDS = { none: 0, 'kill before': 1, 'kill after': 2, hold: 3, lie: 4 } as const;

/** What becomes of a call that a rule meets. */
export type Effect =
  /** Nothing: the rule counts. */
  | { readonly kind: 'count' }
  /** It is not made and fails. A failed fsync leaves the page cache as it is. */
  | { readonly kind: 'error'; readonly code: 'EIO' | 'ENOSPC' | 'EDQUOT' | 'EFBIG' }
  /** A sync is not made and says that it was: what it was to keep is in the page cache alone. */
  | { readonly kind: 'lie' }
  /**
   * A write takes at most so many bytes, with a negative number all but so many, and says so. Node then writes the rest by itself and
   * returns a short count only if that fails: add a rule for it, as a full disk would.
   */
  | { readonly kind: 'short'; readonly bytes: number }
  /** It is made after that time. */
  | { readonly kind: 'delay'; readonly ms: number }
  /** It waits until other rules are set, and is then judged by them. */
  | { readonly kind: 'hold' }
  /** The process dies of SIGKILL before or after it; a write may have taken so many bytes. */
  | { readonly kind: 'kill'; readonly when: 'before' | 'after'; readonly bytes?: number };

/** Which calls are met, and how. */
export interface Rule {
  readonly calls: readonly Call[];
  /**
   * Globs over whole absolute paths, any of which may fit; `*` stands for slashes too. The path of
   * a folder ends with a slash. A rename is met by either of its paths.
   */
  readonly paths: readonly string[];
  /** So many matches pass by before the rule meets one; 0 unless given. */
  readonly after?: number;
  /** So many are met; all unless given. */
  readonly times?: number;
  readonly effect: Effect;
}

export const RULES_MAX = 64;
export const RULE_BYTES = 512;
/** Where in a rule the shim counts its matches. */
export const MATCHES_AT = 40;
const PATTERNS_AT = 48;
const PATTERNS_MAX = 4;
const PATTERN_BYTES = 116;
const ALL = 2n ** 64n - 1n;
const NS_PER_MS = 1e6;

/** A rule as the shim reads it. */
export function encodeRule(rule: Rule): Buffer {
  const { effect, paths, calls } = rule;
  if (effect.kind === 'lie' && calls.some((call) => !SYNCS.has(call))) {
    throw new RangeError(`only syncs lie, not ${calls.join(', ')}`);
  }
  const bytes = Buffer.alloc(RULE_BYTES);
  bytes.writeUInt32LE(
    calls.reduce((mask, call) => mask | CALLS[call], 0),
    0,
  );
  bytes.writeUInt32LE(effect.kind === 'error' ? constants.errno[effect.code] : 0, 4);
  bytes.writeUInt32LE(ENDS[endOf(effect)], 8);
  bytes.writeInt32LE('bytes' in effect ? checkedBytes(effect.bytes) : 0, 12);
  bytes.writeBigUInt64LE(
    effect.kind === 'delay' ? BigInt(Math.round(effect.ms * NS_PER_MS)) : 0n,
    16,
  );
  bytes.writeBigUInt64LE(BigInt(rule.after ?? 0), 24);
  bytes.writeBigUInt64LE(rule.times === undefined ? ALL : BigInt(rule.times), 32);
  if (paths.length === 0 || paths.length > PATTERNS_MAX) {
    throw new RangeError(`a rule has 1 to ${PATTERNS_MAX} paths, not ${paths.length}`);
  }
  for (const [index, path] of paths.entries()) {
    const written = Buffer.from(path);
    if (written.length === 0 || written.length >= PATTERN_BYTES) {
      throw new RangeError(`a path of a rule has 1 to ${PATTERN_BYTES - 1} bytes: ${path}`);
    }
    written.copy(bytes, PATTERNS_AT + index * PATTERN_BYTES);
  }
  return bytes;
}

/** How often a rule was met, from how often it matched. */
export function hitsOf(rule: Rule, matches: number): number {
  return Math.min(Math.max(matches - (rule.after ?? 0), 0), rule.times ?? Infinity);
}

function endOf(effect: Effect): keyof typeof ENDS {
  if (effect.kind === 'kill') return `kill ${effect.when}`;
  return effect.kind === 'hold' || effect.kind === 'lie' ? effect.kind : 'none';
}

/** Nothing is what the shim takes for all of it. */
function checkedBytes(bytes: number): number {
  if (!Number.isInteger(bytes) || bytes === 0) throw new RangeError(`a write of ${bytes} bytes`);
  return bytes;
}
