/** Workers of the chat page as processes, and what a browser asks them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { EventLogError, type TurnEvent } from '../../client/index.js';
import { ROOT } from './docs.js';
import { eventually } from './faults.js';

/** The example as it lies in the repository: it has no build. */
export const WEBUI: string = join(ROOT, 'examples', 'webui');

/** So slow that an answer does not end within a test. */
export const ENDLESS_MS = 5_000;

/** A worker under way. */
export interface Worker {
  readonly url: string;
  readonly port: number;
  readonly process: ChildProcess;
  /** Everything it has written so far. */
  readonly output: () => string;
  readonly ended: Promise<number | null>;
  /** Sends a signal and waits for its end. */
  readonly kill: (signal: NodeJS.Signals) => Promise<number | null>;
}

/** How a worker is started. */
export interface WorkerOptions {
  /** The journal directory, in a folder of the test's own: workers find each other beside it. */
  readonly dir: string;
  readonly port?: number;
  /** How long a word takes. */
  readonly paceMs?: number;
}

/** What programs of the example find in their environment. */
export function webuiEnv({ dir, port = 0, paceMs = 1 }: WorkerOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    EVENTLOGD_DIR: dir,
    PORT: String(port),
    WEBUI_PACE_MS: String(paceMs),
    TMPDIR: join(dir, '..'),
  };
}

/** Starts a worker and waits until it says that it is ready; it ends with the test. */
export async function startWorker(t: ExecutionContext, options: WorkerOptions): Promise<Worker> {
  const child = fork(join(WEBUI, 'server.js'), {
    env: webuiEnv(options),
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  const ended = once(child, 'close').then(([code]) => code as number | null);
  const kill = async (signal: NodeJS.Signals): Promise<number | null> => {
    child.kill(signal);
    return await ended;
  };
  t.teardown(() => kill('SIGKILL'));
  const messages: unknown[] = [];
  child.on('message', (message) => messages.push(message));
  const url = await eventually(
    () => {
      if (child.exitCode !== null) throw new Error(`the worker ended: ${output}`);
      return messages.includes('ready') ? (/http:\S+/.exec(output)?.[0] ?? '') : '';
    },
    (found) => found !== '',
  );
  const port = Number(new URL(url).port);
  return { url, port, process: child, output: () => output, ended, kill };
}

/** The address under which a browser sends a message. */
export function turnUrl(worker: Worker, sessionId: string, key: string): string {
  return `${worker.url}/api/sessions/${sessionId}/turns/${key}`;
}

/** Sends a message; returns its turn. */
export async function say(url: string, content: string): Promise<string> {
  const response = await fetch(url, { method: 'PUT', body: JSON.stringify({ content }) });
  const { turnId, error } = (await response.json()) as { turnId?: string; error?: string };
  if (turnId === undefined) throw new Error(`${response.status}: ${error}`);
  return turnId;
}

/** What of a client is asked here. */
interface TurnReader {
  readonly turns: { readonly read: (id: string) => Promise<{ events: TurnEvent[] }> };
}

/** The events of a turn, in their order. */
export async function eventsOf(
  log: TurnReader,
  sessionId: string,
  turnId: string,
): Promise<TurnEvent[]> {
  const { events } = await log.turns.read(sessionId);
  return events.filter(({ turn_id }) => turn_id === turnId);
}

/** Waits until a turn has had that event; returns its events. */
export async function turnReaches(
  log: TurnReader,
  [sessionId, turnId]: readonly [string, string],
  event: string,
): Promise<TurnEvent[]> {
  return await eventually(
    async () => {
      try {
        return await eventsOf(log, sessionId, turnId);
      } catch (error) {
        if (error instanceof EventLogError && error.retryable) return [];
        throw error;
      }
    },
    (events) => events.some((one) => one.event === event),
  );
}
