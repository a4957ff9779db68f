/**
 * What every command of the `eventlog` program needs: a client, the output, and how it ends.
 *
 * @module
 */
import type { Command } from 'commander';
import { openClient } from '../connect.js';
import type { Connection } from '../connection.js';
import type { EventLog } from '../event-log.js';
import { EXIT, problemOf } from './exit-codes.js';
import { Output } from './output.js';

/** The options that every command takes. */
interface GlobalOptions {
  readonly dir?: string;
  readonly socket?: string;
  readonly json?: true;
  readonly timeout: number;
  readonly wait: number;
}

/** A command under way. */
export interface Session {
  readonly log: EventLog;
  readonly connection: Connection;
  readonly output: Output;
}

/** Runs a command with a client; the exit code is the process's. */
export async function runCommand(
  command: Command,
  work: (session: Session) => Promise<void>,
): Promise<void> {
  const options = command.optsWithGlobals<GlobalOptions>();
  try {
    const { log, connection } = await openClient({
      dir: options.dir,
      socketPath: options.socket,
      waitMs: options.wait,
      timeoutMs: options.timeout,
      clientName: 'eventlog',
    });
    try {
      await work({ log, connection, output: new Output(process.stdout, options.json === true) });
    } finally {
      await log.close();
    }
  } catch (error) {
    fail(error);
  }
}

/** Says on standard error when the daemon goes and comes back. */
export function tellOfConnection(log: EventLog): void {
  log.on('disconnect', () => warn(['the daemon is away; waiting for it']));
  log.on('reconnect', () => warn(['the daemon is back']));
}

/** Ends the program well on a signal, for commands that go on until there is one. */
export function exitOnSignal(say: () => void = () => undefined): void {
  const end = (): void => {
    say();
    // What a slow reader has not taken yet would hold up every other end.
    process.exit(EXIT.ok);
  };
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
}

/** Says what went wrong and sets the exit code. */
export function fail(error: unknown): void {
  const { exitCode, lines } = problemOf(error);
  warn(lines);
  process.exitCode = exitCode;
}

/** Writes lines to standard error, the first with the program's name. */
export function warn(lines: readonly string[]): void {
  process.stderr.write(`eventlog: ${lines.join('\n  ')}\n`);
}
