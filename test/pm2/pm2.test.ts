/** The daemon and its workers under the real pm2, with the ecosystem file that ships. */
import { readdirSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { connect, type EventLog } from '../../client/index.js';
import type { Outcome } from '../support/appending.js';
import { makeFolder } from '../support/daemon.js';
import { ROOT } from '../support/docs.js';
import { client, eventually } from '../support/faults.js';
import { freePort, Pm2 } from '../support/pm2.js';
import { Browser } from '../support/sse.js';
import { checkStream } from '../support/writers.js';

const ECOSYSTEM = join(ROOT, 'ecosystem.config.cjs');
const WORKER = fileURLToPath(new URL('../support/worker.process.js', import.meta.url));
/** Appends to the session after which the workers are taken to be at work again. */
const PROGRESS = 40;

interface AppConfig {
  readonly name: string;
  readonly [setting: string]: unknown;
}

const { apps: APPS } = createRequire(import.meta.url)(ECOSYSTEM) as { apps: AppConfig[] };

/** The file that ships, with the tests' worker in place of the chat page's. */
async function ecosystemIn(folder: string): Promise<string> {
  const apps = APPS.map((app) =>
    app.name === 'webui' ? { ...app, script: WORKER, env: {} } : app,
  );
  const path = join(folder, 'test.config.cjs');
  await writeFile(path, `module.exports = ${JSON.stringify({ apps })};\n`);
  return path;
}

interface Scene {
  readonly pm2: Pm2;
  readonly log: EventLog;
  readonly dir: string;
  readonly ecosystem: string;
  /** What the workers were told so far. */
  readonly outcomes: () => Promise<Outcome[]>;
  /** Waits until the workers have done more than they had when it was called. */
  readonly progress: () => Promise<void>;
}

async function prepare(t: ExecutionContext): Promise<Scene> {
  t.timeout(600_000);
  const folder = await makeFolder(t);
  const [dir, notes] = [join(folder, 'd'), join(folder, 'n')];
  await mkdir(notes);
  const pm2 = await Pm2.open(t, { EVENTLOGD_DIR: dir, WORKER_NOTES: notes });
  const ecosystem = await ecosystemIn(folder);
  await pm2.run('start', ecosystem);
  const log = await connect({ dir, waitMs: 60_000, timeoutMs: 60_000 });
  t.teardown(() => log.close());
  const outcomes = async (): Promise<Outcome[]> => {
    const files = readdirSync(notes).map((name) => readFile(join(notes, name), 'utf8'));
    const lines = (await Promise.all(files)).flatMap((text) => text.split('\n').slice(0, -1));
    return lines.map((line) => JSON.parse(line) as Outcome);
  };
  const progress = async (): Promise<void> => {
    const { seq: before } = await log.turns.head('s');
    await eventually(
      async () => (await log.turns.head('s')).seq,
      (seq) => seq >= before + PROGRESS,
    );
  };
  return { pm2, log, dir, ecosystem, outcomes, progress };
}

/** The file as it ships, started. */
async function shipped(
  t: ExecutionContext,
): Promise<{ readonly pm2: Pm2; readonly port: number; readonly dir: string }> {
  t.timeout(600_000);
  const port = await freePort();
  const dir = join(await makeFolder(t), 'd');
  const pm2 = await Pm2.open(t, { EVENTLOGD_DIR: dir, PORT: String(port) });
  await pm2.run('start', ECOSYSTEM);
  return { pm2, port, dir };
}

test.serial(
  'reloads, restarts, kills and a second daemon, under load from four workers: nothing is lost or doubled',
  async (t) => {
    const { pm2, log, outcomes, progress } = await prepare(t);
    const workers = await pm2.apps('webui');
    t.is(workers.length, 4);
    for (const { status } of await pm2.apps()) t.is(status, 'online');
    await progress();

    await pm2.run('reload', 'all');
    await progress();
    const reloaded = await pm2.app('eventlogd');
    for (const { pid } of await pm2.apps('webui')) t.false(workers.some((old) => old.pid === pid));

    await pm2.run('restart', 'eventlogd');
    await progress();
    const restarted = await pm2.app('eventlogd');
    t.not(restarted.pid, reloaded.pid);

    process.kill(restarted.pid, 'SIGKILL');
    const recovered = await pm2.restarted(restarted);
    await progress();

    const worker = await pm2.app('webui', 1);
    process.kill(worker.pid, 'SIGKILL');
    await pm2.restarted(worker);
    await progress();

    await pm2.run('scale', 'eventlogd', '2');
    const second = await eventually(
      async () => await pm2.app('eventlogd', 1),
      ({ exitCode }) => exitCode === 78,
    );
    t.is(second.restarts, 0, 'a daemon that is refused is not started again');
    const said = await pm2.logOf('eventlogd', 'error');
    t.regex(said, new RegExp(`the directory is in use: process ${recovered.pid} holds .*/lock`));
    await progress();
    t.is((await pm2.app('eventlogd')).pid, recovered.pid, 'the first one goes on');
    await pm2.run('delete', String(second.id));
    t.is((await pm2.apps('eventlogd')).length, 1);

    const shown = await eventually(
      async () => await pm2.run('show', 'eventlogd'),
      (text) => /│ appends +│ [1-9]\d* \/s/.test(text),
    );
    t.regex(shown, /│ health +│ ok /);
    t.regex(shown, /│ ack p99 +│ ≤ [\d.]+ ms/);
    t.regex(shown, /│ connections +│ 5 /);

    await pm2.run('stop', 'webui');
    const told = await outcomes();
    t.true(told.length > 6 * PROGRESS, 'they were at work all the time');
    t.deepEqual(
      told.filter(({ outcome }) => outcome !== 'acked'),
      [],
      'no call of a worker failed',
    );
    const { events } = await log.turns.read('s');
    const thread = await log.runs.listMessages('t', { limit: 10_000_000 });
    checkStream(
      t,
      events,
      told.filter(({ journal }) => journal === 'turns'),
    );
    checkStream(
      t,
      thread,
      told.filter(({ journal }) => journal === 'runs'),
    );
  },
);

test.serial(
  'the file as it ships: the daemon and four workers of the chat page, ready, and so after a reload',
  async (t) => {
    const { pm2, port } = await shipped(t);
    const page = async (): Promise<number> => (await fetch(`http://127.0.0.1:${port}/`)).status;
    const names = async (): Promise<string[]> =>
      (await pm2.apps()).map(({ name, status }) => `${name} ${status}`).sort();
    const all = ['eventlogd online', ...Array.from({ length: 4 }, () => 'webui online')];
    t.deepEqual(await names(), all);
    t.is(await page(), 200);
    await pm2.run('reload', 'all');
    t.deepEqual(await names(), all);
    t.is(await page(), 200);
    t.is(await pm2.logOf('webui', 'error'), '');
    t.is(await pm2.logOf('eventlogd', 'error'), '');
    const lines = (await pm2.logOf('eventlogd', 'out')).split('\n').slice(0, -1);
    for (const line of lines) t.notThrows(() => JSON.parse(line), line);
    const said = lines.map((line) => (JSON.parse(line) as { msg?: string }).msg ?? 'listening');
    const once = ['recovered', 'serving', 'listening'];
    t.deepEqual(said, [...once, 'draining', 'stopped', ...once]);
  },
);

test.serial(
  'open pages go on by themselves over reloads, restarts and kills: every event once',
  async (t) => {
    const { pm2, port, dir } = await shipped(t);
    const log = await client(t, dir);
    const url = `http://127.0.0.1:${port}/api/sessions/s/events`;
    const seqs: number[] = [];
    const happen = async (): Promise<void> => {
      const event = { thread_id: 's', run_id: 'r', event_type: 'text', category: 'message' };
      seqs.push((await log.runs.put({ ...event, content: `event ${seqs.length}` })).seq);
    };
    await happen();
    const pages = [new Browser(t, url), new Browser(t, url)];
    const shown = async (): Promise<void> => {
      await happen();
      for (const page of pages) await page.messagesReach(seqs.length);
    };
    await shown();
    await pm2.run('reload', 'all');
    await shown();
    await pm2.run('restart', 'eventlogd');
    await shown();
    const daemon = await pm2.app('eventlogd');
    process.kill(daemon.pid, 'SIGKILL');
    await pm2.restarted(daemon);
    await shown();
    const workers = await pm2.apps('webui');
    for (const { pid } of workers) process.kill(pid, 'SIGKILL');
    await Promise.all(workers.map((worker) => pm2.restarted(worker)));
    await shown();
    for (const { messages } of pages) {
      const told = messages.map(({ data }) => (JSON.parse(data) as { readonly seq: number }).seq);
      t.deepEqual(told, seqs);
    }
    for (const { opened } of pages) t.true(opened > 1);
  },
);
