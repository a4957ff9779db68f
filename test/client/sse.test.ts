/** Subscriptions as server-sent events: real daemons, real HTTP, browsers of several manners. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { createConnection } from 'node:net';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import {
  connect,
  type EventLog,
  InvalidArgumentError,
  lastEventCursor,
  lastEventPosition,
  parseCursor,
  type SseEnd,
  type SseSubscription,
  serveSse,
} from '../../client/index.js';
import { type DaemonProcess, residentBytes, startDaemonProcess } from '../support/daemon.js';
import { client, eventually, linesOf, runFile, sessionFile, testWith } from '../support/faults.js';
import { askRaw, Browser, startHttpServer, type Told } from '../support/sse.js';

const MIB = 1024 * 1024;
const SERVER = fileURLToPath(new URL('../support/sse-server.process.js', import.meta.url));

interface Served {
  readonly daemon: DaemonProcess;
  readonly log: EventLog;
}

async function served(t: ExecutionContext): Promise<Served> {
  const daemon = await startDaemonProcess(t);
  return { daemon, log: await client(t, daemon.dir) };
}

/** Serves the session `s` to whoever asks, from where he was. */
async function serveSession(t: ExecutionContext, log: EventLog): Promise<string> {
  return await startHttpServer(t, (request, response) =>
    serveSse(response, log.turns.subscribe('s', { after: lastEventCursor(request) ?? 'start' }), {
      retryMs: 1,
    }),
  );
}

/** Serves one subscription to the first who asks; what came of it, when it has ended. */
async function serveOnce(
  t: ExecutionContext,
  subscription: SseSubscription,
  options: { readonly heartbeatMs?: number } = {},
): Promise<{ readonly url: string; readonly end: Promise<SseEnd> }> {
  let ended: (end: SseEnd) => void;
  const end = new Promise<SseEnd>((resolve) => {
    ended = resolve;
  });
  const url = await startHttpServer(t, async (_request, response) => {
    ended(await serveSse(response, subscription, options));
  });
  return { url, end };
}

function upTo(last: number, first = 1): number[] {
  return Array.from({ length: last - first + 1 }, (_, at) => first + at);
}

function seqsOf(messages: readonly Told[]): unknown[] {
  return messages.map(({ data }) => (JSON.parse(data) as { readonly seq: number }).seq);
}

const token = (content: unknown): { event: string; content: unknown } => ({
  event: 'token',
  content,
});

test.serial('each event is a message: its exact text, the cursor as its id', async (t) => {
  const { daemon, log } = await served(t);
  await log.turns.append('s', token('\u2028 "quoted" \n'));
  await log.turns.append('s', token(2n ** 70n));
  const browser = new Browser(t, await serveSession(t, log));
  await browser.toldOf('caught-up');
  await log.turns.append('s', { ...token(''), ['__proto__']: { a: 1 } });
  const messages = await browser.messagesReach(3);
  t.deepEqual(
    messages.map(({ data }) => data),
    await linesOf(sessionFile(daemon.dir, 's')),
  );
  const { generation } = await log.turns.head('s');
  t.deepEqual(
    messages.map(({ id }) => id),
    upTo(3).map((seq) => `${generation}-${seq}`),
  );
  t.deepEqual(
    browser.told.map(({ type }) => type),
    ['message', 'message', 'caught-up', 'message'],
  );
});

test.serial('what the response says of itself, and how long to wait before the next', async (t) => {
  const { log } = await served(t);
  const raw = await askRaw(t, await serveSession(t, log));
  t.is(raw.response.statusCode, 200);
  t.is(raw.response.headers['content-type'], 'text/event-stream');
  t.is(raw.response.headers['cache-control'], 'no-cache, no-transform');
  await eventually(raw.text, (text) => text.includes('caught-up'));
  t.is(raw.text(), 'retry: 1\n\nevent: caught-up\nid: 0-0\ndata: {}\n\n');
});

test.serial('lines of other programs: without seq, with CR, of equal seq', async (t) => {
  const { daemon, log } = await served(t);
  const turns = sessionFile(daemon.dir, 's');
  await mkdir(dirname(turns), { recursive: true });
  await writeFile(turns, '{"event":"a"}\n{"event":\r"b"}\r\n');
  const session = new Browser(t, await serveSession(t, log));
  const [first, second] = await session.messagesReach(2);
  t.is(first?.data, '{"event":"a","seq":1}');
  t.deepEqual(JSON.parse(second?.data ?? ''), { event: 'b', seq: 2 });

  const runs = runFile(daemon.dir, 't', 'r');
  await mkdir(dirname(runs), { recursive: true });
  await writeFile(runs, '{"seq":1}\n{"seq":1,"n":2}\n{"seq":2}\n');
  const { url } = await serveOnce(t, log.runs.subscribe('t'));
  const thread = new Browser(t, url);
  const messages = await thread.messagesReach(3);
  const { generation } = await log.runs.head('t');
  // Who goes on from the first is told the second again, and never misses it.
  t.deepEqual(
    messages.map(({ id, data }) => [id, data]),
    [
      [`${generation}-0`, '{"seq":1}'],
      [`${generation}-1`, '{"seq":1,"n":2}'],
      [`${generation}-2`, '{"seq":2}'],
    ],
  );
});

test.serial('everything: positions as ids, and the exact text within the entry', async (t) => {
  const { daemon, log } = await served(t);
  const url = await startHttpServer(t, (request, response) =>
    serveSse(response, log.subscribeAll({ afterPosition: lastEventPosition(request) ?? 0 })),
  );
  const browser = new Browser(t, url);
  await log.turns.append('s', token(2n ** 70n));
  await log.turns.delete('s');
  const [event, deletion] = await browser.messagesReach(2);
  const [entry] = (await browser.messagesReach(1)).map(({ data }) => data);
  t.regex(entry ?? '', /^\{"position":\d+,"journal":"turns","streamId":"s","event":\{.*\}\}$/);
  t.regex(entry ?? '', /"content":1180591620717411303424,/);
  const told = JSON.parse(deletion?.data ?? '') as { readonly position: number };
  t.like(told, { journal: 'turns', streamId: 's', deleted: true });
  t.is(deletion?.id, String(told.position));
  t.true(Number(event?.id) < told.position);
  t.deepEqual(await linesOf(sessionFile(daemon.dir, 's')), []);
});

test.serial('a browser that connects again goes on where it was', async (t) => {
  const { log } = await served(t);
  const responses: { end: () => void }[] = [];
  const asked: (string | undefined)[] = [];
  const url = await startHttpServer(t, (request, response) => {
    responses.push(response);
    const after = lastEventCursor(request);
    asked.push(request.headers['last-event-id']?.toString());
    return serveSse(response, log.turns.subscribe('s', { after: after ?? 'start' }), {
      retryMs: 1,
    });
  });
  const browser = new Browser(t, url);
  const rounds = 5;
  for (const round of upTo(rounds)) {
    const appends = Promise.all(upTo(20).map((at) => log.turns.append('s', token(at))));
    await browser.messagesReach(round * 20 - 10);
    // This side ends it, with events under way; the browser comes back by itself.
    responses.at(-1)?.end();
    await appends;
    await eventually(
      () => browser.opened,
      (opened) => opened > round,
    );
  }
  t.deepEqual(seqsOf(await browser.messagesReach(rounds * 20)), upTo(rounds * 20));
  t.is(asked.length, rounds + 1);
  t.is(asked[0], undefined);
  const { generation } = await log.turns.head('s');
  for (const text of asked.slice(1)) t.is(parseCursor(text ?? '').generation, generation);
});

test.serial(
  'who follows from now misses nothing, though nothing came before he was cut off',
  async (t) => {
    const { log } = await served(t);
    await log.turns.append('s', token('old'));
    const url = await startHttpServer(t, (request, response) => {
      const after = lastEventCursor(request) ?? 'now';
      return serveSse(response, log.turns.subscribe('s', { after }));
    });
    const raw = await askRaw(t, url);
    await eventually(raw.text, (text) => text.includes('caught-up'));
    raw.leave();
    const { generation } = await log.turns.head('s');
    const id = /^id: (.*)$/m.exec(raw.text())?.[1] ?? '';
    t.is(id, `${generation}-1`);
    await log.turns.append('s', token('missed'));
    const again = await askRaw(t, url, { 'last-event-id': id });
    await eventually(again.text, (text) => text.includes('caught-up'));
    t.regex(again.text(), /"content":"missed"/);
    t.notRegex(again.text(), /"content":"old"/);
  },
);

test.serial('a deleted stream: the browser is told, and the response ends', async (t) => {
  const { log } = await served(t);
  await log.turns.append('s', token(1));
  const { generation } = await log.turns.head('s');
  const { url, end } = await serveOnce(t, log.turns.subscribe('s'));
  const raw = await askRaw(t, url);
  await eventually(raw.text, (text) => text.includes('caught-up'));
  await log.turns.delete('s');
  t.is(await end, 'deleted');
  await eventually(
    () => raw.response.complete,
    (complete) => complete,
  );
  const facts = `{"code":"STREAM_DELETED","cursor":"${generation}-1"}`;
  t.true(raw.text().endsWith(`event: deleted\ndata: ${facts}\n\n`), raw.text());
});

test.serial('a cursor of an earlier life: the browser is told which life there is', async (t) => {
  const { log } = await served(t);
  await log.turns.append('s', token(1));
  const after = await log.turns.head('s');
  await log.turns.delete('s');
  await log.turns.append('s', token(2));
  const { generation } = await log.turns.head('s');
  const { url, end } = await serveOnce(t, log.turns.subscribe('s', { after }));
  const browser = new Browser(t, url);
  const told = await browser.toldOf('expired');
  t.deepEqual(JSON.parse(told.data), { code: 'CURSOR_EXPIRED', generation });
  t.is(await end, 'expired');
  t.deepEqual(browser.messages, []);
});

test.serial(
  'a position before the retained log: the browser is told what is still there',
  async (t) => {
    const daemon = await startDaemonProcess(t, {
      args: ['--segment-bytes', String(256 * 1024), '--log-retention-bytes', '1'],
    });
    const log = await client(t, daemon.dir);
    const content = 'x'.repeat(60 * 1024);
    // A deletion starts a checkpoint, and after that old segments go.
    const told = await eventually(
      async () => {
        for (let count = 0; count < 8; count += 1) await log.turns.append('s', token(content));
        await log.turns.delete('s');
        const { url } = await serveOnce(t, log.subscribeAll({ afterPosition: 0 }));
        const raw = await askRaw(t, url);
        await eventually(raw.text, (text) => /event: (caught-up|expired)\n/.test(text));
        return raw.text();
      },
      (text) => text.includes('event: expired'),
    );
    t.regex(told, /event: expired\ndata: \{"code":"POSITION_EXPIRED","earliest":[1-9]\d*\}\n\n$/);
  },
);

test.serial(
  'a browser that leaves: the subscription is closed, here and in the daemon',
  async (t) => {
    const { log } = await served(t);
    const subscription = log.turns.subscribe('s');
    const { url, end } = await serveOnce(t, subscription);
    const raw = await askRaw(t, url);
    await eventually(raw.text, (text) => text.includes('caught-up'));
    t.is((await log.stats()).subscriptions, 1);
    raw.leave();
    t.is(await end, 'disconnected');
    t.is(subscription.state, 'ended');
    await eventually(
      async () => (await log.stats()).subscriptions,
      (count) => count === 0,
    );
  },
);

test.serial(
  'what this side ends: the response ends without a reason, for the browser to come back',
  async (t) => {
    const { daemon, log } = await served(t);
    const ending = await connect({ dir: daemon.dir });
    t.teardown(() => ending.close());
    const stop = new AbortController();
    const closed = log.turns.subscribe('s');
    const rows: readonly [SseSubscription, () => unknown][] = [
      [closed, () => closed.close()],
      [log.turns.subscribe('s', { signal: stop.signal }), () => stop.abort()],
      [ending.turns.subscribe('s'), () => ending.close()],
    ];
    for (const [subscription, close] of rows) {
      const { url, end } = await serveOnce(t, subscription);
      const raw = await askRaw(t, url);
      await eventually(raw.text, (text) => text.includes('caught-up'));
      close();
      t.is(await end, 'closed');
      await eventually(
        () => raw.response.complete,
        (complete) => complete,
      );
      t.true(raw.text().endsWith('caught-up\nid: 0-0\ndata: {}\n\n'), raw.text());
    }
  },
);

test.serial('a browser that has left before it is answered', async (t) => {
  const { log } = await served(t);
  const subscription = log.turns.subscribe('s');
  let ended: (end: SseEnd) => void;
  const end = new Promise<SseEnd>((resolve) => {
    ended = resolve;
  });
  const url = await startHttpServer(t, async (_request, response) => {
    await once(response, 'close');
    ended(await serveSse(response, subscription));
  });
  const socket = createConnection(Number(new URL(url).port), '127.0.0.1');
  await once(socket, 'connect');
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n', () => socket.destroy());
  t.is(await end, 'disconnected');
  t.is(subscription.state, 'ended');
});

test.serial('silence: comments, and the way that a filter has come', async (t) => {
  const { log } = await served(t);
  const put = (category: string) =>
    log.runs.put({ thread_id: 't', run_id: 'r', event_type: 'x', category });
  await put('message');
  const subscription = log.runs.subscribe('t', { categories: ['message'] });
  const { url } = await serveOnce(t, subscription, { heartbeatMs: 1 });
  const raw = await askRaw(t, url);
  await eventually(raw.text, (text) => text.includes('caught-up'));
  await eventually(raw.text, (text) => text.endsWith('\n:\n\n:\n\n'));
  await put('trace');
  await put('trace');
  const { generation } = await log.runs.head('t');
  await eventually(raw.text, (text) => text.includes(`\n:\nid: ${generation}-3\n\n`));
  const { length } = raw.text().match(/^data: \{"thread_id".*$/gm) ?? [];
  t.is(length, 1);
});

test.serial('no comment is written to a browser that does not read', async (t) => {
  const { log } = await served(t);
  const content = 'x'.repeat(64 * 1024);
  await Promise.all(upTo(320).map(() => log.turns.append('s', token(content))));
  const subscription = log.turns.subscribe('s');
  const responses: ServerResponse[] = [];
  const url = await startHttpServer(t, (_request, response) => {
    responses.push(response);
    return serveSse(response, subscription, { heartbeatMs: 1 });
  });
  const socket = createConnection(Number(new URL(url).port), '127.0.0.1').pause();
  t.teardown(() => socket.destroy());
  socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
  const look = () => ({
    seq: subscription.cursor.seq,
    isFull: responses[0]?.writableNeedDrain === true,
    bytes: responses[0]?.socket?.bytesWritten,
  });
  // Full at both ends: nothing moves for the time of many heartbeats.
  const [before, after] = await eventually(
    async () => {
      const earlier = look();
      await sleep(100);
      return [earlier, look()] as const;
    },
    ([earlier, later]) => earlier.isFull && later.isFull && earlier.seq === later.seq,
  );
  t.true(before.seq < 320, 'all was taken');
  t.is(after.bytes, before.bytes);
});

test.serial('a Last-Event-ID that is none of ours is refused', (t) => {
  const request = (id?: string) =>
    ({ headers: id === undefined ? {} : { 'last-event-id': id } }) as never;
  t.is(lastEventCursor(request()), undefined);
  t.is(lastEventCursor(request('')), undefined);
  t.deepEqual(lastEventCursor(request('12-7')), { generation: 12, seq: 7 });
  t.is(lastEventPosition(request()), undefined);
  t.is(lastEventPosition(request('')), undefined);
  t.is(lastEventPosition(request('0')), 0);
  t.is(lastEventPosition(request('1207')), 1207);
  const isInvalid = { instanceOf: InvalidArgumentError };
  for (const id of ['12', 'x', '1-2-3', '-1-2']) {
    t.throws(() => lastEventCursor(request(id)), isInvalid, id);
  }
  for (const id of ['12-7', 'x', '-1', '1.5', '01', '1e3', '9999999999999999']) {
    t.throws(() => lastEventPosition(request(id)), isInvalid, id);
  }
});

test.serial(
  'a daemon that is killed in the midst of it: the response stays, nothing is lost',
  async (t) => {
    const { daemon: first, log } = await served(t);
    const browser = new Browser(t, await serveSession(t, log));
    let daemon = first;
    const rounds = 3;
    for (const round of upTo(rounds)) {
      const appends = Promise.all(upTo(100).map((at) => log.turns.append('s', token(at))));
      await browser.messagesReach(round * 100 - 50);
      await daemon.kill('SIGKILL');
      daemon = await startDaemonProcess(t, { dir: first.dir });
      await appends;
    }
    t.deepEqual(seqsOf(await browser.messagesReach(rounds * 100)), upTo(rounds * 100));
    t.is(browser.opened, 1);
    browser.leave();
  },
);

test.serial('a server that is killed: its browsers go on with the next one', async (t) => {
  const { daemon, log } = await served(t);
  const start = async () => {
    const child = spawn(process.execPath, [SERVER, daemon.dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    return { child, url: `http://127.0.0.1:${port}/s` };
  };
  const [one, two] = await Promise.all([start(), start()]);
  await Promise.all(upTo(50).map((at) => log.turns.append('s', token(at))));
  const browser = new Browser(t, one.url);
  const messages = await browser.messagesReach(50);
  one.child.kill('SIGKILL');
  await log.turns.append('s', token('meanwhile'));
  const next = await askRaw(t, two.url, { 'last-event-id': messages.at(-1)?.id ?? '' });
  await eventually(next.text, (text) => text.includes('caught-up'));
  const { length } = next.text().match(/^data: \{"event"/gm) ?? [];
  t.is(length, 1);
  t.regex(next.text(), /"content":"meanwhile".*"seq":51\}/);
});

testWith(
  ['/proc'],
  '20 MiB for each browser that never reads, and then does',
  async (t) => {
    const { daemon, log } = await served(t);
    const child = spawn(process.execPath, [SERVER, daemon.dir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    const sessions = ['a', 'b', 'c', 'd', 'e', 'f'];
    const events = 320;
    const content = 'x'.repeat(64 * 1024);
    const browsers = [];
    // What serving itself takes is taken before.
    await log.turns.append('warm', token('x'));
    const warm = await askRaw(t, `http://127.0.0.1:${port}/warm`);
    await eventually(warm.text, (text) => text.includes('caught-up'));
    const before = await residentBytes({ process: child });
    for (const session of sessions) {
      const socket = createConnection(Number(port), '127.0.0.1').pause();
      t.teardown(() => socket.destroy());
      socket.write(`GET /${session} HTTP/1.1\r\nhost: x\r\n\r\n`);
      browsers.push(socket);
      for (let round = 0; round < events / 16; round += 1) {
        await Promise.all(upTo(16).map(() => log.turns.append(session, token(content))));
      }
    }
    // All of it is 120 MiB; a browser may hold up its credit, a socket's buffer and one event.
    const growth = (await residentBytes({ process: child })) - before;
    t.true(growth < 80 * MIB, `${growth} bytes`);
    for (const [at, socket] of browsers.entries()) {
      let tail = '';
      const seqs: number[] = [];
      socket.on('data', (chunk: Buffer) => {
        const lines = `${tail}${chunk.toString('latin1')}`.split('\n');
        tail = lines.pop() ?? '';
        for (const line of lines) {
          const seq = /"seq":(\d+)\}$/.exec(line)?.[1];
          if (seq !== undefined) seqs.push(Number(seq));
        }
      });
      socket.resume();
      await eventually(
        () => seqs.length,
        (length) => length >= events,
      );
      t.deepEqual(seqs, upTo(events), sessions[at]);
      socket.destroy();
    }
  },
  test.serial,
);
