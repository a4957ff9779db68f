/**
 * A backup that is made while clients append and delete and another program writes: restored, it
 * is what the commit log says of its position, neither less nor more.
 */
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type EventLog, EventLogError } from '../../../client/index.js';
import { contentsOf, requestBackup, restored } from '../../support/backup.js';
import { makeFolder, startDaemonProcess } from '../../support/daemon.js';
import { client, eventually, linesOf, sessionFile, testWith } from '../../support/faults.js';
import { appendFromPython } from '../../support/foreign.js';
import { type Random, seededRandom } from '../../support/random.js';
import { Writers } from '../../support/writers.js';

const SEGMENT = ['--segment-bytes', '512k'];
/** What other programs write to is numbered when it is met. */
const FOREIGN = new Set(['turns/f', 'turns/m']);

/** What was committed, as a subscriber to everything was told. */
class Committed {
  position = 0;
  readonly #entries: {
    readonly position: number;
    readonly stream: string;
    readonly apply: (shown: readonly string[]) => readonly string[];
  }[] = [];

  static follow(t: ExecutionContext, log: EventLog): Committed {
    const committed = new Committed();
    const following = committed.#follow(log);
    t.teardown(() => following);
    return committed;
  }

  /** The seqs and contents of every stream at a position. */
  at(position: number): ReadonlyMap<string, readonly string[]> {
    const streams = new Map<string, readonly string[]>();
    for (const entry of this.#entries) {
      if (entry.position > position) break;
      const shown = entry.apply(streams.get(entry.stream) ?? []);
      if (shown.length === 0) streams.delete(entry.stream);
      else streams.set(entry.stream, shown);
    }
    return streams;
  }

  async #follow(log: EventLog): Promise<void> {
    const runs = new Map<string, string>();
    try {
      for await (const entry of log.subscribeAll({ afterPosition: 0 })) {
        const { position, journal, streamId, event } = entry;
        const stream = `${journal}/${streamId}`;
        const name = (shown: string): string => `${stream} ${shown}`;
        if (event === undefined) {
          const runId = 'runId' in entry ? entry.runId : undefined;
          const apply = (shown: readonly string[]): readonly string[] =>
            runId === undefined ? [] : shown.filter((one) => runs.get(name(one)) !== runId);
          this.#entries.push({ position, stream, apply });
        } else {
          const shown = `${String(event.seq)} ${String(event['content'])}`;
          if (journal === 'runs') runs.set(name(shown), String(event['run_id']));
          this.#entries.push({ position, stream, apply: (before) => [...before, shown] });
        }
        this.position = position;
      }
    } catch (error) {
      if (!(error instanceof EventLogError && error.code === 'CLIENT_CLOSED')) throw error;
    }
  }
}

/** Begins, fills and deletes streams without an end; a call that fails ends the test. */
class Churn {
  #isStopping = false;
  rounds = 0;

  async run(log: EventLog, random: Random): Promise<void> {
    for (let round = 1; !this.#isStopping; round += 1) {
      const [sessionId, threadId] = [`c${random(12)}`, `d${random(6)}`];
      const content = `${round}-${'x'.repeat(random(3000))}`;
      const event = { thread_id: threadId, event_type: 'e', category: 'message', content };
      await Promise.all([
        log.turns.append(sessionId, { event: 'token', content }),
        log.turns.append('m', { event: 'token', content: `own-${round}` }),
        log.runs.putBatch(
          Array.from({ length: 1 + random(4) }, () => ({ ...event, run_id: `r${random(3)}` })),
        ),
      ]);
      if (random(4) === 0) await log.turns.delete(`c${random(12)}`);
      if (random(4) === 0) await log.runs.deleteByRun(`d${random(6)}`, `r${random(3)}`);
      if (random(8) === 0) await log.runs.deleteByThread(`d${random(6)}`);
      this.rounds = round;
    }
  }

  /** Lets other programs append to a file, one after the other. */
  async appendAside(path: string, random: Random): Promise<void> {
    for (let round = 1; !this.#isStopping; round += 1)
      await appendFromPython({ path, count: 100, padding: random(300), name: `py${round}` });
  }

  stop(): void {
    this.#isStopping = true;
  }
}

/** Nothing has a content that others share, so that which is which can be told. */
function assertDense(t: ExecutionContext, name: string, shown: readonly string[]): void {
  const seqs = shown.map((one) => Number(one.slice(0, one.indexOf(' '))));
  t.deepEqual(
    seqs,
    seqs.map((_, at) => at + 1),
    name,
  );
}

testWith(['python3'], 'restored, it is the directory at its position', async (t) => {
  t.timeout(180_000);
  const random = seededRandom(t);
  const { dir, stop, output } = await startDaemonProcess(t, { args: SEGMENT });
  const log = await client(t, dir);
  const follower = await client(t, dir);
  const committed = Committed.follow(t, follower);
  await log.turns.append('gone', { event: 'token', content: 'x' });
  await log.turns.append('m', { event: 'token', content: 'own-0' });
  await appendFromPython({ path: sessionFile(dir, 'f'), count: 200, name: 'before' });
  await log.turns.delete('gone');
  const churn = new Churn();
  const churning = churn.run(log, random);
  const writers = new Writers(t, 3, {
    dir,
    appends: null,
    window: 8,
    threadId: 't',
    sessionId: 's',
  });
  writers.grant(2000);
  await writers.answers(600 + random(600));
  const foreign = ['f', 'm'].map((id) => churn.appendAside(sessionFile(dir, id), random));
  await eventually(
    async () => (await linesOf(sessionFile(dir, 'm'))).some((line) => line.includes('py')),
    Boolean,
  );
  const foreignBefore = {
    f: (await linesOf(sessionFile(dir, 'f'))).length,
    m: (await linesOf(sessionFile(dir, 'm'))).filter((line) => line.includes('py')).length,
  };
  const acked = [...writers.outcomes].filter(({ outcome }) => outcome === 'acked');
  const { position: floor } = await log.stats();
  const folder = join(await makeFolder(t), 'b');
  const { done } = await requestBackup(dir, folder);
  const backup = await done;
  const during = writers.outcomes.length - acked.length;
  t.log({ ...backup, floor, during, rounds: churn.rounds });
  await writers.answers(100);
  churn.stop();
  await Promise.all([churning, writers.stop(), ...foreign]);
  t.true(backup.position >= Number(floor));

  // The source went on unharmed.
  t.deepEqual(
    writers.outcomes.filter(({ outcome }) => outcome !== 'acked'),
    [],
  );
  const last = await log.stats();
  t.is(last.health, 'ok');
  await eventually(
    () => committed.position,
    (position) => position >= Number(last['position']),
  );
  const source = await contentsOf(log);
  await Promise.all([log.close(), follower.close()]);
  t.is(await stop(), 0, output());

  const due = committed.at(backup.position);
  const there = await restored(t, folder);
  const named = (streams: ReadonlyMap<string, unknown>): string[] => [...streams.keys()].sort();
  t.deepEqual(named(there), [...new Set([...named(due), ...FOREIGN])].sort());
  t.false(there.has('turns/gone'));
  for (const [name, shown] of due) {
    if (!FOREIGN.has(name)) t.deepEqual(there.get(name), shown, name);
  }
  for (const name of ['turns/s', 'runs/t']) {
    const shown = there.get(name) ?? [];
    assertDense(t, name, shown);
    t.deepEqual(shown, source.get(name)?.slice(0, shown.length));
  }
  const texts = new Map([...there].map(([name, shown]) => [name, new Set(shown)]));
  for (const { journal, seqs, writer, number } of acked) {
    for (const [index, seq] of seqs.entries()) {
      const name = journal === 'turns' ? 'turns/s' : 'runs/t';
      t.true(texts.get(name)?.has(`${seq} ${writer}-${number}-${index}`));
    }
  }
  // Of sessions to which others write too: the daemon's own events up to the position, at their
  // seqs, and all that the others had written when the backup was asked for.
  for (const name of FOREIGN) assertDense(t, name, there.get(name) ?? []);
  const own = (shown: readonly string[] | undefined): string[] =>
    shown?.filter((one) => one.includes(' own-')) ?? [];
  t.deepEqual(own(there.get('turns/m')), own(due.get('turns/m')));
  const others = (name: string): number =>
    there.get(name)?.filter((one) => / (py\d+|before)-/.test(one)).length ?? 0;
  t.true(others('turns/f') >= foreignBefore.f);
  t.true(others('turns/m') >= foreignBefore.m);
});
