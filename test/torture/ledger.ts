/**
 * What is known of each event: who asked for it, what was answered, where it was seen. Pure.
 *
 * One event has one place and one place has one event, whoever told of it: an answer, a page, a
 * subscriber, a file, before or after any crash.
 */
import type { Answer, HistoryRecord, Place, Request, Row, Wanted } from './history.js';
import { isForeign, isRemoved, isRenumbered } from './streams.js';

/** The rules, in the order of the table in docs/torture.md. */
export const RULES = [
  'lost',
  'deleted',
  'outcome',
  'submitted',
  'once',
  'place',
  'dense',
  'batch',
  'order',
  'visible',
  'view',
  'count',
  'answer',
  'expected',
  'absent',
  'turn',
  'terminal',
  'states',
  'stamp',
  'code',
  'malformed',
  'damage',
  'start',
  'exit',
  'recover',
  'health',
  'repair',
  'verify',
  'process',
  'driver',
  'time',
] as const;

export type Rule = (typeof RULES)[number];

/** A rule that was broken, and how. */
export interface Finding {
  readonly rule: Rule;
  readonly detail: string;
}

/** A request and its answer, if there is one. */
export interface Asked {
  readonly request: Request;
  answer: Answer | null;
}

/** All that is known of one event. */
export interface EventFacts {
  readonly wanted: Wanted;
  /** Every request for it: more than one if it was asked for again. */
  readonly asked: Asked[];
  place: Place | null;
  /** When it was first acknowledged; null if it never was. */
  acknowledgedAt: number | null;
  /** Whether it was seen in any way. */
  isSeen: boolean;
  /** Whether the daemon told of it: then it is durable. */
  isServed: boolean;
}

/** Codes that a caller may meet under these faults; `STORAGE_…` only where the disk fails. */
const CODES: ReadonlySet<string> = new Set([
  'TIMEOUT',
  'ABORTED',
  'SEQUENCE_CONFLICT',
  'TURN_TERMINAL',
  'CLIENT_CLOSED',
]);
const DISK_CODES: ReadonlySet<string> = new Set(['STORAGE_FULL', 'STORAGE_FAILED']);

export class Ledger {
  readonly events: Map<string, EventFacts> = new Map();
  readonly findings: Finding[] = [];
  /** Deletions and removals, by stream. */
  readonly deletions: Map<string, Asked[]> = new Map();
  readonly counts: Record<'requests' | 'acknowledged' | 'refused' | 'unknown' | 'reads', number> = {
    requests: 0,
    acknowledged: 0,
    refused: 0,
    unknown: 0,
    reads: 0,
  };
  /** Whether the disk has refused anything, so that callers may be told. */
  hasDiskFaults = false;
  readonly #asked = new Map<string, Asked>();
  /** The event of each place. */
  readonly #places = new Map<string, string>();
  readonly #generations = new Map<string, number>();

  find(rule: Rule, detail: string): void {
    this.findings.push({ rule, detail });
  }

  /** Takes records of the journals in; each request comes before all that tells of its events. */
  take(records: readonly HistoryRecord[]): void {
    for (const record of records) if (record.kind === 'request') this.#takeRequest(record);
    for (const record of records) if (record.kind === 'answer') this.#takeAnswer(record);
  }

  /** How many requests were answered. */
  get answered(): number {
    const { acknowledged, refused, unknown } = this.counts;
    return acknowledged + refused + unknown;
  }

  /** The latest life of a stream that anybody was told of; 0 for none. */
  generationOf(stream: string): number {
    return this.#generations.get(stream) ?? 0;
  }

  /** The id of the event that stands there, as far as anybody was told. */
  eventAt(stream: string, generation: number, seq: number): string | undefined {
    return this.#places.get(`${stream} ${generation} ${seq}`);
  }

  /** Takes in where an event was seen. `seq` 0: the place has none, as of lines of others. */
  see(row: Row, stream: string, by: string): void {
    const facts = this.events.get(row.id);
    if (facts === undefined) {
      return this.find('submitted', `${by} has ${row.id} in ${stream}, which nobody asked for`);
    }
    facts.isSeen = true;
    if (row.generation > 0) facts.isServed = true;
    if (facts.wanted.stream !== stream) {
      const { stream: wanted } = facts.wanted;
      return this.find('place', `${by} has ${row.id} in ${stream}, it belongs into ${wanted}`);
    }
    if (isRenumbered(stream)) return;
    this.#samePlace(facts, row, by);
    this.#sameEvent(row, stream, by);
    const known = this.#generations.get(stream) ?? 0;
    if (row.generation > known) this.#generations.set(stream, row.generation);
  }

  /** Whether a deletion may have taken the event. */
  mayBeDeleted({ wanted, asked }: EventFacts): boolean {
    const began = asked[0]?.request.at ?? 0;
    return this.#deletionsOf(wanted).some(
      ({ answer }) => answer?.outcome !== 'not-committed' && endOf(answer) >= began,
    );
  }

  /** Whether a deletion that was asked for after the event was acknowledged is done. */
  isDeleted({ wanted, acknowledgedAt }: EventFacts): boolean {
    if (acknowledgedAt === null) return false;
    return this.#deletionsOf(wanted).some(
      ({ request, answer }) =>
        request.operation === 'delete' &&
        answer?.outcome === 'acknowledged' &&
        request.at > acknowledgedAt,
    );
  }

  /** What a power cut may take: lines of others that the daemon never told of. */
  powerLost(): void {
    for (const facts of this.events.values()) {
      if (facts.asked[0]?.request.operation !== 'foreign' || facts.isServed) continue;
      facts.acknowledgedAt = null;
      facts.isSeen = false;
    }
  }

  /** Events that were seen or acknowledged though every request for them was refused. */
  checkOutcomes(): void {
    for (const [id, { asked, isSeen }] of this.events) {
      if (!isSeen) continue;
      if (asked.every(({ request, answer }) => answer !== null && isRefusal(request, answer)))
        this.find('outcome', `${id} is there, but was answered not-committed`);
    }
  }

  #deletionsOf({ stream, run }: Wanted): Asked[] {
    const all = this.deletions.get(stream) ?? [];
    return all.filter(({ request }) => (request.run ?? null) === null || request.run === run);
  }

  #takeRequest(request: Request): void {
    const asked: Asked = { request, answer: null };
    this.#asked.set(`${request.client} ${request.number}`, asked);
    this.counts.requests += 1;
    for (const wanted of request.events) {
      const facts = this.events.get(wanted.id);
      if (facts !== undefined) facts.asked.push(asked);
      else {
        this.events.set(wanted.id, {
          wanted,
          asked: [asked],
          place: null,
          acknowledgedAt: null,
          isSeen: false,
          isServed: false,
        });
      }
    }
    const { operation, stream = '' } = request;
    if (operation === 'delete' || operation === 'remove') {
      const before = this.deletions.get(stream);
      if (before === undefined) this.deletions.set(stream, [asked]);
      else before.push(asked);
    }
  }

  #takeAnswer(answer: Answer): void {
    const asked = this.#asked.get(`${answer.client} ${answer.number}`);
    if (asked === undefined) throw new Error(`${answer.client} ${answer.number} was never asked`);
    asked.answer = answer;
    const { request } = asked;
    if (answer.outcome === 'acknowledged') {
      this.counts.acknowledged += 1;
      this.#acknowledged(request, answer);
    } else {
      this.counts[answer.outcome === 'unknown' ? 'unknown' : 'refused'] += 1;
      this.#checkCode(request, answer);
      const stream = request.events[0]?.stream ?? '';
      const name = `the refusal of ${request.client} ${request.number}`;
      for (const row of answer.rows ?? []) this.see(row, stream, name);
    }
  }

  #checkCode(request: Request, { code = '', message }: Answer): void {
    const { client, number, operation, events, stream = '' } = request;
    if (operation === 'remove' || operation === 'foreign') return;
    // A page of files that another program removes meanwhile is to be asked for again.
    if (operation === 'read' && isRemoved(stream) && code === 'STORAGE_FAILED') return;
    if (CODES.has(code) || (this.hasDiskFaults && DISK_CODES.has(code))) return;
    if (
      code === 'STREAM_FENCED' &&
      events.some(({ stream }) => isRemoved(stream) || isRenumbered(stream))
    )
      return;
    this.find('code', `${client} ${number} was answered ${code}: ${message}`);
  }

  #acknowledged(request: Request, answer: Answer): void {
    const name = `the answer to ${request.client} ${request.number}`;
    const rows = answer.rows ?? [];
    if (request.operation === 'read') return this.#checkRead(request, answer, name);
    if (request.operation === 'delete' || request.operation === 'remove') return;
    if (request.operation === 'absent' && answer.created === false) {
      return this.#checkFound(request, rows, name);
    }
    for (const [index, { id }] of request.events.entries()) {
      const facts = this.events.get(id);
      if (facts === undefined) continue;
      facts.acknowledgedAt ??= answer.at;
      const row = rows[index];
      if (row === undefined) {
        if (request.operation !== 'foreign') this.find('answer', `${name} lacks ${id}`);
      } else if (row.id !== id && row.checksum !== null) {
        this.find('answer', `${name} has ${row.id} in place of ${id}`);
      } else this.see({ ...row, id }, facts.wanted.stream, name);
    }
    this.#checkPositions(request, answer, name);
    const first = rows[0];
    if (
      request.expectedSeq !== undefined &&
      first !== undefined &&
      answer.duplicate !== true &&
      first.seq !== request.expectedSeq + 1
    ) {
      this.find('expected', `${name} is seq ${first.seq}, but ${request.expectedSeq} was expected`);
    }
  }

  /** The events of one batch are committed together. */
  #checkPositions(request: Request, { rows = [], duplicate }: Answer, name: string): void {
    const [first] = rows;
    if (first === undefined || first.position === 0 || duplicate === true) return;
    const isOne = rows.every(({ position }, index) => position === first.position + index);
    if (!isOne) {
      const positions = rows.map(({ position }) => position).join();
      this.find('batch', `${name} (${request.operation}) has the positions ${positions}`);
    }
  }

  /** What `putIfAbsent` found is an event of that run and type. */
  #checkFound({ events }: Request, [row]: readonly Row[], name: string): void {
    const [wanted] = events;
    const found = row === undefined ? undefined : this.events.get(row.id);
    if (wanted === undefined || row === undefined) return;
    if (found === undefined)
      return this.find('submitted', `${name} has ${row.id}, which nobody asked for`);
    const { stream, run, type } = found.wanted;
    if (stream !== wanted.stream || run !== wanted.run || type !== wanted.type) {
      this.find('absent', `${name} is ${row.id}, which is another run's or of another type`);
    }
    this.see({ ...row, position: 0 }, stream, name);
  }

  /** A page is a part of the stream without a gap, and what was acknowledged before is in it. */
  #checkRead(request: Request, answer: Answer, name: string): void {
    const { stream = '', afterSeq = 0, limit = 1 } = request;
    const { rows = [], generation = 0 } = answer;
    this.counts.reads += 1;
    for (const row of rows) this.see({ ...row, position: 0 }, stream, name);
    if (rows.length === 0 || isRemoved(stream)) return;
    const wrong = rows.findIndex(({ seq }, index) => seq !== afterSeq + 1 + index);
    if (wrong !== -1 && !isForeign(stream)) {
      this.find('dense', `${name} has seq ${rows[wrong]?.seq} for ${afterSeq + 1 + wrong}`);
    }
    if (rows.length >= limit) return;
    const next = this.eventAt(stream, generation, afterSeq + rows.length + 1);
    const facts = next === undefined ? undefined : this.events.get(next);
    const at = facts?.acknowledgedAt ?? null;
    if (facts !== undefined && at !== null && at < request.at && !this.mayBeDeleted(facts)) {
      this.find('visible', `${name} lacks ${next}, which was acknowledged before`);
    }
  }

  #samePlace(facts: EventFacts, row: Row, by: string): void {
    const { place } = facts;
    if (place === null) {
      facts.place = row;
      return;
    }
    for (const key of ['generation', 'seq', 'position', 'checksum'] as const) {
      const [was, is] = [place[key], row[key]];
      if (!was || !is || was === is) continue;
      this.find('place', `${by} has ${row.id} with ${key} ${is}, it was ${was}`);
    }
    facts.place = {
      generation: place.generation || row.generation,
      seq: place.seq || row.seq,
      position: place.position || row.position,
      checksum: place.checksum ?? row.checksum,
    };
  }

  #sameEvent({ id, generation, seq }: Row, stream: string, by: string): void {
    if (generation === 0 || seq === 0) return;
    const place = `${stream} ${generation} ${seq}`;
    const other = this.#places.get(place);
    if (other === undefined) this.#places.set(place, id);
    else if (other !== id) this.find('place', `${by} has ${id} at ${place}, where ${other} was`);
  }
}

/** Whether the answer says that the request wrote nothing. */
function isRefusal({ operation }: Request, { outcome, created }: Answer): boolean {
  return outcome === 'not-committed' || (operation === 'absent' && created === false);
}

/** When an answer came; what nobody knows of may still be done. */
function endOf(answer: Answer | null): number {
  if (answer === null || answer.outcome === 'unknown') return Number.POSITIVE_INFINITY;
  return answer.at;
}
