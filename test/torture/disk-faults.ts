/** Faults of the disk and of the clock under a running daemon. */
import { setTimeout as delay } from 'node:timers/promises';
import { killAt, PATHS } from '../support/fault-shim/named-points.js';
import type { Rule } from '../support/fault-shim/rules.js';
import { send } from './calls.js';
import type { Of } from './plan.js';
import type { Stage } from './stage.js';

type Done = 'done' | 'skipped';

const IO_ERROR = 74;
const SYNCS = ['fsync', 'fdatasync'] as const;
/** How long a fault may take to be met. */
const MEET_MS = 900;
/** How long a daemon may take to go on by itself. */
const HEAL_MS = 10_000;
const LOOK_MS = 50;

/** Killed at a moment of its work. */
export async function killAtMoment(stage: Stage, { at, comeback }: Of<'kill-at'>): Promise<Done> {
  if (stage.shim === null) return 'skipped';
  const working = stage.workUntilKilled(killAt(at.point, at.after), MEET_MS);
  deleteSome(stage);
  const end = await working;
  if (end === 'running') return 'skipped';
  if (end !== null) stage.ledger.find('exit', `the daemon ended with ${end} at ${at.point}`);
  await stage.comeBack(comeback);
  return 'done';
}

/** An append and a deletion of it, which makes the daemon take a checkpoint. */
function deleteSome(stage: Stage): void {
  const { journal, log } = stage;
  const stream = 'runs/td';
  const id = `end-${journal.nextNumber}-0`;
  const events = [{ id, stream, run: 'r0', type: 'token', padding: 0 }];
  const put = { operation: 'put', events } as const;
  const putting = journal.ask(put, () => send(log, put, {}));
  const deletion = { operation: 'delete', events: [], stream, run: null } as const;
  const deleting = journal.ask(deletion, async () => ({
    count: await log.runs.deleteByThread('td'),
  }));
  stage.goOn(Promise.all([putting, deleting]).then(() => undefined));
}

/** A sync fails once; what was to be kept is never written, though a later sync says so. */
export async function failSync(stage: Stage, fault: Of<'failed-sync'>): Promise<Done> {
  const { shim, disk, ledger } = stage;
  if (shim === null) return 'skipped';
  ledger.hasDiskFaults = true;
  const met = { calls: SYNCS, paths: PATHS[fault.place] };
  const { after } = fault;
  const rules: readonly Rule[] = [
    { ...met, after, times: 1, effect: { kind: 'error', code: 'EIO' } },
    { ...met, after: after + 1, effect: { kind: 'lie' } },
  ];
  const working = stage.daemon.workUnder(rules, MEET_MS);
  deleteSome(stage);
  let code = await working;
  // It is ending already: another signal would meet a process that no longer handles any.
  if (code === 'running' && (shim.hits()[0] ?? 0) > 0)
    code = await stage.daemon.endOr(delay(HEAL_MS, 'running' as const));
  if (code === 'running') code = await stage.daemon.endSomehow('SIGTERM');
  const isMet = (shim.hits()[0] ?? 0) > 0;
  if (code !== (isMet ? IO_ERROR : 0))
    ledger.find('exit', `the daemon ended with ${code}; a sync of ${fault.place} failed: ${isMet}`);
  if (isMet && fault.losesPower && disk !== null) await stage.losePower(disk);
  await stage.comeBack(fault.comeback);
  return isMet ? 'done' : 'skipped';
}

/** Writes are refused for a while; where only room was lacking the daemon goes on by itself. */
export async function failWrites(stage: Stage, fault: Of<'failed-writes'>): Promise<Done> {
  const { shim, ledger } = stage;
  if (shim === null) return 'skipped';
  const { place, code, after, short, comeback } = fault;
  ledger.hasDiskFaults = true;
  const met = { calls: ['write'], paths: PATHS[place] } as const;
  const refused: Rule = { ...met, after, effect: { kind: 'error', code } };
  const rules: readonly Rule[] =
    short === null
      ? [refused]
      : [
          { ...met, after, times: 1, effect: { kind: 'short', bytes: short } },
          { ...refused, after: after + 1 },
        ];
  const working = stage.daemon.workUnder(rules, fault.ms);
  deleteSome(stage);
  const end = await working;
  const isMet = shim.hits().some((hits) => hits > 0);
  if (end !== 'running') {
    const isAllowed =
      end === IO_ERROR && !(place === 'log' || (place === 'journal' && code !== 'EIO'));
    if (!isAllowed) ledger.find('exit', `the daemon ended with ${end}: ${code} on ${place}`);
    await stage.comeBack(comeback ?? { how: 'start', killedStarts: [] });
    return 'done';
  }
  if (comeback !== null) {
    await stage.daemon.end('SIGKILL');
    await stage.comeBack(comeback);
  } else {
    shim.clear();
    await healed(stage, `${code} on ${place}`);
  }
  return isMet ? 'done' : 'skipped';
}

/** Waits until the daemon says that all is well again. */
async function healed(stage: Stage, why: string): Promise<void> {
  const deadline = performance.now() + HEAL_MS;
  for (;;) {
    const { health } = await stage.log.stats();
    if (health === 'ok') return;
    if (performance.now() > deadline)
      return stage.ledger.find('health', `still ${health} after ${why}`);
    await delay(LOOK_MS);
  }
}

/** Syncs take their time for a while, in which other faults may come. */
export async function slowSyncs(stage: Stage, fault: Of<'slow-sync'>): Promise<Done> {
  const { shim } = stage;
  if (shim === null) return 'skipped';
  const { delayMs, ms } = fault;
  await stage.daemon.workUnder(
    [{ calls: SYNCS, paths: ['*'], effect: { kind: 'delay', ms: delayMs } }],
    ms,
  );
  shim.clear();
  return 'done';
}

/** The daemon's clock is off from now on. */
export async function stepClock(stage: Stage, { offsetMs }: Of<'clock-step'>): Promise<Done> {
  stage.shim?.setClock(offsetMs);
  return stage.shim === null ? 'skipped' : 'done';
}

/** The power goes, with all that was not synced. */
export async function losePower(stage: Stage, { comeback }: Of<'power-loss'>): Promise<Done> {
  const { disk, ledger } = stage;
  if (disk === null) return 'skipped';
  // Until it is killed too, the daemon meets a disk that refuses everything.
  ledger.hasDiskFaults = true;
  await stage.losePower(disk);
  await stage.comeBack(comeback);
  return 'done';
}
