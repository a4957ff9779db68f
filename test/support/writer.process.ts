/**
 * A client as a process: appends to one thread and one session, several calls in flight, and
 * tells what came of each append in a line on standard output. Lines of standard input grant it more appends, its end ends it.
 */
import { connect } from '../../client/index.js';
import { type Appending, appendRuns, appendTurn } from './appending.js';

/** What the process is told, as JSON in its first argument. */
export interface WriterPlan extends Omit<Appending, 'tell'> {
  readonly dir: string;
  /** How often it appends to each of the two; null for as often as its standard input grants. */
  readonly appends: number | null;
  /** Calls in flight. */
  readonly window: number;
}

const plan = JSON.parse(process.argv[2] ?? '') as WriterPlan;
let granted = plan.appends ?? 0;
let hasEnded = plan.appends !== null;
let wake: () => void = () => undefined;
process.stdin.on('data', (grant: Buffer) => {
  for (const count of grant.toString().split('\n')) granted += Number(count);
  wake();
});
process.stdin.once('end', () => {
  hasEnded = true;
  wake();
});

const log = await connect({ dir: plan.dir, timeoutMs: 60_000 });
const inFlight = new Set<Promise<void>>();
const to: Appending = {
  ...plan,
  tell: (outcome) => void process.stdout.write(`${JSON.stringify(outcome)}\n`),
};

async function start(done: Promise<void>): Promise<void> {
  inFlight.add(done);
  void done.finally(() => inFlight.delete(done));
  if (inFlight.size >= plan.window) await Promise.race(inFlight);
}

async function isGranted(number: number): Promise<boolean> {
  while (number > granted && !hasEnded) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  return number <= granted;
}

for (let number = 1; await isGranted(number); number += 1) {
  await start(appendRuns(log, to, number));
  await start(appendTurn(log, to, number));
}
await Promise.all(inFlight);
await log.close();
process.stdin.destroy();
