// Turns: taken, answered by the agent in one worker, ended once. Workers know of each other only
// through the event log.
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  EventLogError,
  IdempotencyKeyReusedError,
  StreamDeletedError,
  TurnTerminalError,
} from 'eventlogd';
import { answer } from './agent.js';
import { isWorkerThere } from './presence.js';
import { runEventOf } from './run-events.js';
import { toolsFor } from './tools.js';

/** Marks the turns that are for this agent: a directory may hold those of other programs, too. */
export const AGENT = 'simulated';
const AGAIN_MS = 1_000;

/**
 * A turn: its `streamId` is the key under which the browser sent it.
 *
 * @typedef {{ sessionId: string, streamId: string, turnId: string, prompt: string }} Turn
 */
/** @typedef {import('eventlogd').TurnEvent} TurnEvent */

/** The turns that this worker answers. */
export class Answering {
  /** @type {Map<string, { stop: AbortController, done: Promise<void> }>} */
  #running = new Map();
  #isStopping = false;
  #log;
  #workerId;
  #paceMs;

  /**
   * @param {import('eventlogd').EventLog} log
   * @param {{ workerId: string, paceMs: number }} options
   */
  constructor(log, { workerId, paceMs }) {
    this.#log = log;
    this.#workerId = workerId;
    this.#paceMs = paceMs;
  }

  /**
   * Takes a message. Sent again under the same key, by a browser that had no answer, it is the
   * same turn, whichever worker took it first.
   *
   * @param {string} sessionId
   * @param {string} key
   * @param {string} content
   * @returns {Promise<string>} its turn
   */
  async submit(sessionId, key, content) {
    const submitted = await this.#log.turns.appendForStream(
      sessionId,
      key,
      { event: 'submitted', role: 'user', content, agent: AGENT },
      { idempotencyKey: key },
    );
    const turnId = String(submitted.turn_id);
    this.#begin({ sessionId, streamId: key, turnId, prompt: content });
    return turnId;
  }

  /**
   * Ends a turn, whichever worker answers it: that one follows its turn, and stops.
   *
   * @param {string} sessionId
   * @param {string} turnId
   */
  async interrupt(sessionId, turnId) {
    const pending = await this.#log.turns.pending({ sessionId });
    const turn = pending.find((one) => one.turnId === turnId);
    const streamId = turn?.submitted?.stream_id;
    if (typeof streamId !== 'string') return;
    await this.#end({ sessionId, streamId }, { event: 'interrupted', reason: 'stopped' });
  }

  /**
   * Looks after open turns. One that nobody has begun is begun here. One whose worker is gone is
   * ended: as completed if the answer is all there, else as interrupted. All others are somebody's.
   * Workers may do this at the same time: of each turn only the first claim and the first end count.
   */
  async lookAfterOpenTurns() {
    for (const { sessionId, turnId, submitted, latest } of await this.#log.turns.pending()) {
      if (submitted?.['agent'] !== AGENT || this.#running.has(turnId)) continue;
      const streamId = String(submitted.stream_id);
      const turn = { sessionId, streamId, turnId, prompt: String(submitted['content']) };
      if (latest.event === 'submitted') this.#begin(turn);
      else if (!(await isWorkerThere(latest['worker']))) await this.#endAbandoned(turn);
    }
  }

  /**
   * Lets the answers under way come to their end, and interrupts what has not by then.
   *
   * @param {number} graceMs
   */
  async stop(graceMs) {
    this.#isStopping = true;
    const all = () => Promise.all([...this.#running.values()].map(({ done }) => done));
    await Promise.race([all(), sleep(graceMs)]);
    for (const { stop } of this.#running.values()) {
      stop.abort(new Error('its worker was stopped'));
    }
    await all();
  }

  /** @param {Turn} turn */
  #begin(turn) {
    if (this.#isStopping || this.#running.has(turn.turnId)) return;
    const stop = new AbortController();
    const done = this.#answer(turn, stop)
      .catch((error) => console.error(`turn ${turn.turnId} of ${turn.sessionId}:`, error))
      .finally(() => this.#running.delete(turn.turnId));
    this.#running.set(turn.turnId, { stop, done });
  }

  /**
   * @param {Turn} turn
   * @param {AbortController} stop
   */
  async #answer(turn, stop) {
    const claim = await this.#claim(turn);
    if (claim === null) return;
    void this.#stopWhenEnded(turn, claim, stop);
    try {
      await this.#putPrompt(turn);
      await this.#append(turn, { event: 'assistant_started', worker: this.#workerId });
      const { prompt, turnId: runId } = turn;
      const tools = toolsFor(this.#log, turn);
      const task = { prompt, runId, paceMs: this.#paceMs, tools, signal: stop.signal };
      const { signal } = stop;
      for await (const step of answer(task)) {
        await this.#log.runs.put(runEventOf(turn, step), { signal });
      }
      await this.#log.runs.put(runEventOf(turn, { kind: 'end' }), { signal });
      await this.#end(turn, { event: 'completed' });
    } catch (error) {
      const cause = stop.signal.aborted ? stop.signal.reason : error;
      // An event of a turn that was deleted would begin the session anew.
      if (cause instanceof StreamDeletedError) return;
      await this.#end(turn, { event: 'interrupted', reason: cause.message });
    } finally {
      stop.abort();
    }
  }

  /**
   * Makes the turn this worker's: of all that try, one appends under this key. Its own retries
   * over a lost connection carry the same text, and count as the same.
   *
   * @param {Turn} turn
   * @returns {Promise<TurnEvent | null>} null if it is another's, or over
   */
  async #claim({ sessionId, streamId }) {
    const event = { event: 'worker_started', worker: this.#workerId, claim: randomUUID() };
    const options = { idempotencyKey: `${streamId}:claim`, unlessTerminal: true };
    try {
      return await this.#log.turns.appendForStream(sessionId, streamId, event, options);
    } catch (error) {
      const isAnothers = error instanceof IdempotencyKeyReusedError;
      if (isAnothers || error instanceof TurnTerminalError) return null;
      throw error;
    }
  }

  /**
   * Follows the turn, for anybody may end it: a person through another worker, or a worker that
   * takes this one for dead.
   *
   * @param {Turn} turn
   * @param {TurnEvent} claim
   * @param {AbortController} stop
   */
  async #stopWhenEnded({ sessionId, turnId }, claim, stop) {
    const subscription = this.#log.turns.subscribe(sessionId, {
      after: claim.seq,
      signal: stop.signal,
    });
    try {
      for await (const { turn_id, event } of subscription) {
        if (turn_id === turnId && event === 'interrupted') break;
      }
      stop.abort(new Error('it was ended elsewhere'));
    } catch (error) {
      // Aborted when the turn is over; deleted when the session is.
      stop.abort(error);
    }
  }

  /** @param {Turn} turn */
  async #putPrompt(turn) {
    await this.#log.runs.putIfAbsent(runEventOf(turn, { kind: 'prompt' }));
  }

  /** @param {Turn} turn */
  async #endAbandoned(turn) {
    await this.#putPrompt(turn);
    const { sessionId, turnId } = turn;
    const ends = await this.#log.runs.listEvents(sessionId, turnId, { eventTypes: ['run.end'] });
    const event =
      ends.length > 0
        ? { event: 'completed' }
        : { event: 'interrupted', reason: 'its worker died' };
    await this.#end(turn, event);
  }

  /**
   * Ends a turn unless it has ended. What is over must not look as if it were under way, so this
   * goes on until it is said.
   *
   * @param {Pick<Turn, 'sessionId' | 'streamId'>} turn
   * @param {import('eventlogd').NewTurnEvent} event
   */
  async #end(turn, event) {
    for (;;) {
      try {
        await this.#append(turn, event);
        return;
      } catch (error) {
        if (error instanceof TurnTerminalError) return;
        const passes =
          error instanceof EventLogError && (error.retryable || error.outcome === 'unknown');
        if (!passes || this.#isStopping) throw error;
        await sleep(AGAIN_MS);
      }
    }
  }

  /**
   * @param {Pick<Turn, 'sessionId' | 'streamId'>} turn
   * @param {import('eventlogd').NewTurnEvent} event
   */
  async #append({ sessionId, streamId }, event) {
    await this.#log.turns.appendForStream(sessionId, streamId, event, { unlessTerminal: true });
  }
}
