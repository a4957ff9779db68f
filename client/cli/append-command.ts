/**
 * `eventlog append`.
 *
 * @module
 */
import type { Command } from 'commander';
import { InvalidArgumentError } from '../../shared/errors.js';
import type { RunEvent, TurnEvent } from '../../shared/events.js';
import { putRunTexts } from '../run-appends.js';
import { appendTurnText } from '../turn-appends.js';
import type { AppendOptions } from '../types.js';
import { appendLines } from './append-lines.js';
import { writeRuns, writeTurns } from './event-table.js';
import { type InputLine, splitLines } from './input-lines.js';
import { addExamples, parseCount } from './options.js';
import { withRunIds } from './run-text.js';
import { fail, runCommand, type Session, warn } from './session.js';

interface AppendFlags {
  readonly expectedSeq?: number;
  readonly key?: string;
}

/** Appends one event's text and shows the event. */
interface Appender<Event> {
  readonly append: (text: Uint8Array, options: AppendOptions) => Promise<Event>;
  readonly write: (events: readonly Event[]) => Promise<void>;
  /** The stream, for messages. */
  readonly stream: string;
}

/** Adds the command to the program. */
export function addAppendCommand(program: Command): void {
  const append = program
    .command('append')
    .description('append events, as JSON by argument or one a line on standard input');
  addTurns(append);
  addRuns(append);
}

function addTurns(append: Command): void {
  const command = append
    .command('turns')
    .description("append events to a session's turn journal")
    .argument('<session>', 'session id')
    .argument('[json]', 'one event; without it each line of standard input is one')
    .option('--stream <id>', 'append for this stream: its latest turn is continued')
    .option('--unless-terminal', 'refuse if the turn has ended');
  addAppendOptions(command);
  addExamples(command, [
    `eventlog append turns s1 '{"event":"submitted","content":"hi"}'`,
    `eventlog append turns s1 --stream run-7 '{"event":"worker_started"}'`,
    `eventlog append turns s1 --key import-1 < events.jsonl`,
  ]);
  command.action(
    async (
      sessionId: string,
      json: string | undefined,
      flags: AppendFlags & { readonly stream?: string; readonly unlessTerminal?: true },
    ) => {
      await runCommand(command, async (session) => {
        const target = { sessionId, streamId: flags.stream };
        await appendAll<TurnEvent>(session, json, flags, {
          append: (text, options) =>
            appendTurnText(session.connection, target, text, {
              ...options,
              unlessTerminal: flags.unlessTerminal,
            }),
          write: (events) => writeTurns(session.output, events),
          stream: `session ${sessionId}`,
        });
      });
    },
  );
}

function addRuns(append: Command): void {
  const command = append
    .command('runs')
    .description('append events to a run of a thread')
    .argument('<thread>', 'thread id')
    .argument('<run>', 'run id')
    .argument('[json]', 'one event; without it each line of standard input is one');
  addAppendOptions(command);
  addExamples(command, [
    `eventlog append runs t1 r1 '{"event_type":"run.start","category":"trace"}'`,
    `eventlog append runs t1 r1 --expected-seq 0 '{"event_type":"run.start","category":"trace"}'`,
    `eventlog append runs t1 r1 < events.jsonl`,
  ]);
  command.action(
    async (threadId: string, runId: string, json: string | undefined, flags: AppendFlags) => {
      await runCommand(command, async (session) => {
        const { connection } = session;
        await appendAll<RunEvent>(session, json, flags, {
          append: (text, options) => {
            const whole = withRunIds(text, { threadId, runId }, connection.limits.eventBytesMax);
            const putting = putRunTexts(connection, [whole], options);
            return putting.then(({ events }) => events[0] as RunEvent);
          },
          write: (events) => writeRuns(session.output, events),
          stream: `run ${runId} of thread ${threadId}`,
        });
      });
    },
  );
}

function addAppendOptions(command: Command): void {
  command
    .option(
      '--expected-seq <seq>',
      "refuse unless this is the stream's last seq; counts on from line to line",
      parseCount,
    )
    .option(
      '--key <key>',
      'idempotency key, so that the append can be repeated; for lines KEY:LINE-NUMBER',
    );
}

async function appendAll<Event>(
  session: Session,
  json: string | undefined,
  flags: AppendFlags,
  appender: Appender<Event>,
): Promise<void> {
  const { expectedSeq, key } = flags;
  if (key === '') throw new InvalidArgumentError('--key', '--key must not be empty');
  if (json !== undefined) {
    const options = { expectedSeq, idempotencyKey: key };
    await appender.write([await appender.append(Buffer.from(json), options)]);
    return;
  }
  if (process.stdin.isTTY) warn(['reading events, one a line; end with Ctrl-D']);
  let started = 0;
  const append = (line: InputLine): Promise<Event> => {
    const expected = expectedSeq === undefined ? undefined : expectedSeq + started;
    started += 1;
    return appender.append(line.bytes, {
      expectedSeq: expected,
      idempotencyKey: key === undefined ? undefined : `${key}:${line.number}`,
    });
  };
  const lines = splitLines(process.stdin, session.connection.limits.eventBytesMax);
  const isShown = session.output.format === 'ndjson';
  const { appended, failed } = await appendLines(lines, {
    append,
    write: async (event) => {
      if (isShown) await appender.write([event]);
    },
  });
  const summary = `${appended} events were appended to ${appender.stream}`;
  if (failed === null) {
    if (appended === 0) warn(['standard input held no event']);
    else if (!isShown) await session.output.line(summary);
    return;
  }
  process.stdin.destroy();
  fail(failed.error);
  const where = failed.line === null ? 'stopped' : `stopped at line ${failed.line}`;
  warn([`${where}: ${summary}`]);
}
