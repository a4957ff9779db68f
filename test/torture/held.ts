/** What a stream holds, as a page or its files show it, against what is known of its events. Pure. */
import type { Ledger } from './ledger.js';
import { isRemoved, isRenumbered, mayHaveGaps } from './streams.js';

/** An event as it is held. */
export interface HeldRow {
  readonly id: string;
  /** 0 for a line of another program that has none. */
  readonly seq: number;
  readonly checksum: number;
  readonly run: string | null;
  readonly type: string;
  /** The turn, and the stream id by which it was found. */
  readonly turn: string | null;
  readonly by: string | null;
  /** When it was stamped, in seconds since 1970; null for a line of another program. */
  readonly stamp: number | null;
}

export interface HeldStream {
  readonly stream: string;
  /** 0 where it was not told. */
  readonly generation: number;
  /** In seq order; in file order where another program's lines have no seq. */
  readonly rows: readonly HeldRow[];
}

/** What must be there, and what must not, whatever else happens from now on. */
export interface Due {
  readonly there: readonly string[];
  readonly gone: readonly string[];
}

/** To be asked before anything is read. */
export function dueNow(ledger: Ledger): Due {
  const there: string[] = [];
  const gone: string[] = [];
  for (const [id, facts] of ledger.events) {
    if (ledger.isDeleted(facts)) gone.push(id);
    else if (facts.isSeen || facts.acknowledgedAt !== null) there.push(id);
  }
  return { there, gone };
}

/** What was read, and by whom. */
export interface Look {
  readonly by: string;
  readonly held: readonly HeldStream[];
  readonly due: Due;
  /** Whether all streams are in it, at one instant. */
  readonly isWhole: boolean;
}

/** Compares what is held with what is known; the requests of all that is held are known. */
export function checkHeld(ledger: Ledger, look: Look): void {
  const there = new Map<string, HeldRow>();
  for (const one of look.held) {
    checkStream(ledger, one, look.by);
    for (const row of one.rows) {
      if (there.has(row.id)) ledger.find('once', `${look.by} has ${row.id} twice`);
      there.set(row.id, row);
    }
  }
  const isRead = new Set(look.held.map(({ stream }) => stream));
  for (const id of look.due.there) {
    const facts = ledger.events.get(id);
    if (facts === undefined || there.has(id) || ledger.mayBeDeleted(facts)) continue;
    if (!isRead.has(facts.wanted.stream) && !look.isWhole) continue;
    const why = facts.acknowledgedAt === null ? 'was told of' : 'was acknowledged';
    ledger.find('lost', `${look.by} lacks ${id} of ${facts.wanted.stream}, which ${why}`);
  }
  for (const id of look.due.gone) {
    if (there.has(id)) ledger.find('deleted', `${look.by} has ${id}, which was deleted`);
  }
  checkBatches(ledger, look, there, isRead);
}

function checkStream(ledger: Ledger, { stream, generation, rows }: HeldStream, by: string): void {
  for (const { id, seq, checksum, run } of rows) {
    ledger.see({ id, seq, checksum, generation, position: 0 }, stream, by);
    const wanted = ledger.events.get(id)?.wanted;
    if (wanted !== undefined && wanted.run !== run)
      ledger.find('place', `${by} has ${id} in run ${run}, it belongs to ${wanted.run}`);
  }
  if (rows.every(({ seq }) => seq > 0) && !isRenumbered(stream)) {
    checkSeqs(ledger, { stream, generation: generation || lifeOf(ledger, rows), rows }, by);
    checkOrder(ledger, rows, `${by}, ${stream}`);
    checkStamps(ledger, rows, `${by}, ${stream}`);
  }
  checkOnce(ledger, rows, `${by}, ${stream}`);
  checkTurns(ledger, rows, `${by}, ${stream}`);
}

/** The life that the rows are of, where anybody was told. */
function lifeOf(ledger: Ledger, rows: readonly HeldRow[]): number {
  for (const { id } of rows) {
    const generation = ledger.events.get(id)?.place?.generation ?? 0;
    if (generation > 0) return generation;
  }
  return 0;
}

function checkSeqs(ledger: Ledger, { stream, generation, rows }: HeldStream, by: string): void {
  let before = 0;
  for (const { id, seq } of rows) {
    if (seq <= before)
      ledger.find('dense', `${by} has seq ${seq} (${id}) behind ${before} in ${stream}`);
    for (let missing = before + 1; missing < seq; missing += 1) {
      checkGap(ledger, { stream, generation, missing }, by);
    }
    before = Math.max(before, seq);
  }
}

function checkGap(
  ledger: Ledger,
  { stream, generation, missing }: { stream: string; generation: number; missing: number },
  by: string,
): void {
  if (isRemoved(stream)) return;
  const id = ledger.eventAt(stream, generation, missing);
  const facts = id === undefined ? undefined : ledger.events.get(id);
  const isExplained = facts === undefined || ledger.mayBeDeleted(facts);
  if (mayHaveGaps(stream) && ledger.deletions.has(stream) && isExplained) return;
  ledger.find(
    'dense',
    `${by} lacks seq ${missing} (${id ?? 'nobody was told of it'}) in ${stream}`,
  );
}

/** What a client asked for first comes first, unless it was asked for again. */
function checkOrder(ledger: Ledger, rows: readonly HeldRow[], by: string): void {
  const last = new Map<string, readonly [number: number, index: number, id: string]>();
  for (const { id } of rows) {
    const facts = ledger.events.get(id);
    const [first] = facts?.asked ?? [];
    if (facts === undefined || first === undefined || facts.asked.length > 1) continue;
    const { client: name, number, events, operation } = first.request;
    const index = events.indexOf(facts.wanted);
    // Other programs run beside one another.
    const client = operation === 'foreign' ? `${name} ${number}` : name;
    const [beforeNumber, beforeIndex, beforeId] = last.get(client) ?? [0, -1, ''];
    if (number < beforeNumber || (number === beforeNumber && index <= beforeIndex))
      ledger.find('order', `${by} has ${id} behind ${beforeId}`);
    last.set(client, [number, index, id]);
  }
}

/** The daemon's stamps never go back, whatever its clock does. */
function checkStamps(ledger: Ledger, rows: readonly HeldRow[], by: string): void {
  let before = 0;
  for (const { id, stamp } of rows) {
    if (stamp === null) continue;
    if (stamp < before) ledger.find('stamp', `${by} has ${id} stamped ${stamp}, behind ${before}`);
    before = Math.max(before, stamp);
  }
}

/** `putIfAbsent` makes one event of its type in a run. */
function checkOnce(ledger: Ledger, rows: readonly HeldRow[], by: string): void {
  const made = new Map<string, string>();
  for (const { id, run, type } of rows) {
    if (type !== 'once') continue;
    const other = made.get(run ?? '');
    if (other !== undefined)
      ledger.find('absent', `${by} has ${id} and ${other} in run ${run}, one at most was absent`);
    made.set(run ?? '', id);
  }
}

/** What was appended by one stream id is one turn, and a turn that was to end once ended once. */
function checkTurns(ledger: Ledger, rows: readonly HeldRow[], by: string): void {
  const turns = new Map<string, string>();
  const ends = new Map<string, string>();
  for (const { id, turn, by: streamId, type } of rows) {
    if (streamId !== null && turn !== null) {
      const known = turns.get(streamId) ?? turn;
      turns.set(streamId, known);
      if (known !== turn)
        ledger.find('turn', `${by} has ${id} of ${streamId} in the turn ${turn}, not ${known}`);
    }
    if (type !== 'completed' || turn === null) continue;
    const other = ends.get(turn);
    if (other !== undefined) ledger.find('terminal', `${by} ends ${turn} by ${other} and by ${id}`);
    ends.set(turn, id);
  }
}

function checkBatches(
  ledger: Ledger,
  { by, isWhole }: Look,
  there: ReadonlyMap<string, HeldRow>,
  isRead: ReadonlySet<string>,
): void {
  for (const [id, facts] of ledger.events) {
    const events = facts.asked[0]?.request.events ?? [];
    // Looked at once a batch, from its first event that is there.
    if (events.length < 2 || !there.has(id)) continue;
    if (events.find((one) => there.has(one.id)) !== facts.wanted) continue;
    for (const one of events) {
      const other = ledger.events.get(one.id);
      if (there.has(one.id) || other === undefined || ledger.mayBeDeleted(other)) continue;
      const isComparable = isWhole || (isRead.size === 1 && isRead.has(one.stream));
      if (isComparable) ledger.find('batch', `${by} has ${id} without ${one.id} of its batch`);
    }
  }
}
