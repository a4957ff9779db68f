/** A real Chromium, and what its pages show of a conversation. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { type BrowserContext, chromium, type Page } from 'playwright-core';
import { makeFolder } from './daemon.js';
import { eventually } from './faults.js';

const PATIENCE_MS = 60_000;

/** Debian's browser, told to speak to nobody but the test. */
const ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** Keeps every state that the texts of answers were in, for a final text hides what came before. */
const WATCH = `
  window.seen = [];
  new MutationObserver(() => {
    for (const [at, words] of document.querySelectorAll('.parts .words').entries()) {
      const text = words.textContent;
      if (window.seen.findLast(([index]) => index === at)?.[1] !== text) window.seen.push([at, text]);
    }
  }).observe(document, { subtree: true, childList: true, characterData: true });
`;

/** A browser of its own, with nothing in it; ends with the test. */
export async function startBrowser(
  t: ExecutionContext,
  options: { readonly width?: number; readonly height?: number } = {},
): Promise<BrowserContext> {
  const { width = 1280, height = 800 } = options;
  const browser = await chromium.launchPersistentContext(join(await makeFolder(t), 'profile'), {
    executablePath: chromiumPath(),
    args: ARGUMENTS,
    viewport: { width, height },
  });
  t.teardown(() => browser.close());
  browser.setDefaultTimeout(PATIENCE_MS);
  browser.setDefaultNavigationTimeout(PATIENCE_MS);
  await browser.addInitScript(WATCH);
  return browser;
}

function chromiumPath(): string {
  const folders = (process.env['PATH'] ?? '').split(':');
  return folders.map((folder) => join(folder, 'chromium')).find(existsSync) ?? 'chromium';
}

/** Opens an address; an error of the page fails the test. */
export async function openPage(
  t: ExecutionContext,
  browser: BrowserContext,
  url: string,
): Promise<Page> {
  const page = await browser.newPage();
  page.on('pageerror', (error) => t.fail(`the page failed: ${String(error)}`));
  await page.goto(url);
  return page;
}

/** A turn as a page shows it. */
export interface ShownTurn {
  readonly state: string;
  readonly prompt: string;
  /** Texts without their line ends, and names of tools. */
  readonly parts: readonly string[];
}

/** The conversation that a page shows. */
export async function conversationOf(page: Page): Promise<ShownTurn[]> {
  return await page.evaluate<ShownTurn[]>(`
    [...document.querySelectorAll('.turn')].map((turn) => ({
      state: turn.dataset.state,
      prompt: turn.querySelector('.asked .words').textContent,
      parts: [...turn.querySelectorAll('.parts > *')].map((part) =>
        part.matches('.tool') ? part.querySelector('code').textContent : part.textContent,
      ),
    }))
  `);
}

/** Waits until the last turn is in that state; returns the conversation. */
export async function lastTurnIs(page: Page, state: string): Promise<ShownTurn[]> {
  return await eventually(
    () => conversationOf(page),
    (turns) => turns.at(-1)?.state === state,
  );
}

/** Waits until the last turn's answer has so many parts, and the last of them so many letters. */
export async function answerReaches(page: Page, parts: number, letters: number): Promise<void> {
  await eventually(
    () => conversationOf(page),
    (turns) => {
      const answer = turns.at(-1)?.parts ?? [];
      return answer.length >= parts && (answer.at(-1)?.length ?? 0) >= letters;
    },
  );
}

/** Every state of the texts of answers since the page was loaded: the index of the text, and it. */
export async function seenBy(page: Page): Promise<(readonly [number, string])[]> {
  return await page.evaluate<[number, string][]>('window.seen');
}
