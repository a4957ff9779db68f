// The page: what is open, and what is said of the connection.
import { Chat } from './chat.js';
import { Composer } from './composer.js';
import { byId } from './dom.js';
import { Feed } from './feed.js';
import { ask, randomId } from './server.js';
import { Sidebar } from './sidebar.js';

/** How long something may be away before the page says so. */
const PATIENCE_MS = 700;
const AGAIN_MS = 1_000;
const CHAT_PATH = /^#\/chat\/([A-Za-z0-9_-]{1,64})$/;

const welcome = byId('welcome', HTMLElement);
const conversation = byId('conversation', HTMLElement);
const state = byId('state', HTMLElement);
const title = byId('title', HTMLElement);
const banner = byId('banner', HTMLElement);
const link = byId('link', HTMLElement);
const served = byId('served', HTMLElement);
const sidebarElement = byId('sidebar', HTMLElement);
const menu = byId('menu', HTMLButtonElement);
const veil = byId('veil', HTMLButtonElement);

/** @typedef {import('./conversation.js').TurnEvent} TurnEvent */
/** @typedef {{ streamId: string, event?: TurnEvent }} Entry what happened to a session; without an event, it was deleted */

const sidebar = new Sidebar();
/** @type {Chat | null} */
let chat = null;
/** @type {Feed<Entry>} */
let turns;
let isListed = false;
let isLogThere = true;
let workerName = '';
/** @type {ReturnType<typeof setTimeout> | undefined} */
let patience;

const composer = new Composer(() => {
  if (chat === null) {
    const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
    location.hash = `#/chat/${time}-${randomId(4)}`;
    open();
  }
  return /** @type {Chat | null} */ (chat)?.sessionId ?? '';
});

window.addEventListener('hashchange', open);
for (const button of document.querySelectorAll('#suggestions button')) {
  button.addEventListener('click', () => void composer.submit(button.textContent ?? ''));
}
menu.addEventListener('click', () => showDrawer(menu.getAttribute('aria-expanded') !== 'true'));
veil.addEventListener('click', () => showDrawer(false));
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape') showDrawer(false);
});
followTurns();
open();
if (!matchMedia('(max-width: 760px)').matches) composer.focus();

/** Opens the chat that the address names. */
function open() {
  const sessionId = CHAT_PATH.exec(location.hash)?.[1] ?? null;
  showDrawer(false);
  if (sessionId === (chat?.sessionId ?? null)) return;
  chat?.close();
  chat =
    sessionId === null
      ? null
      : new Chat(sessionId, {
          onChange: showAll,
          onGone: () => {
            // It was deleted, or begun anew: either way what is shown is no more.
            location.hash = '#/';
          },
        });
  welcome.hidden = chat !== null;
  conversation.hidden = chat === null;
  if (chat === null) state.hidden = true;
  sidebar.select(sessionId);
  showAll();
}

/** Follows the turns of all sessions, from now on; then reads how they stood. */
function followTurns() {
  isListed = false;
  sidebar.clear();
  const listener = {
    onEvent: applyEntry,
    onCaughtUp: list,
    onEnd: followTurns,
    onState: showConnection,
  };
  turns = new Feed('/api/turns', null, listener, new Map([['worker', showWorker]]));
}

async function list() {
  if (isListed) return;
  isListed = true;
  for (;;) {
    try {
      const answer = /** @type {{ events: TurnEvent[] }} */ (await ask('GET', '/api/sessions'));
      sidebar.apply(answer.events);
      showAll();
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

/** @param {Entry} entry */
function applyEntry({ streamId, event }) {
  if (event === undefined) {
    sidebar.remove(streamId);
    return;
  }
  sidebar.apply([event]);
  if (streamId === chat?.sessionId) chat.applyTurnEvent(event);
  showAll();
}

/** @param {string} facts what the worker tells of itself, as JSON */
function showWorker(facts) {
  ({ workerName, isLogThere } = JSON.parse(facts));
  showConnection();
}

function showAll() {
  composer.showOpenTurn(chat?.openTurn?.id ?? null);
  title.textContent = sidebar.titleOf(chat?.sessionId ?? null);
  document.title = `${title.textContent} · eventlogd chat`;
  showConnection();
}

/** Says what is wrong, if it is wrong for more than a moment. */
function showConnection() {
  const isServed = turns.isOpen && (chat?.isOpen ?? true);
  const isGood = isServed && isLogThere;
  link.dataset['state'] = isGood ? 'open' : 'connecting';
  served.textContent = isServed ? `served by ${workerName}` : 'connecting …';
  banner.textContent = isServed
    ? 'The event log is away. What is under way goes on when it is back; nothing is lost.'
    : 'Reconnecting … What is said meanwhile will follow.';
  if (isGood) {
    clearTimeout(patience);
    patience = undefined;
    banner.hidden = true;
  } else {
    patience ??= setTimeout(() => {
      banner.hidden = false;
    }, PATIENCE_MS);
  }
}

/** @param {boolean} isShown */
function showDrawer(isShown) {
  const hadFocus = sidebarElement.contains(document.activeElement);
  if (!isShown && hadFocus && menu.getAttribute('aria-expanded') === 'true') menu.focus();
  menu.setAttribute('aria-expanded', String(isShown));
  sidebarElement.classList.toggle('shown', isShown);
  veil.hidden = !isShown;
  if (isShown) sidebarElement.querySelector('a')?.focus();
}
