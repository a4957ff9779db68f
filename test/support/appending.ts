/** What a client process appends to one thread and one session, and what it tells of each append. */
import { type EventLog, EventLogError, type NewRunEvent } from '../../client/index.js';

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

/** Where it appends, and under which name. */
export interface Appending {
  readonly writer: string;
  readonly threadId: string;
  readonly sessionId: string;
  readonly tell: (outcome: Outcome) => void;
}

const RUNS = 5;
const BATCH_EVENTS = 3;

/** Appends to the thread, every third time a batch; resolves when it was told what came of it. */
export async function appendRuns(log: EventLog, to: Appending, number: number): Promise<void> {
  const { writer, threadId } = to;
  const size = number % 3 === 0 ? BATCH_EVENTS : 1;
  const events = Array.from(
    { length: size },
    (_, index): NewRunEvent => ({
      thread_id: threadId,
      run_id: `r${(number + index) % RUNS}`,
      event_type: 'text',
      category: 'message',
      content: `${writer}-${number}-${index}`,
    }),
  );
  const [first] = events;
  if (first === undefined) return;
  const put = size === 1 ? log.runs.put(first).then((one) => [one]) : log.runs.putBatch(events);
  const seqs = put.then((added) => added.map(({ seq }) => seq));
  await tellOf(to, { number, journal: 'runs', size }, seqs);
}

/** Appends to the session; resolves when it was told what came of it. */
export async function appendTurn(log: EventLog, to: Appending, number: number): Promise<void> {
  const content = `${to.writer}-${number}-0`;
  const append = log.turns.append(to.sessionId, { event: 'token', content });
  const seqs = append.then(({ seq }) => [seq]);
  await tellOf(to, { number, journal: 'turns', size: 1 }, seqs);
}

async function tellOf(
  { writer, tell }: Appending,
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
  tell({ writer, ...what, ...came });
}
