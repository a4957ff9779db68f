// Small helpers for making elements.

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {string} [className]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function element(name, className = '', ...children) {
  const made = document.createElement(name);
  if (className !== '') made.className = className;
  made.append(...children);
  return made;
}

/**
 * The element of the page with that id.
 *
 * @template {typeof HTMLElement} Type
 * @param {string} id
 * @param {Type} type
 * @returns {InstanceType<Type>}
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`the page has no ${type.name} ${id}`);
  return /** @type {InstanceType<Type>} */ (found);
}

/** @type {Record<import('./conversation.js').TurnState, string>} */
const STATE_WORDS = {
  waiting: 'Waiting',
  starting: 'Starting',
  streaming: 'Streaming',
  completed: 'Completed',
  interrupted: 'Interrupted',
};

/**
 * Shows a turn's state: as a word, never by its colour alone.
 *
 * @param {HTMLElement} chip
 * @param {import('./conversation.js').TurnState} state
 */
export function showState(chip, state) {
  if (chip.dataset['state'] === state) return;
  chip.dataset['state'] = state;
  chip.textContent = STATE_WORDS[state];
}
