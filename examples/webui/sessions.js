// What the pages are shown to begin with. They are given the texts of events as they stand on
// disk, and follow the streams from there on.
import { detailsOf, formatCursor } from 'eventlogd';
import { AGENT } from './answering.js';
import { DELTA } from './run-events.js';

/** @typedef {import('eventlogd').EventLog} EventLog */
/** @typedef {import('eventlogd').TurnEvent} TurnEvent */
/** @typedef {import('eventlogd').RunEvent} RunEvent */

const SESSIONS_MAX = 100;
const MESSAGES_MAX = 60;
const DELTAS_MAX = 10_000;

/**
 * The sessions of the sidebar: how each began, and how its turns stand. Ids begin with a time, so
 * the last ones are the newest.
 *
 * @param {EventLog} log
 * @returns {Promise<string>} JSON
 */
export async function listSessions(log) {
  const ids = (await log.turns.sessionIds()).slice(-SESSIONS_MAX);
  const sessions = await Promise.all(
    ids.map(async (id) => {
      const { events } = await log.turns.read(id, { limit: 1 });
      const { states } = await log.turns.states(id);
      return events[0]?.['agent'] === AGENT ? [...events, ...Object.values(states)] : [];
    }),
  );
  return `{"events":${textOf(sessions.flat())}}`;
}

/**
 * The latest messages of a session, or the last ones before a seq, with what belongs to them: how
 * their turns stand, the pieces of answers that never became whole, and where to go on.
 *
 * @param {EventLog} log
 * @param {string} sessionId
 * @param {number} [beforeSeq]
 * @returns {Promise<string>} JSON
 */
export async function readMessages(log, sessionId, beforeSeq) {
  // First of all the place from which the page goes on: what comes behind it is not read here.
  const head = await log.runs.head(sessionId);
  const [{ states }, found] = await Promise.all([
    log.turns.states(sessionId),
    log.runs.listMessages(sessionId, {
      limit: MESSAGES_MAX + 1,
      beforeSeq: beforeSeq ?? head.seq + 1,
    }),
  ]);
  const messages = found.slice(-MESSAGES_MAX);
  const runIds = new Set(messages.map(({ run_id }) => run_id));
  const turns = Object.entries(states).filter(
    ([turnId, { event }]) => runIds.has(turnId) || (beforeSeq === undefined && !isOver(event)),
  );
  const partial = turns.filter(([, { event }]) => event !== 'completed');
  const deltas = await Promise.all(partial.map(([turnId]) => deltasOf(turnId)));
  return `{${[
    `"cursor":${JSON.stringify(formatCursor(head))}`,
    `"hasEarlier":${found.length > messages.length}`,
    `"turns":${textOf(turns.map(([, event]) => event))}`,
    `"messages":${textOf(messages)}`,
    `"deltas":${textOf(deltas.flat())}`,
  ].join(',')}}`;

  /** @param {string} runId */
  async function deltasOf(runId) {
    const options = { eventTypes: [DELTA], limit: DELTAS_MAX };
    const events = await log.runs.listEvents(sessionId, runId, options);
    return events.filter(({ seq }) => seq <= head.seq);
  }
}

/** @param {string | undefined} event */
function isOver(event) {
  return event === 'completed' || event === 'interrupted';
}

/** @param {readonly (TurnEvent | RunEvent)[]} events */
function textOf(events) {
  return `[${events.map((event) => detailsOf(event).text).join(',')}]`;
}
