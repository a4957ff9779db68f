/** Calls of a client whose daemon hangs, forgets or is cut off; workers that are killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { connect, DisconnectedError, type EventLog, TimeoutError } from '../../client/index.js';
import { turn, watch } from '../support/connected.js';
import { startCuttingProxy } from '../support/cutting-proxy.js';
import { type DaemonProcess, makeFolder, startDaemonProcess } from '../support/daemon.js';
import { copyDirectory, readSession } from '../support/journal-files.js';
import { seededRandom } from '../support/random.js';
import type { Keyed } from './keyed.process.js';

const WORKER = fileURLToPath(new URL('./keyed.process.js', import.meta.url));
const LONG_MS = 120_000;

function contents(dir: string): string[] {
  return readSession(dir, 's').map(({ content }) => content);
}

async function append(log: EventLog, content: string, timeoutMs = LONG_MS): Promise<number> {
  return (await log.turns.append('s', { event: 'e', content }, { timeoutMs })).seq;
}

/** A daemon and a client that has one acknowledged append. */
async function served(t: ExecutionContext): Promise<{ daemon: DaemonProcess; log: EventLog }> {
  const daemon = await startDaemonProcess(t);
  const log = await connect({ dir: daemon.dir, timeoutMs: LONG_MS });
  t.is(await append(log, 'first'), 1);
  return { daemon, log };
}

test('a daemon that is stopped in the midst of a call: it ends at its deadline, unknown', async (t) => {
  const { daemon, log } = await served(t);
  daemon.process.kill('SIGSTOP');
  const error = await t.throwsAsync(append(log, 'hung', 500), { instanceOf: TimeoutError });
  t.is(error?.outcome, 'unknown');
  daemon.process.kill('SIGCONT');
  await append(log, 'last');
  await log.close();
  t.is(await daemon.stop(), 0);
  const held = contents(daemon.dir);
  t.deepEqual([held[0], held.at(-1)], ['first', 'last']);
  t.is(new Set(held).size, held.length);
});

test('a daemon that hangs is found, and the same call succeeds once when it goes on', async (t) => {
  const { daemon, log } = await served(t);
  const isLost = new Promise<Error>((resolve) => log.on('disconnect', resolve));
  daemon.process.kill('SIGSTOP');
  const appending = append(log, 'hung');
  t.regex((await isLost).message, /said nothing for 15000 ms, although it was asked/);
  daemon.process.kill('SIGCONT');
  t.is(await appending, 2);
  t.is(await append(log, 'last'), 3);
  await log.close();
  t.is(await daemon.stop(), 0);
  t.deepEqual(contents(daemon.dir), ['first', 'hung', 'last']);
});

test('the first append of a client, lost with its daemon, is sent again', async (t) => {
  const daemon = await startDaemonProcess(t);
  const log = await connect({ dir: daemon.dir, timeoutMs: LONG_MS });
  daemon.process.kill('SIGSTOP');
  const appending = append(log, 'first');
  await turn();
  await daemon.kill('SIGKILL');
  const next = await startDaemonProcess(t, { dir: daemon.dir });
  t.is(await appending, 1);
  await log.close();
  t.is(await next.stop(), 0);
  t.deepEqual(contents(daemon.dir), ['first']);
});

/** Appends while the daemon is killed, and lets something be done to its directory meanwhile. */
async function forgets(
  t: ExecutionContext,
  of: { readonly daemon: DaemonProcess; readonly log: EventLog },
  change: (dir: string) => Promise<void>,
): Promise<void> {
  const { daemon, log } = of;
  daemon.process.kill('SIGSTOP');
  const appending = watch(append(log, 'doubtful'));
  await turn();
  await daemon.kill('SIGKILL');
  await change(daemon.dir);
  const next = await startDaemonProcess(t, { dir: daemon.dir });
  const error = await t.throwsAsync(appending, { instanceOf: DisconnectedError });
  t.is(error?.outcome, 'unknown');
  t.regex(error?.message ?? '', /no longer knows this client/);
  t.is(await append(log, 'later'), 1);
  await log.close();
  t.is(await next.stop(), 0);
  t.deepEqual(contents(daemon.dir), ['later']);
}

test('a daemon on a directory that was emptied: unknown, and nothing is done again', async (t) => {
  const scene = await served(t);
  await forgets(t, scene, (dir) => rm(dir, { recursive: true }));
});

test('a daemon on an older copy of its directory: unknown, and nothing is done again', async (t) => {
  const before = await startDaemonProcess(t);
  t.is(await before.stop(), 0);
  const copy = join(await makeFolder(t), 'copy');
  await copyDirectory(before.dir, copy);
  const daemon = await startDaemonProcess(t, { dir: before.dir });
  const log = await connect({ dir: daemon.dir });
  await append(log, 'first');
  await forgets(t, { daemon, log }, async (dir) => {
    await rm(dir, { recursive: true });
    await copyDirectory(copy, dir);
  });
});

test('a client keeps call order over lost connections, large texts among small ones', async (t) => {
  const random = seededRandom(t);
  const daemon = await startDaemonProcess(t);
  const proxy = await startCuttingProxy(t, daemon.socketPath);
  const log = await connect({ socketPath: proxy.socketPath, timeoutMs: LONG_MS });
  const large = 'x'.repeat(1_100_000);
  const calls = Array.from({ length: 60 }, (_, at) =>
    append(log, at % 6 === 3 ? `${at} ${large}` : `${at}`),
  );
  const done = Promise.all(calls);
  let isDone = false;
  void done.finally(() => {
    isDone = true;
  });
  for (let cut = 0; cut < 12 && !isDone; cut += 1) {
    const place =
      cut % 3 === 2
        ? proxy.cutAfter('answer', random(1_500))
        : proxy.cutAfter('request', random(4_000_000));
    await Promise.race([place, done]);
  }
  proxy.takeCut();
  t.deepEqual(
    await done,
    calls.map((_, at) => at + 1),
  );
  await log.close();
  t.is(await daemon.stop(), 0);
  t.deepEqual(
    contents(daemon.dir).map((content) => Number(content.split(' ')[0])),
    calls.map((_, at) => at),
  );
});

/** A worker process; `answer` is what it was told. */
class Worker {
  readonly process: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #lines: AsyncIterator<string>;

  constructor(socketPath: string, content: string) {
    this.process = spawn(process.execPath, [WORKER, socketPath, 'the key', content], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#ended = once(this.process, 'close');
    const { stdout } = this.process;
    if (stdout === null) throw new Error('the worker has no output');
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  async connected(): Promise<void> {
    await this.#lines.next();
  }

  append(): void {
    this.process.stdin?.write('go\n');
  }

  async answer(): Promise<Keyed> {
    await this.connected();
    this.append();
    return JSON.parse((await this.#lines.next()).value as string) as Keyed;
  }

  async kill(): Promise<void> {
    this.process.kill('SIGKILL');
    await this.#ended;
  }
}

const keyed = test.macro(async (t: ExecutionContext, killDaemon: boolean) => {
  let daemon = await startDaemonProcess(t);
  const proxy = await startCuttingProxy(t, daemon.socketPath);
  const first = new Worker(proxy.socketPath, 'as it was');
  t.teardown(() => first.kill());
  await first.connected();
  const isCut = proxy.cutAfter('answer', 0);
  first.append();
  await isCut;
  proxy.close();
  await first.kill();
  if (killDaemon) {
    await daemon.kill('SIGKILL');
    daemon = await startDaemonProcess(t, { dir: daemon.dir });
  }
  const [line] = readSession(daemon.dir, 's');
  t.is(line?.content, 'as it was');
  const again = await new Worker(daemon.socketPath, 'as it was').answer();
  t.true(again.duplicate);
  t.deepEqual<unknown, unknown>(
    { ...line, file: undefined },
    {
      ...(JSON.parse(again.text ?? '') as object),
      file: undefined,
    },
  );
  const other = await new Worker(daemon.socketPath, 'something else').answer();
  t.is(other.code, 'IDEMPOTENCY_KEY_REUSED');
  t.is(await daemon.stop(), 0);
  t.deepEqual(contents(daemon.dir), ['as it was']);
});
test('a worker that is killed before its answer: the next one gets the first result', keyed, false);
test('the same, and the daemon is killed too', keyed, true);
