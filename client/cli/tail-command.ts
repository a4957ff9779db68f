/**
 * `eventlog tail`.
 *
 * @module
 */
import { type Command, InvalidArgumentError } from 'commander';
import { formatCursor, parseCursor } from '../../shared/cursor.js';
import type { Subscription } from '../subscription.js';
import type { RunSubscribeOptions, SubscribeAfter } from '../types.js';
import { writeEntry, writeRun, writeTurn } from './event-row.js';
import { addExamples, collect, parseCount } from './options.js';
import type { Output } from './output.js';
import { exitOnSignal, runCommand, type Session, tellOfConnection, warn } from './session.js';

interface RunFlags {
  readonly from: SubscribeAfter;
  readonly run?: string;
  readonly category?: readonly string[];
  readonly type?: readonly string[];
  readonly task?: string;
}

/** What is followed, and how it is shown. */
interface Followed<Item> {
  readonly subscription: Subscription<Item>;
  readonly write: (output: Output, item: Item) => Promise<void>;
  /** What `--from` takes to go on where this has come to. */
  readonly place: () => string;
}

/** Adds the command to the program. */
export function addTailCommand(program: Command): void {
  const tail = program
    .command('tail')
    .description(
      'follow events as they become durable; goes on when the daemon comes back, ends with Ctrl-C',
    );
  addTurns(tail);
  addRuns(tail);
  addAll(tail);
}

function addTurns(tail: Command): void {
  const turns = tail
    .command('turns')
    .description("follow a session's turn journal, which need not exist yet")
    .argument('<session>', 'session id');
  addStreamFrom(turns);
  addExamples(turns, [
    'eventlog tail turns s1',
    'eventlog tail turns s1 --from now',
    'eventlog tail turns s1 --from 12-7 --json | jq .event',
  ]);
  turns.action(async (sessionId: string, flags: { readonly from: SubscribeAfter }) => {
    await runCommand(turns, (session) => {
      const subscription = session.log.turns.subscribe(sessionId, { after: flags.from });
      const place = (): string => formatCursor(subscription.cursor);
      return follow(session, { subscription, write: writeTurn, place });
    });
  });
}

function addRuns(tail: Command): void {
  const runs = tail
    .command('runs')
    .description('follow the events of a thread, of all its runs or of those that pass the filters')
    .argument('<thread>', 'thread id');
  addStreamFrom(runs);
  runs
    .option('--run <id>', 'only events of this run')
    .option('--category <category>', 'only events of this category; may be repeated', collect)
    .option('--type <type>', 'only events of this type; may be repeated', collect)
    .option('--task <id>', 'only events of this task');
  addExamples(runs, [
    'eventlog tail runs t1',
    'eventlog tail runs t1 --run r1 --category message',
    'eventlog tail runs t1 --from now --type run.end --json | jq .run_id',
  ]);
  runs.action(async (threadId: string, flags: RunFlags) => {
    await runCommand(runs, (session) => {
      const subscription = session.log.runs.subscribe(threadId, runOptionsOf(flags));
      const place = (): string => formatCursor(subscription.cursor);
      return follow(session, { subscription, write: writeRun, place });
    });
  });
}

function addAll(tail: Command): void {
  const all = tail
    .command('all')
    .description('follow every event and deletion, in the order in which they were committed')
    .option(
      '--from <where>',
      "behind a position, at the 'start' if the log goes back to it, or from 'now' on (default: now)",
      parsePosition,
    )
    .option('--journal <journal>', "only 'turns' or 'runs'", parseJournal);
  addExamples(all, [
    'eventlog tail all',
    'eventlog tail all --journal runs',
    'eventlog tail all --from 1200 --json | jq -c [.position,.streamId]',
  ]);
  all.action(
    async (flags: { readonly from?: number | 'now'; readonly journal?: 'turns' | 'runs' }) => {
      await runCommand(all, (session) => {
        const { from, journal } = flags;
        const afterPosition = from === 'now' ? undefined : from;
        const subscription = session.log.subscribeAll({ afterPosition, journal });
        const place = (): string => String(subscription.position);
        return follow(session, { subscription, write: writeEntry, place });
      });
    },
  );
}

function addStreamFrom(command: Command): void {
  command.option(
    '--from <where>',
    "behind a cursor GENERATION-SEQ or a seq, at the 'start', or from 'now' on",
    parseAfter,
    'start',
  );
}

/** Writes what comes, as slowly as it is read, until a signal or an error ends it. */
async function follow<Item>(
  { log, output }: Session,
  { subscription, write, place }: Followed<Item>,
): Promise<void> {
  const isPerson = process.stderr.isTTY;
  if (isPerson) tellOfConnection(log);
  exitOnSignal(() => {
    if (isPerson) warn([`ended; --from ${place()} goes on here`]);
  });
  for await (const item of subscription) await write(output, item);
}

function runOptionsOf(flags: RunFlags): RunSubscribeOptions {
  return {
    after: flags.from,
    runId: flags.run,
    categories: flags.category,
    eventTypes: flags.type,
    taskId: flags.task,
  };
}

function parseAfter(text: string): SubscribeAfter {
  if (text === 'start' || text === 'now') return text;
  if (/^\d+$/.test(text)) return parseCount(text);
  try {
    return parseCursor(text);
  } catch {
    throw new InvalidArgumentError("It must be a cursor such as 12-7, a seq, 'start' or 'now'.");
  }
}

function parsePosition(text: string): number | 'now' {
  if (text === 'now') return text;
  if (text === 'start') return 0;
  if (/^\d+$/.test(text)) return parseCount(text);
  throw new InvalidArgumentError("It must be a position, 'start' or 'now'.");
}

function parseJournal(text: string): 'turns' | 'runs' {
  if (text === 'turns' || text === 'runs') return text;
  throw new InvalidArgumentError("It must be 'turns' or 'runs'.");
}
