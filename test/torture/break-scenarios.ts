/** For each broken build the steps that make its fault show. */
import { readFileSync, writeFileSync } from 'node:fs';
import { DaemonEndedError } from '../support/daemon.js';
import { PATHS } from '../support/fault-shim/named-points.js';
import type { Rule } from '../support/fault-shim/rules.js';
import type { Break } from './broken-builds.js';
import type { Finding } from './ledger.js';
import { hasSpoken, type Place, Victim } from './victim.js';

const EXIT_CORRUPT = 65;
const FRAME_ALIGNMENT = 8;

function onLog(calls: Rule['calls'], effect: Rule['effect'], more: Partial<Rule> = {}): Rule {
  return { calls, paths: PATHS.log, effect, ...more };
}

/** Power is lost while a sync of the log is under way. */
async function ackBeforeFsync(place: Place): Promise<readonly Finding[]> {
  const victim = await Victim.start(place);
  const caller = await victim.caller();
  await victim.append(caller, 'before');
  victim.shim.set([onLog(['fdatasync'], { kind: 'hold' })]);
  void victim.append(caller, 'held');
  await victim.isMet();
  await hasSpoken(caller);
  await victim.losePower();
  await victim.startAgain();
  return await victim.findings();
}

/** Power is lost when nothing but its folder says that there is a new segment. */
async function noDirectoryFsync(place: Place): Promise<readonly Finding[]> {
  const victim = await Victim.start(place);
  const caller = await victim.caller();
  // On ext4 the sync of any new file would save the names of all.
  const paths = [`${PATHS.spare[0]}.tmp`];
  victim.shim.set([{ calls: ['fsync'], paths, effect: { kind: 'hold' } }]);
  await victim.append(caller, 'in a new segment');
  await victim.losePower();
  await victim.startAgain();
  return await victim.findings();
}

/** A sync of the log fails once. As Linux does, the next one then knows of nothing to write. */
async function retryAfterFailedFsync(place: Place): Promise<readonly Finding[]> {
  const victim = await Victim.start(place);
  const caller = await victim.caller();
  await victim.append(caller, 'before');
  victim.shim.set([
    onLog(['fdatasync'], { kind: 'error', code: 'EIO' }, { times: 1 }),
    onLog(['fdatasync'], { kind: 'lie' }, { after: 1 }),
  ]);
  await victim.append(caller, 'never on the disk');
  await victim.losePower();
  await victim.startAgain();
  return await victim.findings();
}

/**
 * The disk is full one byte before the end of a frame, and the daemon is killed then. The frame
 * ends with zeros, and so does what it is written over: it is whole all the same.
 */
async function tornTailNotCleaned(place: Place): Promise<readonly Finding[]> {
  const victim = await Victim.start(place);
  const caller = await victim.caller();
  await victim.append(caller, '1');
  const { payload } = victim.firstFrame();
  const longer = 1.5 * FRAME_ALIGNMENT - (payload.length % FRAME_ALIGNMENT);
  victim.shim.set([
    onLog(['write'], { kind: 'short', bytes: -1 }, { times: 1 }),
    // Node writes the rest at once, the daemon once more.
    onLog(['write'], { kind: 'error', code: 'ENOSPC' }, { after: 1, times: 2 }),
    // The daemon looks for room.
    onLog(['write'], { kind: 'hold' }, { after: 3 }),
  ]);
  await victim.append(caller, '2'.padEnd(1 + longer, 'x'));
  await victim.kill();
  await victim.startAgain();
  return await victim.findings();
}

/** A bit of the log flips below the durable frontier; the journals lost their lines with the power. */
async function cuttingAtAnyBadChecksum(place: Place): Promise<readonly Finding[]> {
  const victim = await Victim.start(place);
  const caller = await victim.caller();
  for (let at = 0; at < 5; at += 1) await victim.append(caller, `event ${at}`);
  await victim.losePower();
  const { path, bytes, payload } = victim.firstFrame();
  // It is a view of the whole.
  payload[0] = (payload[0] as number) ^ 1;
  writeFileSync(path, bytes);
  try {
    await victim.startAgain();
  } catch (error) {
    // Refused, as it must be; and nothing was cut.
    if (!(error instanceof DaemonEndedError)) throw error;
    const isRefused = error.code === EXIT_CORRUPT && bytes.equals(readFileSync(path));
    return isRefused ? [] : [{ rule: 'damage', detail: error.message }];
  }
  return await victim.findings();
}

/**
 * While a sync of the log is under way, a turn is ended by one client, and another is refused what
 * is not to follow the end. Power is lost during their common commit, and the first client is gone.
 */
async function answerOnUnsynced(place: Place): Promise<readonly Finding[]> {
  const victim = await Victim.start(place);
  const [first, second] = [await victim.caller(), await victim.caller()];
  await victim.append(first, 'before');
  victim.shim.set([onLog(['fdatasync'], { kind: 'hold' })]);
  void victim.append(first, 'held');
  await victim.isMet();
  const gone = new AbortController();
  void victim.append(first, 'the end', { ends: true, signal: gone.signal });
  await hasSpoken(first);
  void victim.append(second, 'late', { unlessTerminal: true });
  await hasSpoken(second);
  // The commit that is held goes on, and the next one is held.
  victim.shim.set([onLog(['fdatasync'], { kind: 'hold' }, { after: 1 })]);
  await victim.isMet();
  await hasSpoken(second);
  gone.abort();
  await victim.losePower();
  await victim.startAgain();
  return await victim.findings();
}

/** What shows each break: what the oracle finds after it. */
export const SCENARIOS: Readonly<Record<Break, (place: Place) => Promise<readonly Finding[]>>> = {
  'ack before fsync': ackBeforeFsync,
  'no directory fsync': noDirectoryFsync,
  'retry after a failed fsync': retryAfterFailedFsync,
  'a torn tail not cleaned': tornTailNotCleaned,
  'cutting at any bad checksum': cuttingAtAnyBadChecksum,
  'an answer that rests on an unsynced event': answerOnUnsynced,
};
