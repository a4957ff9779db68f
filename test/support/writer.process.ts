/**
 * A client as a process: appends to one thread and one session, several calls in flight, and
 * tells what came of each append in a line on standard output. Lines of standard input grant it more appends, its end ends it.
 */
import { connect, EventLogError, type NewRunEvent } from '../../client/index.js';

/** What the process is told, as JSON in its first argument. */
export interface WriterPlan {
  readonly dir: string;
  readonly writer: string;
  readonly threadId: string;
  readonly sessionId: string;
  /** How often it appends to each of the two; null for as often as its standard input grants. */
  readonly appends: number | null;
  /** Calls in flight. */
  readonly window: number;
}

/** What came of one append. Its events' contents are `<writer>-<number>-<index>`. */
export interface Outcome {
  readonly writer: string;
  readonly number: number;
  readonly journal: 'turns' | 'runs';
  readonly size: number;
  readonly outcome: 'acked' | 'unknown' | 'not-committed';
  readonly seqs: readonly number[];
  readonly code: string | null;
}

const RUNS = 5;
const BATCH_EVENTS = 3;

const plan = JSON.parse(process.argv[2] ?? '') as WriterPlan;
const { writer, threadId, sessionId } = plan;
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

async function tell(
  what: Pick<Outcome, 'number' | 'journal' | 'size'>,
  append: Promise<readonly number[]>,
): Promise<void> {
  let came: Pick<Outcome, 'outcome' | 'seqs' | 'code'>;
  try {
    came = { outcome: 'acked', seqs: await append, code: null };
  } catch (error) {
    if (!(error instanceof EventLogError)) throw error;
    came = { outcome: error.outcome, seqs: [], code: error.code };
  }
  const outcome: Outcome = { writer, ...what, ...came };
  process.stdout.write(`${JSON.stringify(outcome)}\n`);
}

function runEvent(number: number, index: number): NewRunEvent {
  return {
    thread_id: threadId,
    run_id: `r${(number + index) % RUNS}`,
    event_type: 'text',
    category: 'message',
    content: `${writer}-${number}-${index}`,
  };
}

async function put(number: number): Promise<readonly number[]> {
  return [(await log.runs.put(runEvent(number, 0))).seq];
}

async function putBatch(number: number): Promise<readonly number[]> {
  const events = Array.from({ length: BATCH_EVENTS }, (_, index) => runEvent(number, index));
  return (await log.runs.putBatch(events)).map(({ seq }) => seq);
}

async function append(number: number): Promise<readonly number[]> {
  const content = `${writer}-${number}-0`;
  return [(await log.turns.append(sessionId, { event: 'token', content })).seq];
}

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
  const isBatch = number % 3 === 0;
  const size = isBatch ? BATCH_EVENTS : 1;
  await start(tell({ number, journal: 'runs', size }, isBatch ? putBatch(number) : put(number)));
  await start(tell({ number, journal: 'turns', size: 1 }, append(number)));
}
await Promise.all(inFlight);
await log.close();
process.stdin.destroy();
