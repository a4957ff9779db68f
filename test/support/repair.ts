/**
 * What there is to repair, `eventlog repair` as a process, and the same request of a client in
 * this one.
 */

import type { WholeAnswer } from '../../client/answer.js';
import { openClient } from '../../client/connect.js';
import type { NewRunEvent } from '../../client/index.js';
import { runCli } from './cli.js';
import type { Row } from './offline.js';

/** An event of thread `t`. */
export function event(run: string, content: string): NewRunEvent {
  return { thread_id: 't', run_id: run, event_type: 'x', category: 'message', content };
}

/** A line of thread `t` as no writer of ours writes it. */
export function foreignLine(run: string, seq: number, content: string): string {
  return `{"seq":\t${seq}, "thread_id":"t","run_id":"${run}","event_type":"x","category":"message","content":"${content}","nan":NaN}\n`;
}

export interface OnlineRepair {
  readonly code: number | null;
  readonly actions: readonly unknown[];
  readonly summary: Row;
  readonly stderr: string;
}

/** Runs the command, its output piped. */
export async function onlineRepair(dir: string, args: readonly string[]): Promise<OnlineRepair> {
  const { code, lines, stderr } = await runCli(['--dir', dir, 'repair', ...args]);
  const records = lines.map((line) => JSON.parse(line) as Row);
  const summary = records.at(-1) ?? {};
  return { code, actions: records.slice(0, -1).map(({ action }) => action), summary, stderr };
}

/** Repairs a stream from this process; rejects when the daemon goes away. */
export async function requestRepair(
  dir: string,
  [journal, id]: readonly ['turns' | 'runs', string],
): Promise<WholeAnswer> {
  const { log, connection } = await openClient({ dir });
  try {
    return await connection.submit(
      journal === 'turns'
        ? { type: 'turns.repair', sessionId: id, apply: true }
        : { type: 'runs.repair', threadId: id, apply: true },
      {},
    );
  } finally {
    await log.close();
  }
}
