/** The end of an act: all that was asked is answered, followed to the end and compared. */
import { setTimeout as delay } from 'node:timers/promises';
import { send } from './calls.js';
import type { Wanted } from './history.js';
import type { Stage } from './stage.js';
import { lookAtTurns } from './turns.js';
import { checkView } from './views.js';

const LOOK_MS = 20;
/** How long subscribers may take to come to the end. */
const FOLLOW_MS = 8_000;

/** Lets clients finish, and checks everything once more. */
export async function finish(stage: Stage): Promise<void> {
  stage.note('finale');
  await stage.settled();
  await Promise.all(stage.cast.workers.map((worker) => worker.stop()));
  const ends = await appendEnds(stage);
  await stage.look();
  await lookAtTurns(stage);
  await followToTheEnd(stage, ends);
  const due = stage.dueNow();
  for (const { view } of stage.cast.subscribers) checkView(stage.ledger, view);
  await stage.daemon.end('SIGTERM');
  stage.lookAtFiles(due);
  await stage.verify();
}

/** The last event for each subscriber, by the driver; returns their ids. */
async function appendEnds({ journal, log, cast }: Stage): Promise<string[]> {
  const ends: string[] = [];
  for (const { view } of cast.subscribers) {
    // What ends with everything is the last of all.
    const { stream, runId = 'r0', eventTypes } = view;
    const isRun = stream?.startsWith('runs/') === true;
    const id = `end-${journal.nextNumber}-0`;
    const event: Wanted = {
      id,
      stream: stream ?? 'turns/s0',
      run: isRun ? runId : null,
      type: eventTypes?.[0] ?? 'token',
      padding: 0,
    };
    const request = { operation: isRun ? 'put' : 'append', events: [event] } as const;
    await journal.ask(request, () => send(log, request, {}));
    ends.push(id);
  }
  return ends;
}

async function followToTheEnd(stage: Stage, ends: readonly string[]): Promise<void> {
  const deadline = performance.now() + FOLLOW_MS;
  for (const [at, { follower, view }] of stage.cast.subscribers.entries()) {
    const end = ends[at];
    const hasCome = (): boolean =>
      follower.told.findLastIndex((one) => one.kind === 'event' && one.content === end) !== -1;
    while (!hasCome() && performance.now() < deadline) await delay(LOOK_MS);
    if (!hasCome()) stage.ledger.find('view', `${view.name} never came to ${end}`);
  }
}
