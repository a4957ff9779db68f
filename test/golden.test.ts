/** A tree that the old libraries wrote, damage and all, served by a real daemon. */
import { appendFile, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { connect, detailsOf, type EventLog, type RunEvent } from '../client/index.js';
import { type DaemonProcess, makeFolder, startDaemonProcess } from './support/daemon.js';
import { splitOnLf, splitOnUnicode } from './support/split-lines.js';

const GOLDEN = fileURLToPath(new URL('../../test/golden/', import.meta.url));

interface Query {
  readonly method: keyof typeof METHODS;
  readonly args: readonly string[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly rows: unknown;
}

interface Expected {
  readonly turns: Readonly<
    Record<
      string,
      {
        readonly events: readonly string[];
        readonly malformed: readonly object[];
        readonly states: Readonly<Record<string, string>>;
        readonly collisions: readonly object[];
      }
    >
  >;
  readonly runs: Readonly<
    Record<string, { readonly max_seq: number; readonly queries: readonly Query[] }>
  >;
}

const METHODS = {
  list_messages: 'listMessages',
  list_events: 'listEvents',
  list_messages_by_run: 'listMessagesByRun',
  count_messages: 'countMessages',
} as const;

const OPTIONS: Readonly<Record<string, string>> = {
  limit: 'limit',
  before_seq: 'beforeSeq',
  after_seq: 'afterSeq',
  event_types: 'eventTypes',
  task_id: 'taskId',
};

/** Every character that some reader takes for the end of a line. */
const SEPARATORS = 'a\u2028b\u2029c\u0085d\ve\ff\u001cg\rh\ni';

interface Served {
  readonly daemon: DaemonProcess;
  readonly log: EventLog;
}

async function copyOfGolden(t: ExecutionContext): Promise<string> {
  const dir = join(await makeFolder(t), 'd');
  await cp(GOLDEN, dir, { recursive: true });
  return dir;
}

async function serve(t: ExecutionContext, dir: string): Promise<Served> {
  const daemon = await startDaemonProcess(t, { dir });
  const log = await connect({ dir });
  t.teardown(() => log.close());
  return { daemon, log };
}

async function expectations(): Promise<Expected> {
  return JSON.parse(await readFile(join(GOLDEN, 'expected.json'), 'utf8')) as Expected;
}

function texts(events: readonly object[]): (string | null)[] {
  return events.map((event) => detailsOf(event as RunEvent).text);
}

async function ask(log: EventLog, { method, args, kwargs }: Query): Promise<unknown> {
  const options: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(kwargs)) {
    const option = OPTIONS[name];
    if (option === undefined) throw new Error(`no option for ${name}`);
    options[option] = value;
  }
  const call = log.runs[METHODS[method]] as (...all: unknown[]) => Promise<number | RunEvent[]>;
  const answer = await call.call(log.runs, ...args, options);
  return typeof answer === 'number' ? answer : texts(answer);
}

/** All that a session and its turns look like to a client. */
async function everySession(log: EventLog, ids: readonly string[]): Promise<object> {
  const sessions = [];
  for (const id of ids) {
    const { generation, events, malformed } = await log.turns.read(id);
    const { states } = await log.turns.states(id);
    const seqs = events.map(({ seq }) => seq);
    const head = await log.turns.head(id);
    sessions.push({ id, generation, seqs, texts: texts(events), malformed, states, head });
  }
  return sessions;
}

async function everyThread(log: EventLog, ids: readonly string[]): Promise<object> {
  const threads = [];
  for (const id of ids) {
    const messages = await log.runs.listMessages(id, { limit: 1_000_000 });
    const seqs = messages.map(({ seq }) => seq);
    threads.push({ id, seqs, texts: texts(messages), head: await log.runs.head(id) });
  }
  return threads;
}

async function journalFiles(dir: string): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const top of ['_turn_journal', 'threads']) {
    for (const name of await readdir(join(dir, top), { recursive: true })) {
      const path = join(top, name);
      if (path.endsWith('.jsonl')) files.set(path, await readFile(join(dir, path)));
    }
  }
  return files;
}

test('the golden tree reads as expected, is left as it is, and numbers the same ever after', async (t) => {
  const expected = await expectations();
  const dir = await copyOfGolden(t);
  const before = await journalFiles(dir);
  const { daemon, log } = await serve(t, dir);
  for (const [id, session] of Object.entries(expected.turns)) {
    const page = await log.turns.read(id);
    t.deepEqual(texts(page.events), [...session.events], id);
    t.deepEqual(
      page.events.map(({ seq }) => seq),
      session.events.map((_, index) => index + 1),
      id,
    );
    t.deepEqual(page.malformed as unknown, session.malformed, id);
    const { states, collisions } = await log.turns.states(id);
    const states_ = Object.fromEntries(
      Object.entries(states).map(([turnId, event]) => [turnId, detailsOf(event).text]),
    );
    t.deepEqual(states_ as unknown, session.states, id);
    t.deepEqual(
      collisions.map(({ turnId, events }) => ({ turn_id: turnId, events: texts(events) })),
      session.collisions as never,
      id,
    );
    t.is((await log.turns.head(id)).seq, session.events.length, id);
  }
  for (const { queries } of Object.values(expected.runs)) {
    for (const query of queries) t.deepEqual(await ask(log, query), query.rows, query.method);
  }
  t.deepEqual(await log.turns.sessionIds(), Object.keys(expected.turns).sort());
  t.deepEqual(await log.runs.threadIds(), Object.keys(expected.runs).sort());
  const sessions = await everySession(log, Object.keys(expected.turns));
  const threads = await everyThread(log, Object.keys(expected.runs));
  const pending = await log.turns.pending();

  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    await daemon.kill(signal);
    const again = await serve(t, dir);
    t.deepEqual(await everySession(again.log, Object.keys(expected.turns)), sessions, signal);
    t.deepEqual(await everyThread(again.log, Object.keys(expected.runs)), threads, signal);
    t.deepEqual(await again.log.turns.pending(), pending, signal);
    await again.log.close();
    await again.daemon.kill(signal);
  }
  t.deepEqual(await journalFiles(dir), before, 'reading changes no journal file');
});

test('appends to the golden tree come next, whole, and readable by every kind of reader', async (t) => {
  const expected = await expectations();
  const dir = await copyOfGolden(t);
  const before = await journalFiles(dir);
  const { daemon, log } = await serve(t, dir);
  const written = new Map<string, (string | null)[]>();
  const note = (path: string, event: RunEvent | { readonly seq: number }): void => {
    const list = written.get(path) ?? [];
    list.push(detailsOf(event as RunEvent).text);
    written.set(path, list);
  };

  for (const [id, session] of Object.entries(expected.turns)) {
    for (const more of [1, 2]) {
      const turn = { event: 'golden', turn_id: `golden${more}`, content: SEPARATORS };
      const event = await log.turns.append(id, turn);
      t.is(event.seq, session.events.length + more, id);
      note(join('_turn_journal', `${id}.jsonl`), event);
    }
  }
  for (const [threadId, thread] of Object.entries(expected.runs)) {
    let seq = thread.max_seq;
    const runIds = (await readdir(join(dir, 'threads', threadId, 'runs'))).map((name) =>
      name.slice(0, -'.jsonl'.length),
    );
    for (const runId of [...runIds, 'golden']) {
      const event = await log.runs.put({
        thread_id: threadId,
        run_id: runId,
        event_type: 'golden',
        category: 'trace',
        content: SEPARATORS,
        metadata: { [SEPARATORS]: SEPARATORS },
      });
      seq += 1;
      t.is(event.seq, seq, threadId);
      note(join('threads', threadId, 'runs', `${runId}.jsonl`), event);
    }
  }

  const check = async (served: EventLog, when: string): Promise<void> => {
    for (const [id, session] of Object.entries(expected.turns)) {
      const page = await served.turns.read(id);
      const own = written.get(join('_turn_journal', `${id}.jsonl`)) as string[];
      t.deepEqual(texts(page.events), [...session.events, ...own], `${when}: ${id}`);
      t.deepEqual(
        page.events.map(({ seq }) => seq),
        page.events.map((_, index) => index + 1),
        `${when}: ${id}`,
      );
      t.deepEqual(page.malformed as unknown, session.malformed, `${when}: ${id}`);
      t.is(page.events.at(-1)?.['content'], SEPARATORS);
    }
    for (const [threadId, { queries }] of Object.entries(expected.runs)) {
      for (const query of queries) {
        const answer = await ask(served, query);
        if (query.method !== 'list_events' || !Array.isArray(answer)) {
          t.deepEqual(answer, query.rows, `${when}: ${query.method}`);
          continue;
        }
        // What was put is of another type and comes last, where the limit lets it in.
        const own = written.get(join('threads', threadId, 'runs', `${query.args[1]}.jsonl`)) ?? [];
        t.deepEqual(
          answer.filter((text) => !own.includes(text as string)),
          query.rows as never,
          `${when}: ${query.method}`,
        );
      }
      const golden = await served.runs.listEvents(threadId, 'golden');
      t.is(golden[0]?.content, SEPARATORS);
      t.deepEqual(golden[0]?.metadata, { [SEPARATORS]: SEPARATORS });
    }
  };
  await check(log, 'at once');
  await daemon.kill('SIGKILL');
  const again = await serve(t, dir);
  await check(again.log, 'after a kill');
  await again.daemon.stop();

  const after = await journalFiles(dir);
  for (const [path, own] of written) {
    const bytes = after.get(path) as Buffer;
    const old = before.get(path) ?? Buffer.alloc(0);
    const fence = old.length === 0 || old.at(-1) === 0x0a ? '' : '\n';
    const added = `${fence}${own.map((line) => `${line}\n`).join('')}`;
    t.deepEqual(bytes.subarray(0, old.length), old, path);
    t.is(bytes.subarray(old.length).toString('utf8'), added, path);
    t.deepEqual(splitOnLf(bytes).slice(-own.length), own as string[], path);
    t.deepEqual(splitOnUnicode(bytes).slice(-own.length), own as string[], path);
    for (const line of own) t.notThrows(() => JSON.parse(line as string) as unknown, path);
  }
  t.deepEqual([...after.keys()].sort(), [...new Set([...before.keys(), ...written.keys()])].sort());
});

test('shards are numbered once by created_at, file and line, and deleted with their session', async (t) => {
  const dir = join(await makeFolder(t), 'd');
  const folder = join(dir, '_turn_journal');
  await mkdir(folder, { recursive: true });
  const line = (name: string, createdAt: unknown): string =>
    `${JSON.stringify({ event: 'note', turn_id: 't', created_at: createdAt, name })}\n`;
  await writeFile(join(folder, 's.jsonl'), line('a', 5) + line('b', 1) + line('c', 7));
  await writeFile(join(folder, 's~1.jsonl'), `${line('d', 5)}{"torn\n${line('e', 2)}`);
  await writeFile(join(folder, 's~10.jsonl'), line('f', 5) + line('g', 'no number'));
  await writeFile(join(folder, 's~2.jsonl'), line('h', 7) + line('i', 7));
  await writeFile(join(folder, 's~x.jsonl'), line('z', 1));
  await writeFile(join(folder, 's2.jsonl'), line('y', 1));

  const names = async (log: EventLog): Promise<(readonly [number, unknown])[]> =>
    (await log.turns.read('s')).events.map(({ seq, name }) => [seq, name] as const);
  const first = await serve(t, dir);
  const numbered = ['g', 'b', 'e', 'a', 'd', 'f', 'c', 'h', 'i'].map(
    (name, index) => [index + 1, name] as const,
  );
  t.deepEqual(await names(first.log), numbered);
  t.deepEqual(await first.log.turns.sessionIds(), ['s', 's2']);
  t.deepEqual((await first.log.turns.read('s')).malformed, [
    { line: 2, raw: '{"torn', shard: 's~1.jsonl' },
  ]);
  await first.log.turns.append('s', { event: 'note', name: 'own' });
  await first.daemon.stop();

  // A line that another program adds later comes after them all, whatever its `created_at`.
  await appendFile(join(folder, 's~1.jsonl'), line('late', 0));
  const second = await serve(t, dir);
  const all = [...numbered, [10, 'own'], [11, 'late']] as const;
  t.deepEqual(await names(second.log), [...all]);
  await second.daemon.kill('SIGKILL');
  const third = await serve(t, dir);
  t.deepEqual(await names(third.log), [...all]);
  t.is(await third.log.turns.delete('s'), 11);
  t.deepEqual(await names(third.log), []);
  t.deepEqual((await readdir(folder)).sort(), ['s2.jsonl', 's~x.jsonl']);
  t.is((await third.log.turns.append('s', { event: 'note' })).seq, 1);
});
