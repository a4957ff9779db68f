/**
 * `eventlog repair`: lifts the fence of a stream while the daemon serves all others; says what it
 * would do unless it is told to.
 *
 * @module
 */
import type { Command } from 'commander';
import { ProtocolError } from '../../shared/errors.js';
import type { WholeAnswer } from '../answer.js';
import type { Submission } from '../call.js';
import { EXIT } from './exit-codes.js';
import { addExamples } from './options.js';
import { runCommand, type Session } from './session.js';

const WHAT_IT_DOES = `
What it does: takes what the files hold now as the stream's content, gives events that share a seq
new ones, and takes malformed lines out. All that is replaced or taken out is kept in
.eventlogd/quarantine. The stream waits meanwhile, all others go on.

Exit codes: 0 nothing is to be done, or all is done; 1 something is to be done, or could not be.`;

interface RepairFlags {
  readonly apply?: true;
}

/** Adds the command to the program. */
export function addRepairCommand(program: Command): void {
  const repair = program
    .command('repair')
    .description('lift the fence of a stream (a dry run unless --apply)');
  const turns = repair
    .command('turns')
    .description("repair a session's turn journal")
    .argument('<session>', 'session id')
    .option('--apply', 'do it; without it nothing is changed');
  addExamples(turns, ['eventlog repair turns s1', 'eventlog repair turns s1 --apply']);
  turns.action(async (sessionId: string, { apply }: RepairFlags) => {
    await runCommand(turns, (session) =>
      repairStream(session, { type: 'turns.repair', sessionId, apply }),
    );
  });
  const runs = repair
    .command('runs')
    .description('repair a thread with all its runs')
    .argument('<thread>', 'thread id')
    .option('--apply', 'do it; without it nothing is changed');
  addExamples(runs, [
    'eventlog repair runs t1',
    'eventlog repair runs t1 --apply --json',
    'eventlog --timeout 600000 repair runs large-thread --apply',
  ]);
  runs.action(async (threadId: string, { apply }: RepairFlags) => {
    await runCommand(runs, (session) =>
      repairStream(session, { type: 'runs.repair', threadId, apply }),
    );
  });
  for (const command of [turns, runs]) command.addHelpText('after', WHAT_IT_DOES);
}

async function repairStream(session: Session, request: Submission): Promise<void> {
  const answer = await session.connection.submit(request, {}).catch((error: unknown) => {
    throw error instanceof ProtocolError ? tooOld(error) : error;
  });
  await writeRepair(session, answer);
  const { actions, applied } = answer;
  process.exitCode = applied || actions.length === 0 ? EXIT.ok : EXIT.refused;
}

function tooOld({ message, outcome }: ProtocolError): ProtocolError {
  const next = "update the daemon, or stop it and run 'eventlogd repair'";
  return new ProtocolError(
    `this daemon repairs no stream while it runs (${message}): ${next}`,
    outcome,
  );
}

async function writeRepair({ output }: Session, answer: WholeAnswer): Promise<void> {
  const { actions, applied } = answer;
  const left = actions.filter(({ action }) => action === 'leave').length;
  if (output.format === 'ndjson') {
    for (const { action, file, detail } of actions) {
      await output.line(JSON.stringify({ kind: 'action', action, file, detail }));
    }
    const counts = { applied, actions: actions.length - left, left };
    await output.line(JSON.stringify({ kind: 'summary', ...counts }));
    return;
  }
  if (actions.length === 0) return await output.line('nothing to repair');
  await output.table(
    ['action', 'file', 'detail'],
    actions.map(({ action, file, detail }) => [action, file, detail]),
  );
  if (left > 0) await output.line('nothing was changed');
  else await output.line(applied ? 'done' : 'nothing was changed; --apply does it');
}
