// A conversation, made of events: of the turns, which say how far each has come, and of the runs,
// which hold what was said. No page: only what is true.

/**
 * An event of a session's turns, as far as the page looks at it.
 *
 * @typedef {object} TurnEvent
 * @property {number} seq
 * @property {string} session_id
 * @property {string} turn_id
 * @property {string} event
 * @property {number} created_at in seconds
 * @property {string} [content] the message, of `submitted`
 * @property {string} [agent] who the turn is for, of `submitted`
 * @property {string} [reason] of `interrupted`
 */
/** @typedef {{ id: string, name: string, args: unknown }} ToolCall */
/**
 * An event of a turn's run: what was said.
 *
 * @typedef {{ seq: number, run_id: string, created_at: string } & (
 *   | { event_type: 'llm.human.input', content: { content: string } }
 *   | { event_type: 'llm.ai.delta', content: string, metadata: { message_id: string } }
 *   | { event_type: 'llm.ai.response', content: { id: string, content: string, tool_calls: ToolCall[] } }
 *   | { event_type: 'llm.tool.result', content: { tool_call_id: string, content: unknown } }
 *   | { event_type: 'run.end' }
 * )} RunEvent
 */
/** @typedef {'waiting' | 'starting' | 'streaming' | 'completed' | 'interrupted'} TurnState */
/**
 * A part of an answer, in the order in which they began. `isWhole`: nothing more comes to it.
 *
 * @typedef {{ kind: 'text', id: string, text: string, isWhole: boolean }} TextPart
 * @typedef {{ kind: 'tool', id: string, name: string, args: unknown, result: unknown, isWhole: boolean }} ToolPart
 * @typedef {TextPart | ToolPart} Part
 */

/** @type {Record<string, TurnState>} */
const STATE_OF = {
  submitted: 'waiting',
  worker_started: 'starting',
  assistant_started: 'streaming',
  completed: 'completed',
  interrupted: 'interrupted',
};

/**
 * The state that an event brings a turn into.
 *
 * @param {TurnEvent} event
 * @returns {TurnState}
 */
export function stateOf(event) {
  return STATE_OF[event.event] ?? 'starting';
}

/** @param {TurnState} state */
export function isOver(state) {
  return state === 'completed' || state === 'interrupted';
}

/** One message and its answer. */
export class Turn {
  id;
  /** The seq of its first event in the thread; none as long as there is none. */
  firstSeq = Infinity;
  /** The seq of its latest event in the session. */
  #stateSeq = 0;
  /** @type {TurnState} */
  state = 'waiting';
  /** Why it was interrupted. */
  reason = '';
  prompt = '';
  /** @type {Date | null} */
  at = null;
  /** @type {Part[]} */
  parts = [];

  /** @param {string} id */
  constructor(id) {
    this.id = id;
  }

  /**
   * How far the turn has come: the latest event counts, in whatever order they are learnt.
   *
   * @param {TurnEvent} event
   */
  applyTurnEvent(event) {
    if (event.event === 'submitted') {
      this.prompt = event.content ?? '';
      this.at = new Date(event.created_at * 1000);
    }
    if (event.seq <= this.#stateSeq) return;
    this.#stateSeq = event.seq;
    this.state = stateOf(event);
    this.reason = event.reason ?? '';
  }

  /** @param {RunEvent} event */
  applyRunEvent(event) {
    this.firstSeq = Math.min(this.firstSeq, event.seq);
    switch (event.event_type) {
      case 'llm.human.input':
        this.prompt = event.content.content;
        this.at = new Date(event.created_at);
        break;
      case 'llm.ai.delta':
        this.#textPart(event.metadata.message_id).text += event.content;
        break;
      case 'llm.ai.response': {
        const { id, content: text, tool_calls: calls } = event.content;
        Object.assign(this.#textPart(id), { text, isWhole: true });
        for (const call of calls) {
          this.parts.push({ kind: 'tool', ...call, result: null, isWhole: false });
        }
        break;
      }
      case 'llm.tool.result': {
        const { tool_call_id: id, content: result } = event.content;
        const tool = this.parts.find((part) => part.id === id);
        if (tool !== undefined) Object.assign(tool, { result, isWhole: true });
        break;
      }
      case 'run.end':
        break;
    }
  }

  /**
   * @param {string} id
   * @returns {TextPart}
   */
  #textPart(id) {
    const found = this.parts.find((part) => part.id === id);
    if (found?.kind === 'text') return found;
    /** @type {TextPart} */
    const part = { kind: 'text', id, text: '', isWhole: false };
    this.parts.push(part);
    return part;
  }
}

/** The turns of a session. */
export class Conversation {
  /** @type {Map<string, Turn>} */
  #turns = new Map();

  /** In the order in which they were begun. */
  get turns() {
    return [...this.#turns.values()].sort((a, b) => compare(a.firstSeq, b.firstSeq));
  }

  /** The turn that is under way. */
  get open() {
    return this.turns.findLast(({ state }) => !isOver(state));
  }

  /**
   * @param {string} id
   * @returns {Turn} new, if nothing of it was known
   */
  turn(id) {
    const turn = this.#turns.get(id) ?? new Turn(id);
    this.#turns.set(id, turn);
    return turn;
  }
}

/**
 * @param {number} a
 * @param {number} b
 */
function compare(a, b) {
  return a === b ? 0 : a - b;
}
