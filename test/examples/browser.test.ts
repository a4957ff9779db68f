/** The chat page in a real Chromium, its workers and its daemon, over all that may happen to them. */
import test, { type ExecutionContext, type Implementation } from 'ava';
import type { Page, Request } from 'playwright-core';
import type { EventLog } from '../../client/index.js';
import {
  answerReaches,
  conversationOf,
  lastTurnIs,
  openPage,
  type ShownTurn,
  seenBy,
  startBrowser,
} from '../support/chromium.js';
import { startDaemonProcess } from '../support/daemon.js';
import { client, eventually, testWith } from '../support/faults.js';
import { ENDLESS_MS, say, startWorker, turnUrl } from '../support/webui.js';

/** Slow enough that a daemon can be restarted and a page be loaded anew in the midst of an answer. */
const SLOW_MS = 120;

/** One after the other: a browser is many processes. */
function inBrowser(title: string, body: Implementation<[]>): void {
  testWith(['chromium'], title, body, test.serial);
}

/** The conversation as the journals hold it, in the form in which pages show it. */
async function conversationIn(log: EventLog, sessionId: string): Promise<ShownTurn[]> {
  const { states } = await log.turns.states(sessionId);
  const turns = new Map<string, { state: string; prompt: string; parts: string[] }>();
  for (const { run_id, content } of await log.runs.listMessages(sessionId, { limit: 10_000 })) {
    const begun = { state: String(states[run_id]?.event), prompt: '', parts: [] };
    const turn = turns.get(run_id) ?? begun;
    turns.set(run_id, turn);
    const message = content as {
      readonly type: string;
      readonly content: string;
      readonly tool_calls?: readonly { readonly name: string }[];
    };
    if (message.type === 'human') turn.prompt = message.content;
    if (message.type === 'ai') {
      const tools = message.tool_calls?.map(({ name }) => name) ?? [];
      turn.parts.push(message.content.replaceAll('\n\n', ''), ...tools);
    }
  }
  return [...turns.values()];
}

/** Whatever a page has ever shown of a text is a beginning of what the text became. */
async function onlyGrew(t: ExecutionContext, page: Page): Promise<void> {
  const seen = await seenBy(page);
  const texts = (await conversationOf(page)).flatMap(({ parts }) => parts.filter(isText));
  const wrong = seen.filter(([at, text]) => texts[at]?.startsWith(text) !== true);
  t.deepEqual(wrong, []);
  t.true(seen.length > texts.length);
}

/** Names of tools have no blanks. */
function isText(part: string): boolean {
  return part.includes(' ');
}

async function sessionOf(page: Page): Promise<string> {
  return await eventually(
    () => /#\/chat\/(.+)$/.exec(page.url())?.[1] ?? '',
    (id) => id !== '',
  );
}

async function send(page: Page, text: string): Promise<void> {
  await page.locator('#message').fill(text);
  await page.keyboard.press('Enter');
}

inBrowser(
  'two tabs, two workers; the daemon is killed and a tab loaded anew in the midst of an answer',
  async (t) => {
    t.timeout(300_000);
    const daemon = await startDaemonProcess(t);
    const { dir } = daemon;
    const log = await client(t, dir);
    const [one, two] = await Promise.all([
      startWorker(t, { dir, paceMs: SLOW_MS }),
      startWorker(t, { dir, paceMs: SLOW_MS }),
    ]);
    const browser = await startBrowser(t);
    const left = await openPage(t, browser, one.url);
    const right = await openPage(t, browser, two.url);
    const both = [left, right];
    await send(left, 'What becomes of my message?');
    const sessionId = await sessionOf(left);
    // The other tab learns of it by itself.
    await right.locator('#sessions a', { hasText: 'What becomes of my message?' }).click();
    await Promise.all(both.map((page) => answerReaches(page, 3, 30)));

    await daemon.kill('SIGKILL');
    await Promise.all(
      both.map((page) => page.locator('#banner', { hasText: 'is away' }).waitFor()),
    );
    await startDaemonProcess(t, { dir });
    await Promise.all(both.map((page) => page.locator('#banner').waitFor({ state: 'hidden' })));
    const before = (await conversationOf(right)).at(-1)?.parts.at(-1) ?? '';
    await right.reload();
    const [again] = await lastTurnIs(right, 'streaming');
    // What it had shown is there again at once, and not from its beginning word by word.
    t.true(again?.parts.at(-1)?.startsWith(before), JSON.stringify(again));

    for (const page of both) {
      t.deepEqual(await lastTurnIs(page, 'completed'), await conversationIn(log, sessionId));
      await onlyGrew(t, page);
    }
    t.is((await conversationOf(left)).length, 1);
  },
);

inBrowser('workers that die: the one that serves a tab, then the one that answers', async (t) => {
  t.timeout(300_000);
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  const [answering, serving] = await Promise.all([
    startWorker(t, { dir, paceMs: SLOW_MS }),
    startWorker(t, { dir }),
  ]);
  const browser = await startBrowser(t);
  const page = await openPage(t, browser, serving.url);
  await page.locator('#served', { hasText: 'served by' }).waitFor();
  const turnId = await say(turnUrl(answering, 's', 'k'), 'Which worker is it?');
  await page.locator('#sessions a').click();
  await answerReaches(page, 3, 10);

  const asked: Request[] = [];
  page.on('request', (request) => {
    if (request.url().includes('/events')) asked.push(request);
  });
  await serving.kill('SIGKILL');
  await page.locator('#banner', { hasText: 'Reconnecting' }).waitFor();
  await startWorker(t, { dir, port: serving.port });
  await page.locator('#banner').waitFor({ state: 'hidden' });
  const { generation } = await log.runs.head('s');
  const headers = (await asked.at(-1)?.allHeaders()) ?? {};
  t.regex(headers['last-event-id'] ?? '', new RegExp(`^${generation}-\\d+$`));
  const shown = (await conversationOf(page)).at(-1)?.parts.at(-1)?.length ?? 0;
  await answerReaches(page, 3, shown + 1);

  await answering.kill('SIGKILL');
  await startWorker(t, { dir });
  const [turn] = await lastTurnIs(page, 'interrupted');
  t.true(await page.locator('.turn .reason', { hasText: 'its worker died' }).isVisible());
  await onlyGrew(t, page);
  // What was said until then is what the journal holds of it.
  const pieces = { eventTypes: ['llm.ai.delta'], limit: 10_000 };
  const said = (await log.runs.listEvents('s', turnId, pieces)).map(({ content }) => content);
  t.is(turn?.parts.filter(isText).join(''), said.join('').replaceAll('\n\n', ''));
  // And the chat goes on.
  await send(page, 'Once more');
  const turns = await lastTurnIs(page, 'completed');
  t.deepEqual(
    turns.map(({ state }) => state),
    ['interrupted', 'completed'],
  );
});

inBrowser('the keyboard, the stop button, and a tool that fails', async (t) => {
  t.timeout(300_000);
  const { dir } = await startDaemonProcess(t);
  const [slow, quick] = await Promise.all([
    startWorker(t, { dir, paceMs: ENDLESS_MS }),
    startWorker(t, { dir }),
  ]);
  const browser = await startBrowser(t);
  const left = await openPage(t, browser, slow.url);
  t.true(await left.locator('#welcome').isVisible());
  // The box has the focus, so one just writes.
  await left.keyboard.type('one');
  await left.keyboard.press('Shift+Enter');
  await left.keyboard.type('two');
  t.is(await left.locator('#message').inputValue(), 'one\ntwo');
  t.deepEqual(await conversationOf(left), []);
  await left.keyboard.press('Enter');
  const [turn] = await lastTurnIs(left, 'streaming');
  t.is(turn?.prompt, 'one\ntwo');
  t.is(await left.locator('#message').inputValue(), '');

  const right = await openPage(t, browser, `${quick.url}/#/chat/${await sessionOf(left)}`);
  await lastTurnIs(right, 'streaming');
  await right.locator('#stop').click();
  await Promise.all([lastTurnIs(left, 'interrupted'), lastTurnIs(right, 'interrupted')]);
  t.true(await left.locator('.turn .reason', { hasText: 'stopped' }).isVisible());
  await left.locator('#send').waitFor();

  await right.locator('.new-chat').click();
  await right.locator('#suggestions button', { hasText: 'fails' }).click();
  await lastTurnIs(right, 'interrupted');
  const tool = right.locator('.tool');
  t.is(await tool.getAttribute('open'), null);
  t.is(await tool.locator('.tool-status').textContent(), 'no result');
  // Both chats stand at the side, in both tabs, with their states as words.
  for (const page of [left, right]) {
    const chips = page.locator('#sessions .chip');
    await eventually(
      () => chips.allTextContents(),
      (words) => words.join() === 'Interrupted,Interrupted',
    );
  }
});

inBrowser('a long chat, a chat that is deleted, and a tab that is put away', async (t) => {
  t.timeout(300_000);
  const { dir } = await startDaemonProcess(t);
  const log = await client(t, dir);
  const worker = await startWorker(t, { dir });
  const answered = async (): Promise<unknown> =>
    await eventually(
      async () => (await log.turns.pending()).length,
      (pending) => pending === 0,
    );
  const said = Array.from({ length: 20 }, (_, at) => `message ${at}`);
  for (const [at, text] of said.entries()) {
    await say(turnUrl(worker, 'long', `k${at}`), text);
    await answered();
  }
  const browser = await startBrowser(t);
  const page = await openPage(t, browser, `${worker.url}/#/chat/long`);
  await lastTurnIs(page, 'completed');
  const promptsOf = async (): Promise<string[]> =>
    (await conversationOf(page)).map(({ prompt }) => prompt);
  // The last sixty messages, four of a turn.
  t.deepEqual(await promptsOf(), said.slice(5));
  await page.locator('#earlier').click();
  await eventually(promptsOf, ({ length }) => length === said.length);
  t.deepEqual(await conversationOf(page), await conversationIn(log, 'long'));
  t.false(await page.locator('#earlier').isVisible());

  // Put away, it takes no part; brought back, it is told once what happened meanwhile.
  const setHidden = async (isHidden: boolean): Promise<void> => {
    await page.evaluate(`
      Object.defineProperty(document, 'hidden', { configurable: true, value: ${isHidden} });
      document.dispatchEvent(new Event('visibilitychange'));
    `);
  };
  await setHidden(true);
  await eventually(
    async () => (await log.stats()).subscriptions,
    (count) => count === 0,
  );
  await say(turnUrl(worker, 'long', 'away'), 'while it was away');
  await answered();
  t.is((await promptsOf()).length, said.length);
  await setHidden(false);
  await eventually(promptsOf, ({ length }) => length === said.length + 1);
  await lastTurnIs(page, 'completed');
  t.deepEqual(await conversationOf(page), await conversationIn(log, 'long'));

  await log.turns.delete('long');
  await log.runs.deleteByThread('long');
  await page.locator('#welcome').waitFor();
  t.is(await page.locator('#sessions a').count(), 0);
});

inBrowser('a phone: nothing is wider than the page, the chats are behind a button', async (t) => {
  t.timeout(300_000);
  const { dir } = await startDaemonProcess(t);
  const worker = await startWorker(t, { dir });
  const browser = await startBrowser(t, { width: 360, height: 640 });
  const page = await openPage(t, browser, worker.url);
  await send(page, `${'a-long-word-'.repeat(20)} and a question`);
  await lastTurnIs(page, 'completed');
  await page.locator('.tool summary').click();
  const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
  t.is(await page.evaluate<number>(overflow), 0);
  const menu = page.locator('#menu');
  const entry = page.locator('#sessions a');
  t.false(await entry.isVisible());
  await menu.click();
  await entry.waitFor();
  t.is(await menu.getAttribute('aria-expanded'), 'true');
  t.is(await page.locator(':focus').getAttribute('href'), '#/');
  await page.keyboard.press('Escape');
  await entry.waitFor({ state: 'hidden' });
  t.is(await menu.getAttribute('aria-expanded'), 'false');
  t.is(await page.locator(':focus').getAttribute('id'), 'menu');
});
