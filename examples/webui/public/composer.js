// Writing messages. One that the server did not answer for is sent again under the same key: taken
// twice, it is still one message.
import { byId } from './dom.js';
import { ask, Refused, randomId } from './server.js';

const AGAIN_MS = 1_000;
const HEIGHT_MAX = 220;

const form = byId('composer', HTMLFormElement);
const message = byId('message', HTMLTextAreaElement);
const send = byId('send', HTMLButtonElement);
const stop = byId('stop', HTMLButtonElement);
const problem = byId('problem', HTMLElement);

/** The box at the foot of the page. */
export class Composer {
  #isSending = false;
  /** @type {string | null} */
  #openTurn = null;
  #sessionId;

  /** @param {() => string} sessionId the session that a message is for, made if there is none */
  constructor(sessionId) {
    this.#sessionId = sessionId;
    message.addEventListener('input', () => this.#fit());
    message.addEventListener('keydown', (event) => {
      // While a word is being composed, as in Japanese, Enter ends the word.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.submit(message.value);
    });
    stop.addEventListener('click', () => void this.#stop());
    this.#fit();
  }

  /**
   * Shows whether an answer is under way, which can be stopped.
   *
   * @param {string | null} turnId
   */
  showOpenTurn(turnId) {
    if (turnId === this.#openTurn) return;
    const hadFocus = document.activeElement === stop || document.activeElement === send;
    this.#openTurn = turnId;
    stop.hidden = turnId === null;
    stop.disabled = false;
    send.hidden = turnId !== null;
    if (hadFocus) message.focus();
  }

  focus() {
    message.focus();
  }

  /** @param {string} text */
  async submit(text) {
    if (this.#isSending || this.#openTurn !== null || text.trim() === '') return;
    this.#isSending = true;
    message.value = text;
    this.#fit();
    const path = `/api/sessions/${this.#sessionId()}/turns/${randomId(12)}`;
    try {
      while (!(await this.#put(path, text))) {
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    } finally {
      this.#isSending = false;
      this.#fit();
    }
    message.focus();
  }

  /**
   * @param {string} path
   * @param {string} content
   * @returns {Promise<boolean>} whether there is no more to be done
   */
  async #put(path, content) {
    try {
      await ask('PUT', path, { content });
      message.value = '';
      problem.textContent = '';
      return true;
    } catch (error) {
      if (error instanceof Refused) {
        problem.textContent = `Not sent: ${error.message}`;
        return true;
      }
      problem.textContent = 'Not sent yet, trying again …';
      return false;
    }
  }

  async #stop() {
    stop.disabled = true;
    try {
      await ask('DELETE', `/api/sessions/${this.#sessionId()}/turns/${this.#openTurn}`);
    } catch {
      problem.textContent = 'Not stopped: the server did not answer';
      stop.disabled = false;
    }
  }

  /** As high as the message, up to a limit. */
  #fit() {
    message.readOnly = this.#isSending;
    send.disabled = this.#isSending || message.value.trim() === '';
    message.style.height = 'auto';
    message.style.height = `${Math.min(message.scrollHeight, HEIGHT_MAX)}px`;
  }
}
