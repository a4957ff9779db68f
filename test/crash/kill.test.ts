/** The daemon killed again and again under load, its clients living on. */
import { setTimeout as delay } from 'node:timers/promises';
import test, { type ExecutionContext } from 'ava';
import { connect } from '../../client/index.js';
import type { Outcome } from '../support/appending.js';
import { type DaemonProcess, runDaemonProgram, startDaemonProcess } from '../support/daemon.js';
import { journalPaths, readEvents, readSession, readThread } from '../support/journal-files.js';
import { seededRandom } from '../support/random.js';
import { checkStream, Writers } from '../support/writers.js';

const KILLS = Number(process.env['EVENTLOGD_TEST_KILLS'] ?? 20);
const PROCESSES = 8;
const APPENDS_PER_KILL = 40;

test('kill -9 at random instants under load, 20 times over: no call of a client fails', async (t) => {
  const random = seededRandom(t);
  let daemon = await startDaemonProcess(t);
  const { dir } = daemon;
  const plan = { dir, threadId: 't', sessionId: 's', appends: null, window: 4 };
  const writers = new Writers(t, PROCESSES, plan);
  for (let kill = 1; kill <= KILLS; kill += 1) {
    writers.grant(APPENDS_PER_KILL);
    await writers.answers(1 + random(PROCESSES * APPENDS_PER_KILL));
    // Where in a commit it dies is left to chance; nothing waits for this time.
    await delay(random(10));
    await daemon.kill('SIGKILL');
    const told = [...writers.outcomes];
    if (kill % 2 === 0) {
      const recovered = await runDaemonProgram(['recover', '--dir', dir]);
      t.is(recovered.code, 0, recovered.output);
      checkFiles(t, dir, told);
    }
    daemon = await startDaemonProcess(t, { dir });
    await checkServed(t, daemon, told);
  }
  await writers.stop();
  t.deepEqual(
    writers.outcomes.filter(({ outcome }) => outcome !== 'acked'),
    [],
  );
  await checkServed(t, daemon, writers.outcomes);
  t.is(await daemon.stop(), 0);
  checkFiles(t, dir, writers.outcomes);
});

/** What the daemon answers once it serves again. */
async function checkServed(
  t: ExecutionContext,
  daemon: DaemonProcess,
  told: readonly Outcome[],
): Promise<void> {
  const log = await connect({ dir: daemon.dir });
  const runs = await log.runs.listMessages('t', { limit: 1_000_000 });
  const turns = await log.turns.read('s');
  await log.close();
  t.deepEqual(turns.malformed, []);
  checkStream(t, runs, of('runs', told));
  checkStream(t, turns.events, of('turns', told));
}

/** What any program finds in the files of a directory that was recovered or stopped. */
function checkFiles(t: ExecutionContext, dir: string, told: readonly Outcome[]): void {
  checkStream(t, readThread(dir, 't'), of('runs', told));
  checkStream(t, readSession(dir, 's'), of('turns', told));
  for (const path of journalPaths(dir)) {
    const seqs = readEvents(dir, path).map(({ seq }) => seq);
    t.true(
      seqs.every((seq, at) => at === 0 || seq > (seqs[at - 1] ?? 0)),
      `${path} is not in seq order`,
    );
  }
}

function of(journal: Outcome['journal'], told: readonly Outcome[]): Outcome[] {
  return told.filter((outcome) => outcome.journal === journal);
}
