/**
 * `eventlog read`.
 *
 * @module
 */
import type { Command } from 'commander';
import { CursorExpiredError, InvalidArgumentError } from '../../shared/errors.js';
import type { RunEvent } from '../../shared/events.js';
import { detailsOf } from '../records.js';
import { writeRuns, writeTurns } from './event-table.js';
import { addExamples, collect, parseCount, parseLimit } from './options.js';
import { runCommand, type Session, warn } from './session.js';

/** Events that are held at once. */
const PAGE_EVENTS = 1_000;

interface RunFlags {
  readonly after?: number;
  readonly before?: number;
  readonly limit?: number;
  readonly type?: readonly string[];
  readonly task?: string;
  readonly messages?: true;
}

/** Adds the command to the program. */
export function addReadCommand(program: Command): void {
  const read = program.command('read').description('read events in seq order');
  const turns = read
    .command('turns')
    .description("read a session's turn journal; its malformed lines go to standard error")
    .argument('<session>', 'session id')
    .option('--after <seq>', 'only events after this seq', parseCount)
    .option('--limit <n>', 'at most so many (default: all)', parseLimit);
  addExamples(turns, [
    'eventlog read turns s1',
    'eventlog read turns s1 --after 10 --limit 5 --json',
  ]);
  turns.action(
    async (sessionId: string, flags: { readonly after?: number; readonly limit?: number }) => {
      await runCommand(turns, (session) => readTurns(session, sessionId, flags));
    },
  );
  addRuns(read);
}

function addRuns(read: Command): void {
  const runs = read
    .command('runs')
    .description('read the messages of a thread, or the events of one of its runs')
    .argument('<thread>', 'thread id')
    .argument('[run]', 'run id; without it the messages of all runs')
    .option('--after <seq>', 'only events after this seq', parseCount)
    .option('--before <seq>', 'only messages before this seq', parseCount)
    .option('--limit <n>', 'at most so many (default: 50 messages, all events)', parseLimit)
    .option('--type <type>', 'only events of this type; may be repeated', collect)
    .option('--task <id>', 'only events of this task')
    .option('--messages', 'only the messages of the run');
  addExamples(runs, [
    'eventlog read runs t1',
    'eventlog read runs t1 --before 120 --limit 20',
    'eventlog read runs t1 r1 --type run.start --type run.end',
    'eventlog read runs t1 r1 --messages --json',
  ]);
  runs.action(async (threadId: string, runId: string | undefined, flags: RunFlags) => {
    await runCommand(runs, (session) => readRuns(session, threadId, runId, flags));
  });
}

async function readTurns(
  session: Session,
  sessionId: string,
  flags: { readonly after?: number; readonly limit?: number },
): Promise<void> {
  let afterSeq = flags.after;
  let rest = flags.limit ?? Number.POSITIVE_INFINITY;
  let generation: number | null = null;
  while (rest > 0) {
    const limit = Math.min(rest, PAGE_EVENTS);
    const page = await session.log.turns.read(sessionId, { afterSeq, limit });
    if (generation !== null && page.generation !== generation) {
      const problem = `session ${sessionId} was deleted while it was read`;
      throw new CursorExpiredError(page.generation, problem);
    }
    generation = page.generation;
    for (const { line, raw, shard } of page.malformed) {
      const file = shard ?? `${sessionId}.jsonl`;
      warn([`line ${line} of ${file} is malformed: ${JSON.stringify(raw.slice(0, 200))}`]);
    }
    await writeTurns(session.output, page.events);
    const last = page.events.at(-1);
    if (last === undefined || page.events.length < limit) return;
    afterSeq = detailsOf(last).cursor.seq;
    rest -= page.events.length;
  }
}

async function readRuns(
  session: Session,
  threadId: string,
  runId: string | undefined,
  flags: RunFlags,
): Promise<void> {
  const { runs } = session.log;
  const { after: afterSeq, before: beforeSeq, limit } = flags;
  if (runId !== undefined && flags.messages !== true) {
    refuseFlag(beforeSeq !== undefined, '--before needs --messages or no run');
    await readEvents(session, { threadId, runId }, flags);
    return;
  }
  refuseFlag(flags.type !== undefined, '--type needs a run, and no --messages');
  refuseFlag(flags.task !== undefined, '--task needs a run, and no --messages');
  const page = { afterSeq, beforeSeq, limit };
  const messages =
    runId === undefined
      ? await runs.listMessages(threadId, page)
      : await runs.listMessagesByRun(threadId, runId, page);
  await writeRuns(session.output, messages);
}

async function readEvents(
  session: Session,
  { threadId, runId }: { readonly threadId: string; readonly runId: string },
  flags: RunFlags,
): Promise<void> {
  const filter = { eventTypes: flags.type, taskId: flags.task };
  let afterSeq = flags.after;
  let rest = flags.limit ?? Number.POSITIVE_INFINITY;
  while (rest > 0) {
    const limit = Math.min(rest, PAGE_EVENTS);
    const events: RunEvent[] = await session.log.runs.listEvents(threadId, runId, {
      ...filter,
      afterSeq,
      limit,
    });
    await writeRuns(session.output, events);
    const last = events.at(-1);
    if (last === undefined || events.length < limit) return;
    afterSeq = detailsOf(last).cursor.seq;
    rest -= events.length;
  }
}

function refuseFlag(isGiven: boolean, problem: string): void {
  if (isGiven) throw new InvalidArgumentError('', problem);
}
