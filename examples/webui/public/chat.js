// The chat that is open: read once, then followed.
import { Conversation, isOver } from './conversation.js';
import { byId, showState } from './dom.js';
import { keepAtEnd } from './end.js';
import { Feed } from './feed.js';
import { ask } from './server.js';
import { TurnView } from './turn-view.js';

const AGAIN_MS = 1_000;

/** @typedef {import('./conversation.js').TurnEvent} TurnEvent */
/** @typedef {import('./conversation.js').RunEvent} RunEvent */
/**
 * A part of a session, as it was read. `cursor`: where its events go on.
 *
 * @typedef {{ cursor: string, hasEarlier: boolean, turns: TurnEvent[], messages: RunEvent[], deltas: RunEvent[] }} Page
 */

const end = keepAtEnd();
const list = byId('turns', HTMLElement);
const chip = byId('state', HTMLElement);
const earlier = byId('earlier', HTMLButtonElement);
const announcer = byId('announcer', HTMLElement);

/** One session on the page. */
export class Chat {
  sessionId;
  #conversation = new Conversation();
  /** @type {Map<string, TurnView>} */
  #views = new Map();
  /** @type {Feed<RunEvent> | null} */
  #feed = null;
  #listener;
  #isClosed = false;
  #firstSeq = Infinity;
  /** What happened to turns while the session was being read. @type {TurnEvent[]} */
  #early = [];

  /**
   * @param {string} sessionId
   * @param {{ onChange: () => void, onGone: () => void }} listener
   */
  constructor(sessionId, listener) {
    this.sessionId = sessionId;
    this.#listener = listener;
    list.replaceChildren();
    chip.hidden = true;
    earlier.hidden = true;
    earlier.onclick = () => void this.#readEarlier();
    void this.#read();
  }

  /** Whether it is given what happens. */
  get isOpen() {
    return this.#feed?.isOpen ?? false;
  }

  /** The turn that is under way, if there is one. */
  get openTurn() {
    return this.#conversation.open;
  }

  close() {
    this.#isClosed = true;
    this.#feed?.close();
    announcer.textContent = '';
  }

  /**
   * Something happened to a turn of this session.
   *
   * @param {TurnEvent} event
   */
  applyTurnEvent(event) {
    if (this.#feed === null) {
      this.#early.push(event);
      return;
    }
    const turn = this.#conversation.turn(event.turn_id);
    const wasOver = isOver(turn.state);
    turn.applyTurnEvent(event);
    if (isOver(turn.state) && !wasOver) announcer.textContent = `Answer ${turn.state}`;
    this.#show(turn.id);
  }

  async #read() {
    for (;;) {
      try {
        const page = /** @type {Page} */ (await ask('GET', `/api/sessions/${this.sessionId}`));
        if (!this.#isClosed) this.#begin(page);
        return;
      } catch {
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
        if (this.#isClosed) return;
      }
    }
  }

  /** @param {Page} page */
  #begin(page) {
    this.#take(page);
    const path = `/api/sessions/${this.sessionId}/events`;
    this.#feed = new Feed(path, page.cursor, {
      onEvent: (event) => this.#applyRunEvent(event),
      onEnd: () => this.#listener.onGone(),
      onState: () => this.#listener.onChange(),
    });
    for (const event of this.#early.splice(0)) this.applyTurnEvent(event);
    end.goThere();
    this.#listener.onChange();
  }

  async #readEarlier() {
    earlier.disabled = true;
    try {
      const path = `/api/sessions/${this.sessionId}?before=${this.#firstSeq}`;
      const page = /** @type {Page} */ (await ask('GET', path));
      if (!this.#isClosed) end.holdWhile(() => this.#take(page));
    } catch {
      // The button is still there.
    } finally {
      earlier.disabled = false;
    }
  }

  /**
   * Takes in what was read: pieces before the whole that they became.
   *
   * @param {Page} page
   */
  #take({ turns, messages, deltas, hasEarlier }) {
    const touched = new Set();
    for (const event of turns) {
      this.#conversation.turn(event.turn_id).applyTurnEvent(event);
      touched.add(event.turn_id);
    }
    for (const event of [...messages, ...deltas].sort((a, b) => a.seq - b.seq)) {
      this.#conversation.turn(event.run_id).applyRunEvent(event);
      touched.add(event.run_id);
    }
    this.#firstSeq = Math.min(this.#firstSeq, messages[0]?.seq ?? Infinity);
    earlier.hidden = !hasEarlier;
    for (const turnId of touched) this.#show(turnId);
  }

  /** @param {RunEvent} event */
  #applyRunEvent(event) {
    this.#conversation.turn(event.run_id).applyRunEvent(event);
    this.#show(event.run_id);
  }

  /** @param {string} turnId */
  #show(turnId) {
    const view = this.#views.get(turnId) ?? this.#makeView(turnId);
    view.update(this.#conversation.turn(turnId));
    const latest = this.#conversation.turns.at(-1);
    if (latest !== undefined) showState(chip, latest.state);
    chip.hidden = latest === undefined;
    this.#order();
    this.#listener.onChange();
  }

  /** @param {string} turnId */
  #makeView(turnId) {
    const view = new TurnView(turnId);
    this.#views.set(turnId, view);
    return view;
  }

  /** Puts what is not in its place where it belongs. */
  #order() {
    let next = list.firstElementChild;
    for (const { id } of this.#conversation.turns) {
      const view = this.#views.get(id)?.element;
      if (view === undefined) continue;
      if (view === next) next = next.nextElementSibling;
      else list.insertBefore(view, next);
    }
  }
}
