/** Another program writes a seq that is taken: the thread is fenced, and repaired while all goes on. */
import { appendFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { killAt } from '../support/fault-shim/named-points.js';
import { onlineRepair } from '../support/repair.js';
import { send } from './calls.js';
import type { Answer, Wanted } from './history.js';
import type { Of } from './plan.js';
import type { Stage } from './stage.js';
import { REPAIRED_THREAD } from './streams.js';

const STREAM = `runs/${REPAIRED_THREAD}`;
const RUN = 'r0';
/** How long it may take until the daemon has noticed, and how often it is asked. */
const NOTICE_MS = 5_000;
const LOOK_MS = 50;
/** How long a repair may take to come to its moment. */
const MEET_MS = 900;

export async function clash(
  stage: Stage,
  { killedAt, comeback }: Of<'foreign-clash'>,
): Promise<'done' | 'skipped'> {
  const path = join(stage.dir, 'threads', REPAIRED_THREAD, 'runs', `${RUN}.jsonl`);
  if (!existsSync(path)) return 'skipped';
  await appendTaken(stage, path);
  if (!(await isFenced(stage))) {
    stage.ledger.find('repair', `${STREAM} takes appends, though two events have the seq 1`);
    return 'done';
  }
  const repairing = onlineRepair(stage.dir, ['runs', REPAIRED_THREAD, '--apply']);
  if (killedAt !== null && stage.shim !== null) {
    const end = await stage.workUntilKilled(killAt(killedAt.point, killedAt.after), MEET_MS);
    if (typeof end === 'number')
      stage.ledger.find('exit', `the daemon ended with ${end} at ${killedAt.point}`);
    if (end !== 'running') await stage.comeBack(comeback);
  }
  // It asks again by itself when the daemon is back.
  const { code, stderr } = await repairing;
  if (code !== 0) stage.ledger.find('repair', `eventlog repair ended with ${code}: ${stderr}`);
  const { outcome, message } = await put(stage);
  if (outcome !== 'acknowledged')
    stage.ledger.find('repair', `${STREAM} was repaired and refuses appends: ${message}`);
  return 'done';
}

/** Appends an event with the seq 1, which another one has. */
async function appendTaken({ journal }: Stage, path: string): Promise<void> {
  const id = `f${journal.nextNumber}-1-0`;
  const record = {
    thread_id: REPAIRED_THREAD,
    run_id: RUN,
    event_type: 'token',
    category: 'message',
    content: id,
    metadata: {},
    seq: 1,
    created_at: new Date().toISOString().replace('Z', '000+00:00'),
  };
  await journal.ask({ operation: 'foreign', events: [wanted(id)] }, async () => {
    appendFileSync(path, `${JSON.stringify(record)}\n`);
    return {};
  });
}

/** Whether appends come to be refused, as soon as the line was noticed. */
async function isFenced(stage: Stage): Promise<boolean> {
  const deadline = performance.now() + NOTICE_MS;
  for (;;) {
    const { code } = await put(stage);
    if (code === 'STREAM_FENCED') return true;
    if (performance.now() > deadline) return false;
    await delay(LOOK_MS);
  }
}

async function put({ journal, log }: Stage): Promise<Answer> {
  const request = { operation: 'put', events: [wanted(`end-${journal.nextNumber}-0`)] } as const;
  return await journal.ask(request, () => send(log, request, {}));
}

function wanted(id: string): Wanted {
  return { id, stream: STREAM, run: RUN, type: 'token', padding: 0 };
}
