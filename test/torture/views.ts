/** What a subscriber was told, from its beginning to the end, over all its resumptions. Pure. */
import type { Told } from '../support/follower.process.js';
import type { Ledger } from './ledger.js';
import { isForeign, isRemoved, isRenumbered, mayHaveGaps } from './streams.js';

const EXPIRED = 'POSITION_EXPIRED';

export interface View {
  readonly name: string;
  /** `turns/<session>`, `runs/<thread>`, or null for everything. */
  readonly stream: string | null;
  readonly runId?: string;
  readonly eventTypes?: readonly string[];
  readonly told: readonly Told[];
}

/** Takes in where the subscriber saw events; to be called as they come. */
export function seeTold(ledger: Ledger, view: View, told: readonly Told[]): void {
  for (const entry of told) {
    if (entry.kind !== 'event') continue;
    const { content, stream, generation, seq, checksum, at } = entry;
    const position = view.stream === null ? Number(at) : 0;
    const row = { id: String(content), generation, seq, checksum, position };
    ledger.see(row, stream, view.name);
  }
}

/** Each event once, in order, without a gap that nothing explains. */
export function checkView(ledger: Ledger, view: View): void {
  if (view.stream === null) checkPositions(ledger, view);
  const lives = new Map<string, { generation: number; seq: number }>();
  let hasMissed = false;
  for (const entry of view.told) {
    if (entry.kind === 'ended') {
      // What the log no longer held was missed, and its subscriber was told so.
      if (entry.code === EXPIRED) {
        lives.clear();
        hasMissed = true;
      }
      continue;
    }
    const { stream, generation, seq } = entry;
    if (isRenumbered(stream)) continue;
    const before = lives.get(stream) ?? (hasMissed ? { generation, seq: seq - 1 } : undefined);
    const isSameLife = before?.generation === generation;
    if (before !== undefined && before.generation > generation)
      ledger.find('view', `${view.name} goes back to the life ${generation} of ${stream}`);
    if (isSameLife && seq <= before.seq)
      ledger.find('view', `${view.name} has seq ${seq} behind ${before.seq} of ${stream}`);
    const from = isSameLife ? before.seq : 0;
    for (let missing = from + 1; missing < seq; missing += 1)
      checkMissing(ledger, view, { stream, generation, seq: missing });
    lives.set(stream, { generation, seq });
  }
}

/** What the subscriber did not get, although a later event of the same life came. */
function checkMissing(
  ledger: Ledger,
  { name, stream: followed, runId, eventTypes }: View,
  place: { readonly stream: string; readonly generation: number; readonly seq: number },
): void {
  const { stream, generation, seq } = place;
  // The log of everything has what was taken in without a position by others alone.
  if (isRemoved(stream) || (followed === null && isForeign(stream))) return;
  const id = ledger.eventAt(stream, generation, seq);
  const facts = id === undefined ? undefined : ledger.events.get(id);
  const wanted = facts?.wanted;
  if (wanted !== undefined && runId !== undefined && wanted.run !== runId) return;
  if (wanted !== undefined && eventTypes?.includes(wanted.type) === false) return;
  const isFiltered = runId !== undefined || eventTypes !== undefined;
  if (facts === undefined && (isFiltered || (followed !== null && mayHaveGaps(stream)))) return;
  // A page is read from the files, where a deleted run is no more; the log has it still.
  if (facts !== undefined && followed !== null && ledger.mayBeDeleted(facts)) return;
  ledger.find('view', `${name} lacks seq ${seq} of ${stream} (${id ?? 'nobody was told of it'})`);
}

/** Everything, in the order in which it was committed, and all that was acknowledged. */
function checkPositions(ledger: Ledger, view: View): void {
  let before = 0;
  let hasMissed = false;
  const seen = new Set<unknown>();
  for (const { at, ...entry } of view.told) {
    const position = Number(at);
    if (entry.kind === 'ended' && entry.code === EXPIRED) hasMissed = true;
    else if (position <= before)
      ledger.find('view', `${view.name} has position ${position} behind ${before}`);
    before = position;
    if (entry.kind === 'event') seen.add(entry.content);
  }
  if (hasMissed) return;
  for (const [id, { acknowledgedAt, place }] of ledger.events) {
    if (acknowledgedAt === null || !place?.position || seen.has(id)) continue;
    ledger.find('view', `${view.name} lacks ${id}, which was acknowledged at ${place.position}`);
  }
  checkCounts(ledger, view);
}

/** Deletions tell how many events they took. */
function checkCounts(ledger: Ledger, view: View): void {
  const held = new Map<string, string[]>();
  const taken = new Map<string, number[]>();
  for (const { stream, run, ...entry } of view.told) {
    if (entry.kind === 'event') {
      held.set(stream, [...(held.get(stream) ?? []), run ?? '']);
      continue;
    }
    const all = held.get(stream) ?? [];
    const left = run === null ? [] : all.filter((one) => one !== run);
    held.set(stream, left);
    const target = `${stream} ${run ?? ''}`;
    taken.set(target, [...(taken.get(target) ?? []), all.length - left.length]);
  }
  for (const [stream, asked] of ledger.deletions) {
    if (isRemoved(stream)) continue;
    for (const { request, answer } of asked) {
      const count = answer?.count ?? 0;
      if (answer?.outcome !== 'acknowledged' || count === 0) continue;
      const counts = taken.get(`${stream} ${request.run ?? ''}`) ?? [];
      const at = counts.indexOf(count);
      if (at === -1)
        ledger.find('count', `${request.client} ${request.number} deleted ${count} of ${stream}`);
      else counts.splice(at, 1);
    }
  }
}
