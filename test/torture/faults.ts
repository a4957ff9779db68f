/** Carries the faults of a plan out. */
import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { appendFromPython } from '../support/foreign.js';
import { send } from './calls.js';
import { clash } from './clash.js';
import { cut, endOfLog, overwrite, uncheckpointed, zero } from './damage.js';
import { damageCopy } from './damage-copy.js';
import {
  failSync,
  failWrites,
  killAtMoment,
  losePower,
  slowSyncs,
  stepClock,
} from './disk-faults.js';
import type { Wanted } from './history.js';
import type { FaultKind, Of } from './plan.js';
import type { Stage } from './stage.js';
import { FOREIGN_SESSION, REMOVED_SESSION, REMOVED_THREAD } from './streams.js';

/** Whether it was done; what cannot be done here or now is skipped. */
export type Done = 'done' | 'skipped';

const FAULTS: { readonly [Kind in FaultKind]: (stage: Stage, fault: Of<Kind>) => Promise<Done> } = {
  kill: async (stage, { comeback }) => {
    await stage.daemon.end('SIGKILL');
    await stage.comeBack(comeback);
    return 'done';
  },
  drain: async (stage) => {
    await stage.daemon.end('SIGTERM');
    await stage.comeBack({ how: 'start', killedStarts: [] });
    return 'done';
  },
  hang: async (stage, { ms, comeback }) => {
    stage.daemon.signal('SIGSTOP');
    await delay(ms);
    if (comeback !== null) {
      await stage.daemon.end('SIGKILL');
      await stage.comeBack(comeback);
    } else {
      stage.daemon.signal('SIGCONT');
    }
    return 'done';
  },
  'kill-client': async (stage, { client }) => {
    await stage.cast.workers[client % stage.cast.workers.length]?.killAndStart();
    return 'done';
  },
  'hang-client': async (stage, { client, ms }) => {
    return hang(stage, stage.cast.workers[client % stage.cast.workers.length], ms);
  },
  'kill-subscriber': async (stage, { subscriber }) => {
    await stage.cast.subscribers[
      subscriber % stage.cast.subscribers.length
    ]?.follower.killAndResume();
    return 'done';
  },
  'hang-subscriber': async (stage, { subscriber, ms }) => {
    return hang(
      stage,
      stage.cast.subscribers[subscriber % stage.cast.subscribers.length]?.follower,
      ms,
    );
  },
  'kill-at': killAtMoment,
  'failed-sync': failSync,
  'failed-writes': failWrites,
  'slow-sync': slowSyncs,
  'clock-step': stepClock,
  'power-loss': losePower,
  'foreign-lines': appendForeign,
  'foreign-torn': tearForeign,
  'foreign-clash': clash,
  'remove-file': removeFile,
  'torn-log': tearLog,
  'torn-journal': tearJournal,
  damage: damageCopy,
};

/** Does one fault, to the end of what it needs. */
export async function doFault<Kind extends FaultKind>(
  stage: Stage,
  fault: Of<Kind>,
): Promise<Done> {
  const run = FAULTS[fault.kind] as (stage: Stage, fault: Of<Kind>) => Promise<Done>;
  return await run(stage, fault);
}

interface Signalled {
  signal(signal: NodeJS.Signals): void;
}

/** Stops a process for a while, in which other faults may come. */
function hang(stage: Stage, process: Signalled | undefined, ms: number): Done {
  process?.signal('SIGSTOP');
  stage.goOn(delay(ms).then(() => process?.signal('SIGCONT')));
  return 'done';
}

/** Another program appends lines while all goes on. */
async function appendForeign(stage: Stage, { count, padding }: Of<'foreign-lines'>): Promise<Done> {
  const name = `f${stage.journal.nextNumber}`;
  const stream = `turns/${FOREIGN_SESSION}`;
  const events = Array.from({ length: count }, (_, index): Wanted => {
    return { id: `${name}-${index + 1}-0`, stream, run: null, type: 'token', padding };
  });
  const path = join(stage.dir, '_turn_journal', `${FOREIGN_SESSION}.jsonl`);
  if (!existsSync(join(stage.dir, '_turn_journal'))) return 'skipped';
  const writing = stage.journal.ask({ operation: 'foreign', events }, async () => {
    try {
      await appendFromPython({ path, count, padding, name });
      return {};
    } catch (error) {
      // The disk may have lost its power meanwhile.
      stage.note('foreign writer', { error: String(error) });
      return { outcome: 'unknown' };
    }
  });
  stage.write(writing.then(() => undefined));
  return 'done';
}

/** Another program dies in the midst of a line. */
async function tearForeign(stage: Stage): Promise<Done> {
  const file = join('_turn_journal', `${FOREIGN_SESSION}.jsonl`);
  const path = join(stage.dir, file);
  await stage.written();
  if (!existsSync(path)) return 'skipped';
  const raw = `{"event":"token","content":"torn ${stage.journal.nextNumber}`;
  stage.damaged.push({ file, raw });
  appendFileSync(path, raw);
  const id = `end-${stage.journal.nextNumber}-0`;
  const stream = `turns/${FOREIGN_SESSION}`;
  const event: Wanted = { id, stream, run: null, type: 'token', padding: 0 };
  const request = { operation: 'append', events: [event] } as const;
  const { outcome } = await stage.journal.ask(request, () => send(stage.log, request, {}));
  // The next foreign line would become a part of the torn one.
  if (outcome !== 'acknowledged') appendFileSync(path, '\n');
  return 'done';
}

/** Another program removes a file while all goes on. */
async function removeFile(stage: Stage, { nth }: Of<'remove-file'>): Promise<Done> {
  const runs = join(stage.dir, 'threads', REMOVED_THREAD, 'runs');
  const files = [
    join(stage.dir, '_turn_journal', `${REMOVED_SESSION}.jsonl`),
    ...(existsSync(runs) ? readdirSync(runs).map((name) => join(runs, name)) : []),
  ].filter((path) => existsSync(path));
  const path = files[nth % Math.max(1, files.length)];
  if (path === undefined) return 'skipped';
  const isRun = path.startsWith(runs);
  const stream = isRun ? `runs/${REMOVED_THREAD}` : `turns/${REMOVED_SESSION}`;
  const run = isRun ? basename(path, '.jsonl') : null;
  await stage.journal.ask({ operation: 'remove', events: [], stream, run }, async () => {
    rmSync(path, { force: true });
    // When the daemon notices, what was appended meanwhile is gone too.
    return { outcome: 'unknown' };
  });
  return 'done';
}

/** The daemon dies within a write of the log that nobody was told of. */
async function tearLog(stage: Stage, fault: Of<'torn-log'>): Promise<Done> {
  await stage.daemon.end('SIGKILL');
  const end = endOfLog(stage.dir);
  if (end !== null) overwrite(end.path, end.offset, tornBytes(fault, end.path, end.offset));
  stage.note('torn log', { ...end });
  await stage.comeBack(fault.comeback);
  return end === null ? 'skipped' : 'done';
}

function tornBytes(fault: Of<'torn-log'>, path: string, end: number): Buffer {
  const { bytes } = fault;
  if (fault.with === 'noise') return Buffer.alloc(bytes, 'torn');
  const log = readFileSync(path);
  // The head of a frame whose rest is missing: that of one before, which has an earlier position.
  const from = Math.max(0, end - bytes);
  const old = Buffer.from(log.subarray(from, end));
  if (fault.with === 'head') old.fill(0, Math.min(old.length, 48));
  return old;
}

/** What only the page cache held of a journal file is gone. */
async function tearJournal(stage: Stage, fault: Of<'torn-journal'>): Promise<Done> {
  await stage.daemon.end('SIGKILL');
  const spans = uncheckpointed(stage.dir);
  const span = spans[fault.nth % Math.max(1, spans.length)];
  if (span !== undefined) {
    const from = span.from + Math.floor((span.to - span.from) * fault.share);
    if (fault.how === 'cut') cut(span.path, from);
    else zero({ ...span, from });
    stage.note('torn journal', { file: relative(stage.dir, span.path), ...span, from });
  }
  await stage.comeBack(fault.comeback);
  return span === undefined ? 'skipped' : 'done';
}
