// Following a stream of the server over everything that may end it: a worker that stops or dies, a
// network that fails, a tab that is put away.

/** After an answer that is none the browser gives up for good; this page does not. */
const AGAIN_MS = 1_000;

/**
 * @template Item
 * @typedef {object} FeedListener
 * @property {(data: Item) => void} onEvent each event once, in order
 * @property {() => void} [onCaughtUp] all that was there has come, once for each connection
 * @property {(what: 'deleted' | 'expired') => void} onEnd there is nothing to go on from
 * @property {() => void} onState it has connected, or lost its connection
 */

/**
 * Events of one stream. The place is the id of the last event: a browser that connects again sends
 * it by itself as `Last-Event-ID`; where this page opens a connection anew, it names it.
 *
 * @template Item
 */
export class Feed {
  /** @type {EventSource | null} */
  #source = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #again;
  #isClosed = false;
  #path;
  /** @type {string | null} */
  #place;
  #listener;
  #others;

  /**
   * @param {string} path
   * @param {string | null} place where to begin; null is up to the server
   * @param {FeedListener<Item>} listener
   * @param {Map<string, (data: string) => void>} [others] what to do with events of other names
   */
  constructor(path, place, listener, others = new Map()) {
    this.#path = path;
    this.#place = place;
    this.#listener = listener;
    this.#others = others;
    document.addEventListener('visibilitychange', this.#look);
    this.#look();
  }

  /** Whether it is connected; a tab that is put away has no need to be. */
  get isOpen() {
    return document.hidden || this.#source?.readyState === EventSource.OPEN;
  }

  close() {
    this.#isClosed = true;
    document.removeEventListener('visibilitychange', this.#look);
    this.#disconnect();
  }

  /** A browser opens six connections to a server at most, so hidden tabs leave theirs to others. */
  #look = () => {
    if (document.hidden) this.#disconnect();
    else if (this.#source === null) this.#connect();
  };

  #connect() {
    const query = this.#place === null ? '' : `?after=${this.#place}`;
    const source = new EventSource(`${this.#path}${query}`);
    this.#source = source;
    /** @type {(name: string, take: (data: string) => void) => void} */
    const on = (name, take) => {
      source.addEventListener(name, (/** @type {MessageEvent<string>} */ { data, lastEventId }) => {
        // What was under way when the feed was closed is nobody's business any more.
        if (this.#source !== source) return;
        if (lastEventId !== '') this.#place = lastEventId;
        take(data);
      });
    };
    on('message', (data) => this.#listener.onEvent(JSON.parse(data)));
    on('caught-up', () => this.#listener.onCaughtUp?.());
    for (const what of /** @type {const} */ (['deleted', 'expired'])) {
      on(what, () => {
        this.close();
        this.#listener.onEnd(what);
      });
    }
    for (const [name, take] of this.#others) on(name, take);
    source.addEventListener('open', () => this.#listener.onState());
    source.addEventListener('error', () => {
      this.#listener.onState();
      if (source.readyState !== EventSource.CLOSED || this.#source !== source) return;
      this.#source = null;
      this.#again = setTimeout(this.#look, AGAIN_MS);
    });
  }

  #disconnect() {
    clearTimeout(this.#again);
    this.#source?.close();
    this.#source = null;
    if (!this.#isClosed) this.#listener.onState();
  }
}
