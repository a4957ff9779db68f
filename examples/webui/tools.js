// The tools of the simulated agent.

/** @typedef {import('./agent.js').Tool} Tool */

/**
 * The tools as they are in one turn.
 *
 * @param {import('eventlogd').EventLog} log
 * @param {{ sessionId: string, turnId: string }} turn
 * @returns {Map<string, Tool>}
 */
export function toolsFor(log, { sessionId, turnId }) {
  return new Map(
    Object.entries({
      read_journal: async () => ({
        turnEvents: (await log.turns.head(sessionId)).seq,
        messages: await log.runs.countMessages(sessionId),
        file: `threads/${sessionId}/runs/${turnId}.jsonl`,
      }),
      daemon_stats: async () => {
        const { commits, events, fsyncs, health } = await log.stats();
        return { commits, events, fsyncs, health };
      },
      whoami: async () => {
        const { connections, subscriptions } = await log.stats();
        return { pid: process.pid, connections, subscriptions };
      },
      unreliable_service: () => Promise.reject(new Error('unreliable_service does not answer')),
    }),
  );
}
