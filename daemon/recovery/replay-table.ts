/**
 * How the end of a journal file is made to hold the lines that the commit log has for it. Pure:
 * from what lies behind the last checkpoint and what the log expects there, to a plan.
 *
 * @module
 */
const LF = 0x0a;

/** What is found of the lines that are due. */
export interface TailState {
  /** `ours`: nothing but our own bytes, as far as they came, zeros in place of some. `mixed`: others' too. */
  readonly content: 'ours' | 'mixed';
  /** How the file ends. */
  readonly end: 'line' | 'half-of-ours' | 'torn';
}

export type TailAction =
  | 'write-in-place'
  | 'append-missing'
  | 'cut-and-append'
  | 'fence-and-append';

/** The decision table for the end of a file. Each row's name is a test's. */
export const TAIL_TABLE: readonly (TailState & {
  readonly name: string;
  readonly action: TailAction;
})[] = [
  {
    name: 'own lines, whole or missing: written again at their place',
    content: 'ours',
    end: 'line',
    action: 'write-in-place',
  },
  {
    name: 'an own half-written or zeroed end: kept aside, written again at its place',
    content: 'ours',
    end: 'half-of-ours',
    action: 'write-in-place',
  },
  {
    name: 'foreign lines among ours: they stay, what is missing is appended',
    content: 'mixed',
    end: 'line',
    action: 'append-missing',
  },
  {
    name: 'foreign lines and an own half-written end: kept aside, cut, what is missing is appended',
    content: 'mixed',
    end: 'half-of-ours',
    action: 'cut-and-append',
  },
  {
    name: 'foreign lines and a foreign torn end: it stays, fenced off, what is missing is appended',
    content: 'mixed',
    end: 'torn',
    action: 'fence-and-append',
  },
];

/** The end of a file and what the log expects in it. */
export interface Tail {
  /** What lies behind the checkpointed length. */
  readonly bytes: Buffer;
  /** Whether the byte before it is an LF, or it is the file's start. */
  readonly afterLf: boolean;
  /** The lines that are due, without LF, in seq order. */
  readonly due: readonly Buffer[];
}

/** What is to be done; offsets count from the tail's start. */
export interface TailPlan {
  readonly row: string;
  /** Where our own lines lie that are there already: they are written again, for only the cache may hold them. */
  readonly rewrite: readonly { readonly at: number; readonly bytes: Buffer }[];
  /** What is kept aside before it is cut or overwritten, or null. */
  readonly keepAside: Buffer | null;
  /** Where the file is cut, or null. */
  readonly cutAt: number | null;
  /** What is written at the end, or null. */
  readonly append: Buffer | null;
  /** Where each due line lies in the end. */
  readonly places: readonly number[];
}

/** Plans the end of a file. */
export function planTail(tail: Tail): TailPlan {
  const inPlace = planInPlace(tail);
  return inPlace ?? planAround(tail);
}

/** Our own bytes only, as far as they came: everything due is written at its place. */
function planInPlace(tail: Tail): TailPlan | null {
  const { bytes, afterLf, due } = tail;
  if (due.length === 0) return null;
  const fence = Buffer.alloc(afterLf ? 0 : 1, LF);
  const whole = Buffer.concat([fence, ...due.map(withLf)]);
  let zeroed = false;
  for (let at = 0; at < Math.min(whole.length, bytes.length); at += 1) {
    if (bytes[at] === whole[at]) continue;
    // Our lines hold no zeros: one in their place was never written.
    if (bytes[at] !== 0) return null;
    zeroed = true;
  }
  const isLonger = bytes.length > whole.length;
  // What lies behind all that is due is no line of ours; it has to be looked at.
  if (isLonger && !(zeroed && lengthWithoutZeros(bytes) <= whole.length)) return null;
  const isCut = bytes.length > 0 && bytes.length < whole.length && bytes.at(-1) !== LF;
  const isDamaged = zeroed || isCut;
  return {
    row: rowFor({ content: 'ours', end: isDamaged ? 'half-of-ours' : 'line' }).name,
    rewrite: [{ at: 0, bytes: whole }],
    keepAside: isDamaged ? bytes : null,
    cutAt: isLonger ? whole.length : null,
    append: null,
    places: placesFrom(fence.length, due),
  };
}

function placesFrom(start: number, lines: readonly Buffer[]): number[] {
  let at = start;
  return lines.map((line) => {
    const place = at;
    at += line.length + 1;
    return place;
  });
}

/** Others wrote too: ours are looked for line by line, what is missing goes to the end. */
function planAround({ bytes, afterLf, due }: Tail): TailPlan {
  const wanted = new Map<string, number[]>();
  for (const [index, line] of due.entries()) {
    const key = line.toString('latin1');
    const list = wanted.get(key);
    if (list === undefined) wanted.set(key, [index]);
    else list.push(index);
  }
  const places: (number | undefined)[] = due.map(() => undefined);
  const rewrite: { at: number; bytes: Buffer }[] = [];
  let start = 0;
  let end = bytes.length;
  for (;;) {
    const lf = bytes.indexOf(LF, start);
    const line = bytes.subarray(start, lf === -1 ? bytes.length : lf);
    // What goes on a line that stands before the tail is no line of its own.
    const isLine = start > 0 || afterLf;
    const index = isLine ? wanted.get(line.toString('latin1'))?.shift() : undefined;
    if (index !== undefined) {
      places[index] = start;
      rewrite.push({ at: start, bytes: withLf(line) });
      if (lf === -1) end = bytes.length + 1;
    }
    if (lf === -1) {
      const missing = due.filter((_, at) => places[at] === undefined);
      const plan = finish({
        rest: index === undefined ? line : Buffer.alloc(0),
        missing,
        afterLf: start > 0 || afterLf,
      });
      return withPlaces(
        { ...plan, rewrite },
        { bytes, due, places, start: index === undefined ? start : end },
      );
    }
    start = lf + 1;
  }
}

interface Finish {
  readonly action: TailAction;
  readonly row: string;
  readonly rest: Buffer;
  readonly afterLf: boolean;
}

/** What to do with an end that is not a whole line. */
function finish(end: {
  readonly rest: Buffer;
  readonly missing: readonly Buffer[];
  readonly afterLf: boolean;
}): Finish {
  const { rest, missing, afterLf } = end;
  const solid = rest.subarray(0, lengthWithoutZeros(rest));
  const isHalf =
    rest.length > 0 &&
    afterLf &&
    missing.some((line) => line.subarray(0, solid.length).equals(solid));
  const state: TailState = {
    content: 'mixed',
    end: rest.length === 0 ? 'line' : isHalf ? 'half-of-ours' : 'torn',
  };
  const row = rowFor(state);
  return { action: row.action, row: row.name, rest, afterLf };
}

function withPlaces(
  plan: Finish & { readonly rewrite: readonly { at: number; bytes: Buffer }[] },
  found: {
    readonly bytes: Buffer;
    readonly due: readonly Buffer[];
    readonly places: (number | undefined)[];
    readonly start: number;
  },
): TailPlan {
  const { bytes, due, places, start } = found;
  const cuts = plan.action === 'cut-and-append';
  const missing = due.flatMap((line, index) =>
    places[index] === undefined ? [{ line, index }] : [],
  );
  const fenced = missing.length > 0 && plan.rest.length > 0 && !cuts;
  const needsLf = fenced || (missing.length > 0 && bytes.length === 0 && !plan.afterLf);
  const end = (cuts ? start : Math.max(bytes.length, start)) + (needsLf ? 1 : 0);
  const appended = placesFrom(
    end,
    missing.map(({ line }) => line),
  );
  for (const [at, { index }] of missing.entries()) places[index] = appended[at];
  const lines = missing.map(({ line }) => withLf(line));
  return {
    row: plan.row,
    rewrite: plan.rewrite,
    keepAside: cuts ? plan.rest : null,
    cutAt: cuts ? start : null,
    append:
      missing.length === 0
        ? null
        : Buffer.concat([needsLf ? Buffer.of(LF) : Buffer.alloc(0), ...lines]),
    places: places.map((place) => place as number),
  };
}

function rowFor(state: TailState): (typeof TAIL_TABLE)[number] {
  const row = TAIL_TABLE.find(({ content, end }) => content === state.content && end === state.end);
  if (row === undefined) throw new Error(`no row for ${JSON.stringify(state)}`);
  return row;
}

function withLf(line: Buffer): Buffer {
  return Buffer.concat([line, Buffer.of(LF)]);
}

function lengthWithoutZeros(bytes: Buffer): number {
  let length = bytes.length;
  while (length > 0 && bytes[length - 1] === 0) length -= 1;
  return length;
}
