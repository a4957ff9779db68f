// The chats at the side, and how each one's latest turn stands.
import { stateOf } from './conversation.js';
import { byId, element, showState } from './dom.js';

/** @typedef {import('./conversation.js').TurnEvent} TurnEvent */

/** Who the turns of this page are for. */
const AGENT = 'simulated';
const TITLE_MAX = 80;
const list = byId('sessions', HTMLElement);

/** A chat of the list. */
class Entry {
  element = element('li');
  #link = element('a');
  #title = element('span', 'title');
  #chip = element('span', 'chip');
  title = 'Chat';
  #seq = 0;
  #firstSeq = Infinity;
  /** When something happened last. */
  at = 0;

  /** @param {string} id */
  constructor(id) {
    this.#link.href = `#/chat/${id}`;
    this.#link.append(this.#title, this.#chip);
    this.element.append(this.#link);
  }

  /** @param {TurnEvent} event */
  apply(event) {
    this.at = Math.max(this.at, event.created_at);
    if (event.event === 'submitted' && event.seq < this.#firstSeq) {
      this.#firstSeq = event.seq;
      this.title = titleOf(event.content ?? '');
      this.#title.textContent = this.title;
    }
    if (event.seq < this.#seq) return;
    this.#seq = event.seq;
    showState(this.#chip, stateOf(event));
  }

  /** @param {boolean} isCurrent */
  mark(isCurrent) {
    if (isCurrent) this.#link.setAttribute('aria-current', 'page');
    else this.#link.removeAttribute('aria-current');
  }
}

/** All chats. */
export class Sidebar {
  /** @type {Map<string, Entry>} */
  #entries = new Map();
  /** @type {string | null} */
  #current = null;

  /**
   * Something happened to turns, in whatever order it is learnt. Turns of other programs have no
   * place here.
   *
   * @param {TurnEvent[]} events
   */
  apply(events) {
    for (const event of events) {
      const { session_id: id, agent } = event;
      if (this.#entries.has(id) || agent === AGENT) this.#entry(id).apply(event);
    }
    this.#show();
  }

  /** Begins anew. */
  clear() {
    this.#entries.clear();
    this.#show();
  }

  /** @param {string} sessionId */
  remove(sessionId) {
    this.#entries.delete(sessionId);
    this.#show();
  }

  /** @param {string | null} sessionId */
  select(sessionId) {
    this.#current = sessionId;
    this.#show();
  }

  /** @param {string | null} sessionId */
  titleOf(sessionId) {
    return this.#entries.get(sessionId ?? '')?.title ?? 'New chat';
  }

  /** @param {string} id */
  #entry(id) {
    const entry = this.#entries.get(id) ?? new Entry(id);
    this.#entries.set(id, entry);
    return entry;
  }

  #show() {
    for (const [id, entry] of this.#entries) entry.mark(id === this.#current);
    const sorted = [...this.#entries.values()].sort((a, b) => b.at - a.at);
    const elements = sorted.map((entry) => entry.element);
    // Moving an element takes the focus from it.
    if (elements.length === list.children.length && elements.every(isInPlace)) return;
    list.replaceChildren(...elements);
  }
}

/**
 * @param {Element} shown
 * @param {number} index
 */
function isInPlace(shown, index) {
  return list.children[index] === shown;
}

/** @param {string} prompt */
function titleOf(prompt) {
  const line = prompt.trim().replace(/\s+/g, ' ');
  return line.length > TITLE_MAX ? `${line.slice(0, TITLE_MAX)}…` : line;
}
