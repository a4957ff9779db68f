/**
 * `eventlog states`, `pending`, `list` and `delete`.
 *
 * @module
 */
import type { Command } from 'commander';
import { jsonTextOf } from '../records.js';
import { addExamples, parseLimit } from './options.js';
import { showValue } from './output.js';
import { runCommand, type Session } from './session.js';

/** Adds the commands to the program. */
export function addOtherCommands(program: Command): void {
  addStates(program);
  addPending(program);
  addList(program);
  addDelete(program);
}

function addStates(program: Command): void {
  const states = program
    .command('states')
    .description('show the latest event of each turn of a session, and turns that ended twice')
    .argument('<session>', 'session id');
  addExamples(states, ['eventlog states s1', 'eventlog states s1 --json']);
  states.action(async (sessionId: string) => {
    await runCommand(states, (session) => writeStates(session, sessionId));
  });
}

async function writeStates({ log, output }: Session, sessionId: string): Promise<void> {
  const { states, collisions } = await log.turns.states(sessionId);
  if (output.format === 'ndjson') {
    for (const [turnId, event] of Object.entries(states)) {
      await output.line(`{"turnId":${JSON.stringify(turnId)},"state":${jsonTextOf(event)}}`);
    }
    for (const { turnId, events } of collisions) {
      const texts = events.map(jsonTextOf).join(',');
      await output.line(`{"turnId":${JSON.stringify(turnId)},"collision":[${texts}]}`);
    }
    return;
  }
  const collided = new Set(collisions.map(({ turnId }) => turnId));
  await output.table(
    ['turn_id', 'event', 'seq', 'collision'],
    Object.entries(states).map(([turnId, { event, seq }]) => [
      turnId,
      showValue(event),
      showValue(seq),
      collided.has(turnId) ? 'more than one terminal event' : '',
    ]),
  );
}

function addPending(program: Command): void {
  const pending = program
    .command('pending')
    .description('list the turns that have no terminal event, in all sessions or in one')
    .argument('[session]', 'session id')
    .option('--limit <n>', 'at most so many (default: all)', parseLimit);
  addExamples(pending, ['eventlog pending', 'eventlog pending s1 --json']);
  pending.action(async (sessionId: string | undefined, flags: { readonly limit?: number }) => {
    await runCommand(pending, (session) => writePending(session, sessionId, flags.limit));
  });
}

async function writePending(
  { log, output }: Session,
  sessionId: string | undefined,
  limit: number | undefined,
): Promise<void> {
  const pending = await log.turns.pending({ sessionId, limit });
  if (output.format === 'ndjson') {
    for (const turn of pending) {
      const ids = `"sessionId":${JSON.stringify(turn.sessionId)},"turnId":${JSON.stringify(turn.turnId)}`;
      const submitted = turn.submitted === null ? 'null' : jsonTextOf(turn.submitted);
      await output.line(`{${ids},"submitted":${submitted},"latest":${jsonTextOf(turn.latest)}}`);
    }
    return;
  }
  await output.table(
    ['session', 'turn_id', 'latest', 'submitted'],
    pending.map(({ sessionId: session, turnId, submitted, latest }) => [
      session,
      turnId,
      showValue(latest.event),
      showValue(submitted?.['content']),
    ]),
  );
}

function addList(program: Command): void {
  const list = program.command('list').description('list the streams of a journal');
  const turns = list.command('turns').description('list the sessions that have a turn journal');
  addExamples(turns, ['eventlog list turns']);
  turns.action(async () => {
    await runCommand(turns, async (session) =>
      writeIds(session, 'sessionId', await session.log.turns.sessionIds()),
    );
  });
  const runs = list.command('runs').description('list the threads that have runs');
  addExamples(runs, ['eventlog list runs --json']);
  runs.action(async () => {
    await runCommand(runs, async (session) =>
      writeIds(session, 'threadId', await session.log.runs.threadIds()),
    );
  });
}

async function writeIds(
  { output }: Session,
  key: 'sessionId' | 'threadId',
  ids: readonly string[],
): Promise<void> {
  for (const id of ids) {
    await output.line(output.format === 'ndjson' ? JSON.stringify({ [key]: id }) : id);
  }
}

function addDelete(program: Command): void {
  const remove = program
    .command('delete')
    .description('delete a session, a thread or a run for good');
  const turns = remove
    .command('turns')
    .description('delete a session with all its files')
    .argument('<session>', 'session id');
  addExamples(turns, ['eventlog delete turns s1']);
  turns.action(async (sessionId: string) => {
    await runCommand(turns, async (session) => {
      const deleted = await session.log.turns.delete(sessionId);
      await writeDeleted(session, deleted, { sessionId });
    });
  });
  const runs = remove
    .command('runs')
    .description('delete a thread, or one of its runs')
    .argument('<thread>', 'thread id')
    .argument('[run]', 'run id; without it the whole thread');
  addExamples(runs, ['eventlog delete runs t1', 'eventlog delete runs t1 r1']);
  runs.action(async (threadId: string, runId: string | undefined) => {
    await runCommand(runs, async (session) => {
      const deleted =
        runId === undefined
          ? await session.log.runs.deleteByThread(threadId)
          : await session.log.runs.deleteByRun(threadId, runId);
      await writeDeleted(session, deleted, { threadId, runId });
    });
  });
}

async function writeDeleted({ output }: Session, deleted: number, ids: object): Promise<void> {
  if (output.format === 'ndjson') await output.line(JSON.stringify({ ...ids, deleted }));
  else await output.line(`deleted ${deleted} events`);
}
