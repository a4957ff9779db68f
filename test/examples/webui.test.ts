/** Workers of the chat page: real daemons, real processes, and everything but the page itself. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { TurnEvent } from '../../client/index.js';
import { startDaemonProcess } from '../support/daemon.js';
import { eventually } from '../support/faults.js';
import { served } from '../support/served.js';
import { askRaw, Browser } from '../support/sse.js';
import {
  ENDLESS_MS,
  eventsOf,
  say,
  startWorker,
  turnReaches,
  turnUrl,
  WEBUI,
  webuiEnv,
} from '../support/webui.js';

const CLUSTER = fileURLToPath(new URL('../support/webui-cluster.process.js', import.meta.url));
/** A worker that there never was. */
const NOBODY = 'c0ffee000000';
const WHOLE = ['submitted', 'worker_started', 'assistant_started', 'completed'];
const INTERRUPTED = [...WHOLE.slice(0, 3), 'interrupted'];

function namesOf(events: readonly TurnEvent[]): unknown[] {
  return events.map(({ event }) => event);
}

test.serial('a message sent twice, to two workers, is one turn with one answer', async (t) => {
  const { dir, log } = await served(t);
  const [one, two] = await Promise.all([startWorker(t, { dir }), startWorker(t, { dir })]);
  const turns = await Promise.all(
    [one, two, one, two].map((worker) => say(turnUrl(worker, 's', 'key'), 'hi')),
  );
  t.is(new Set(turns).size, 1);
  const [turnId = ''] = turns;
  await turnReaches(log, ['s', turnId], 'completed');
  // Later it is the same still.
  t.is(await say(turnUrl(two, 's', 'key'), 'hi'), turnId);
  t.deepEqual(namesOf(await eventsOf(log, 's', turnId)), WHOLE);
  t.is((await log.turns.read('s')).events.length, WHOLE.length);
  const run = await log.runs.listEvents('s', turnId, { limit: 10_000 });
  const types = run.map(({ event_type }) => event_type).filter((type) => type !== 'llm.ai.delta');
  t.deepEqual(types, [
    'llm.human.input',
    'llm.ai.response',
    'llm.tool.result',
    'llm.ai.response',
    'run.end',
  ]);
  // The pieces of each message are the message.
  for (const { event_type, content } of run) {
    if (event_type !== 'llm.ai.response') continue;
    const message = content as { readonly id: string; readonly content: string };
    const pieces = run.filter(({ metadata }) => metadata['message_id'] === message.id);
    t.is(pieces.map((piece) => piece.content).join(''), message.content);
  }
});

test.serial('another message under the same key is refused', async (t) => {
  const { dir } = await served(t);
  const worker = await startWorker(t, { dir });
  const url = turnUrl(worker, 's', 'key');
  await say(url, 'hi');
  await t.throwsAsync(say(url, 'ho'), { message: /^409: / });
});

test.serial(
  'a worker that is killed: its turn is interrupted once, those of others go on',
  async (t) => {
    const { dir, log } = await served(t);
    const [dead, living] = await Promise.all([
      startWorker(t, { dir, paceMs: ENDLESS_MS }),
      startWorker(t, { dir, paceMs: ENDLESS_MS }),
    ]);
    const lost = await say(turnUrl(dead, 's', 'one'), 'hi');
    const kept = await say(turnUrl(living, 's', 'two'), 'ho');
    await turnReaches(log, ['s', lost], 'assistant_started');
    await turnReaches(log, ['s', kept], 'assistant_started');
    await dead.kill('SIGKILL');
    const next = await Promise.all(Array.from({ length: 3 }, () => startWorker(t, { dir })));
    const events = await turnReaches(log, ['s', lost], 'interrupted');
    t.is(events.at(-1)?.['reason'], 'its worker died');
    // Who has answered a message has looked for open turns long ago.
    const probes = await Promise.all(
      next.map((worker, at) => say(turnUrl(worker, 'probe', `p${at}`), 'hi')),
    );
    for (const turnId of probes) await turnReaches(log, ['probe', turnId], 'completed');
    t.deepEqual(namesOf(await eventsOf(log, 's', lost)), INTERRUPTED);
    t.deepEqual(namesOf(await eventsOf(log, 's', kept)), WHOLE.slice(0, 3));
    t.deepEqual((await log.turns.states('s')).collisions, []);
    // The socket by which it was known to live is gone, too.
    const sockets = (await readdir(join(dir, '..'))).filter((name) => name.endsWith('.sock'));
    t.is(sockets.length, 4);
  },
);

test.serial('open turns that a worker finds when it starts', async (t) => {
  const { dir, log } = await served(t);
  const begin = async (key: string, more: object, ...names: readonly string[]): Promise<string> => {
    const submitted = { event: 'submitted', content: 'hi', ...more };
    const { turn_id } = await log.turns.appendForStream('s', key, submitted);
    for (const event of names) {
      await log.turns.appendForStream('s', key, { event, worker: NOBODY });
    }
    return String(turn_id);
  };
  const agent = { agent: 'simulated' };
  const waiting = await begin('waiting', agent);
  const claimed = await begin('claimed', agent, 'worker_started');
  const unsaid = await begin('unsaid', agent, 'worker_started', 'assistant_started');
  const end = { event_type: 'run.end', category: 'lifecycle' };
  await log.runs.put({ thread_id: 's', run_id: unsaid, ...end });
  const foreign = await begin('foreign', {});
  await Promise.all([startWorker(t, { dir }), startWorker(t, { dir })]);
  // Nobody had begun it: one of them does, and it is answered.
  t.deepEqual(namesOf(await turnReaches(log, ['s', waiting], 'completed')), WHOLE);
  // Its answer was all there.
  t.deepEqual(namesOf(await turnReaches(log, ['s', unsaid], 'completed')), WHOLE);
  // Nothing was said, but what it was asked is not lost.
  await turnReaches(log, ['s', claimed], 'interrupted');
  const messages = await log.runs.listMessagesByRun('s', claimed);
  t.deepEqual(
    messages.map(({ content }) => content),
    [{ type: 'human', content: 'hi' }],
  );
  t.deepEqual(namesOf(await eventsOf(log, 's', foreign)), ['submitted']);
});

test.serial('a turn is stopped through another worker', async (t) => {
  const { dir, log } = await served(t);
  const [one, two] = await Promise.all([
    startWorker(t, { dir, paceMs: ENDLESS_MS }),
    startWorker(t, { dir }),
  ]);
  const turnId = await say(turnUrl(one, 's', 'key'), 'hi');
  await turnReaches(log, ['s', turnId], 'assistant_started');
  const { status } = await fetch(turnUrl(two, 's', turnId), { method: 'DELETE' });
  t.is(status, 200);
  const events = await eventsOf(log, 's', turnId);
  t.deepEqual(namesOf(events), INTERRUPTED);
  t.is(events.at(-1)?.['reason'], 'stopped');
  // Who stops it again, or what never was, changes nothing.
  await fetch(turnUrl(two, 's', turnId), { method: 'DELETE' });
  await fetch(turnUrl(two, 's', 'nothing'), { method: 'DELETE' });
  t.is(await one.kill('SIGINT'), 0);
  t.deepEqual(namesOf((await log.turns.read('s')).events), INTERRUPTED);
});

test.serial(
  'a worker that is told to stop lets go of its pages, and says what it did not finish',
  async (t) => {
    const { dir, log } = await served(t);
    const worker = await startWorker(t, { dir, paceMs: ENDLESS_MS });
    const turnId = await say(turnUrl(worker, 's', 'key'), 'hi');
    await turnReaches(log, ['s', turnId], 'assistant_started');
    const pages = await Promise.all(
      ['turns', 'sessions/s/events'].map((path) => askRaw(t, `${worker.url}/api/${path}`)),
    );
    for (const page of pages) await eventually(page.text, (text) => text.includes('caught-up'));
    worker.process.send('shutdown');
    t.is(await worker.ended, 0);
    for (const page of pages) t.true(page.response.complete);
    const events = await eventsOf(log, 's', turnId);
    t.deepEqual(namesOf(events), INTERRUPTED);
    t.is(events.at(-1)?.['reason'], 'its worker was stopped');
  },
);

test.serial('a worker whose daemon is away stops all the same', async (t) => {
  const { daemon, dir, log } = await served(t);
  const worker = await startWorker(t, { dir, paceMs: ENDLESS_MS });
  const turnId = await say(turnUrl(worker, 's', 'key'), 'hi');
  await turnReaches(log, ['s', turnId], 'assistant_started');
  await daemon.kill('SIGKILL');
  t.is(await worker.kill('SIGTERM'), 0);
  await startDaemonProcess(t, { dir });
  await startWorker(t, { dir });
  const events = await turnReaches(log, ['s', turnId], 'interrupted');
  t.is(events.at(-1)?.['reason'], 'its worker died');
});

test.serial('a daemon that is killed while a worker answers: every word once', async (t) => {
  const { daemon, dir, log } = await served(t);
  const worker = await startWorker(t, { dir, paceMs: 20 });
  const turnId = await say(turnUrl(worker, 's', 'key'), 'hi');
  const browser = new Browser(t, `${worker.url}/api/sessions/s/events`);
  await browser.messagesReach(10);
  await daemon.kill('SIGKILL');
  await startDaemonProcess(t, { dir });
  t.deepEqual(namesOf(await turnReaches(log, ['s', turnId], 'completed')), WHOLE);
  const run = await log.runs.listEvents('s', turnId, { limit: 10_000 });
  const messages = await browser.messagesReach(run.length);
  t.deepEqual(
    messages.map(({ data }) => (JSON.parse(data) as { readonly seq: number }).seq),
    run.map(({ seq }) => seq),
  );
  t.is(run.at(-1)?.event_type, 'run.end');
  t.is(browser.opened, 1);
});

test.serial('four workers of a cluster on one port', async (t) => {
  t.timeout(100_000);
  const { dir, log } = await served(t);
  const child = spawn(process.execPath, [CLUSTER, join(WEBUI, 'server.js')], {
    env: webuiEnv({ dir }),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const [url] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  t.regex(url, /^http:\/\/127\.0\.0\.1:\d+$/);
  const names = new Set<string>();
  await eventually(
    async () => {
      const page = await askRaw(t, `${url}/api/turns`);
      const text = await eventually(page.text, (now) => now.includes('workerName'));
      names.add(/worker \d/.exec(text)?.[0] ?? '');
      page.leave();
      return names.size;
    },
    (size) => size === 4,
  );
  const turns = await Promise.all(
    Array.from({ length: 8 }, (_, at) => say(`${url}/api/sessions/s/turns/k${at}`, 'hi')),
  );
  for (const turnId of turns) {
    t.deepEqual(namesOf(await turnReaches(log, ['s', turnId], 'completed')), WHOLE);
  }
  child.kill('SIGINT');
  t.deepEqual(await ended, [0, null]);
});

test.serial('what is asked of a worker in the wrong way is refused', async (t) => {
  const { dir, log } = await served(t);
  const worker = await startWorker(t, { dir });
  const put = (body: string): RequestInit => ({ method: 'PUT', body });
  const rows: readonly [number, string, RequestInit?][] = [
    [404, '/nothing'],
    [404, '/routes.js'],
    [404, '/api/sessions/a.b'],
    [404, '/', { method: 'POST' }],
    [400, '/api/sessions/s?before=x'],
    [400, '/api/turns?after=x'],
    [400, '/api/turns', { headers: { 'last-event-id': '1-2' } }],
    [400, '/api/sessions/s/events?after=x'],
    [400, '/api/sessions/s/events', { headers: { 'last-event-id': '12' } }],
    [400, '/api/sessions/s/turns/k', put('{')],
    [400, '/api/sessions/s/turns/k', put('{"content":" \\n"}')],
    [400, '/api/sessions/s/turns/k', put('{"content":7}')],
    [400, '/api/sessions/s/turns/k', put(`"${'x'.repeat(70_000)}"`)],
  ];
  for (const [status, path, init] of rows) {
    const response = await fetch(`${worker.url}${path}`, init);
    t.is(response.status, status, `${init?.method ?? 'GET'} ${path}`);
    t.regex(await response.text(), /^\{"error":".+"\}$/);
  }
  t.deepEqual(await log.turns.sessionIds(), []);
  // It has said where it is, and nothing since.
  t.regex(worker.output(), /^the chat page is at http:\S+\n$/);
});

test.serial('files are sent once, and say that they stand alone', async (t) => {
  const { dir } = await served(t);
  const { url } = await startWorker(t, { dir });
  const page = await fetch(url);
  t.regex(page.headers.get('content-security-policy') ?? '', /^default-src 'self';/);
  t.notRegex(await page.text(), /https?:\/\//);
  const etag = page.headers.get('etag') ?? '';
  const again = await fetch(url, { headers: { 'if-none-match': etag } });
  t.is(again.status, 304);
});

test.serial('npm run demo: all of it comes, comes back, and goes with Ctrl-C', async (t) => {
  t.timeout(100_000);
  const { daemon, dir, log } = await served(t);
  await daemon.stop();
  const child = spawn(process.execPath, [join(WEBUI, 'demo.js')], {
    env: webuiEnv({ dir }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'close');
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  t.teardown(async () => {
    child.kill('SIGINT');
    await ended;
  });
  const shown = await eventually(
    () => output,
    (text) => text.includes('Ctrl-C'),
  );
  const addresses = shown.match(/http:\/\/127\.0\.0\.1:\d+/g) ?? [];
  t.is(new Set(addresses).size, 3);
  for (const address of addresses) t.is((await fetch(address)).status, 200);
  const kills = [...shown.matchAll(/kill -9 (\d+)/g)].map(([, pid]) => Number(pid));
  t.is(kills.length, 2);
  for (const pid of kills) process.kill(pid, 'SIGKILL');
  const back = await eventually(
    () => [...output.matchAll(/ended \(SIGKILL\); it is pid (\d+) now/g)],
    ({ length }) => length === 2,
  );
  await eventually(
    async () => (await log.stats()).connections,
    (count) => count === 4,
  );
  child.kill('SIGINT');
  t.deepEqual(await ended, [0, null]);
  for (const [, pid] of back) t.throws(() => process.kill(Number(pid), 0), { code: 'ESRCH' });
});
