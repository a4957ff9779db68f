// A turn on the page. It is changed in place, so that what somebody selects or unfolds stays.
import { isOver } from './conversation.js';
import { element, showState } from './dom.js';

/** @typedef {import('./conversation.js').Turn} Turn */
/** @typedef {import('./conversation.js').Part} Part */

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

/** The element of one turn. */
export class TurnView {
  element = element('li', 'turn');
  #prompt = new Words();
  #time = element('time', 'when');
  #parts = element('div', 'parts');
  #chip = element('span', 'chip');
  #reason = element('span', 'reason');
  /** @type {Map<string, (isOver: boolean) => void>} */
  #updates = new Map();

  /** @param {string} turnId */
  constructor(turnId) {
    this.element.dataset['turn'] = turnId;
    const asked = element('div', 'asked', element('h2', 'unseen', 'You'), this.#prompt.element);
    const state = element('p', 'state', this.#chip, this.#reason, this.#time);
    const answer = element('div', 'answer', element('h2', 'unseen', 'Answer'), this.#parts, state);
    this.element.append(asked, answer);
  }

  /** @param {Turn} turn */
  update({ prompt, at, parts, state, reason }) {
    const over = isOver(state);
    this.#prompt.show(prompt);
    if (at !== null) {
      this.#time.dateTime = at.toISOString();
      this.#time.textContent = TIME.format(at);
    }
    for (const part of parts) this.#updateOf(part)(over);
    this.element.dataset['state'] = state;
    // Told as a whole when it is whole, not word by word.
    this.#parts.setAttribute('aria-busy', String(!over));
    showState(this.#chip, state);
    this.#reason.textContent = state === 'interrupted' ? reason : '';
  }

  /**
   * @param {Part} part
   * @returns {(isOver: boolean) => void}
   */
  #updateOf(part) {
    const known = this.#updates.get(part.id);
    if (known !== undefined) return known;
    const made = part.kind === 'text' ? showText(part) : showTool(part);
    this.#parts.append(made.element);
    this.#updates.set(part.id, made.update);
    return made.update;
  }
}

/** A text in paragraphs. Where it grows, only the last of them is touched. */
class Words {
  element = element('div', 'words');
  #shown = '';

  /** @param {string} text */
  show(text) {
    if (text === this.#shown) return;
    this.#shown = text;
    for (const [index, words] of text.split('\n\n').entries()) {
      const paragraph = this.element.children[index] ?? this.element.appendChild(element('p'));
      if (paragraph.textContent !== words) paragraph.textContent = words;
    }
  }
}

/** @param {import('./conversation.js').TextPart} part */
function showText(part) {
  const words = new Words();
  /** @param {boolean} over */
  const update = (over) => {
    words.show(part.text);
    words.element.classList.toggle('under-way', !part.isWhole && !over);
    words.element.classList.toggle('broken-off', !part.isWhole && over);
  };
  return { element: words.element, update };
}

/** @param {import('./conversation.js').ToolPart} part */
function showTool(part) {
  const status = element('span', 'tool-status');
  const result = element('pre', 'result');
  const shown = element(
    'details',
    'tool',
    element('summary', '', element('code', '', part.name), status),
    element('h3', '', 'Asked with'),
    element('pre', '', JSON.stringify(part.args, null, 2)),
    element('h3', '', 'Result'),
    result,
  );
  /** @param {boolean} over */
  const update = (over) => {
    const state = part.isWhole ? 'done' : over ? 'no result' : 'working';
    if (status.textContent === state) return;
    status.textContent = state;
    shown.dataset['state'] = state;
    result.textContent = part.isWhole ? JSON.stringify(part.result, null, 2) : '–';
  };
  return { element: shown, update };
}
