/** Clients that ask and never read: the daemon's memory stays bounded, and nothing is lost. */
import { createConnection } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { connect } from '../../client/index.js';
import { type DaemonProcess, residentBytes, startDaemonProcess } from '../support/daemon.js';
import { testWith } from '../support/faults.js';
import { type Message, RawConnection } from '../support/raw-server.js';

const MIB = 1024 * 1024;
const SESSIONS = ['a', 'b', 'c', 'd'];
/** Of each session: 20 MiB. */
const EVENTS = 320;
const CONTENT = 'x'.repeat(64 * 1024);
/**
 * The daemon may hold 1 MiB for each connection, and the collector takes its time; held whole, the
 * events of this test would take 160 MiB in sockets alone.
 */
const GROWTH_MAX = 64 * MIB;

async function greeted(t: ExecutionContext, daemon: DaemonProcess): Promise<RawConnection> {
  const wire = new RawConnection(createConnection({ path: daemon.socketPath }));
  t.teardown(() => wire.socket.destroy());
  wire.send({ type: 'hello', protocolMin: 1, protocolMax: 1, clientId: 'ab'.repeat(16) });
  await wire.next();
  return wire;
}

/** The seqs of all events of the subscription that come until it has this many. */
async function seqsOf(wire: RawConnection, count: number): Promise<number[]> {
  const seqs: number[] = [];
  while (seqs.length < count) {
    const message = await wire.next();
    if (message['type'] !== 'push') continue;
    for (const row of message['rows'] as readonly Message[]) seqs.push(Number(row['seq']));
  }
  return seqs;
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1);

testWith(['/proc'], '20 MiB for each subscriber that never reads, and then does', async (t) => {
  const daemon = await startDaemonProcess(t);
  const log = await connect({ dir: daemon.dir });
  t.teardown(() => log.close());
  const fill = async (session: string): Promise<void> => {
    for (let round = 0; round < EVENTS / 16; round += 1) {
      const event = { event: 'token', content: CONTENT };
      await Promise.all(upTo(16).map(() => log.turns.append(session, event)));
    }
  };
  // What appending itself takes is taken before.
  for (const session of SESSIONS) await fill(`warm-${session}`);
  const before = await residentBytes(daemon);
  const wires: RawConnection[] = [];
  const subscriptions = SESSIONS.map((session) => log.turns.subscribe(session));
  for (const sessionId of SESSIONS) {
    const wire = await greeted(t, daemon);
    wires.push(wire);
    wire.send({ type: 'turns.subscribe', id: 1, sessionId, subscription: 1, credit: 2 ** 40 });
    await wire.next();
    wire.socket.pause();
  }
  for (const [at, session] of SESSIONS.entries()) {
    await fill(session);
    // Who does not read is given up after a while, but not who is heard.
    for (const wire of wires) wire.send({ type: 'ping' });
    const growth = (await residentBytes(daemon)) - before;
    t.true(growth < GROWTH_MAX, `${growth} bytes after ${at + 1} sessions`);
  }
  t.is((await log.stats()).health, 'ok');
  for (const wire of wires) {
    wire.socket.resume();
    t.deepEqual(await seqsOf(wire, EVENTS), upTo(EVENTS));
    wire.socket.destroy();
  }
  for (const subscription of subscriptions) {
    const seqs: number[] = [];
    for await (const { seq } of subscription) {
      seqs.push(seq);
      if (seqs.length === EVENTS) break;
    }
    t.deepEqual(seqs, upTo(EVENTS));
  }
});

testWith(['/proc'], 'requests and pings of a client that never reads their answers', async (t) => {
  const daemon = await startDaemonProcess(t);
  const log = await connect({ dir: daemon.dir });
  t.teardown(() => log.close());
  await log.turns.append('s', { event: 'token', content: CONTENT });
  const before = await residentBytes(daemon);
  const asks: readonly Message[] = [
    { type: 'ping' },
    { type: 'nonsense'.repeat(100), id: 1 },
    { type: 'turns.read', id: 2, sessionId: 's' },
  ];
  for (const ask of asks) {
    const wire = await greeted(t, daemon);
    wire.socket.pause();
    // The socket takes what the daemon reads, and then no more: it has stopped reading.
    let sent = 0;
    while (wire.socket.writableLength < MIB) {
      for (let count = 0; count < 1_000; count += 1) wire.send(ask);
      sent += 1_000;
      await log.stats();
      if (sent > 10_000_000) break;
    }
    t.true(sent < 10_000_000, `${String(ask['type'])}: all was taken`);
    t.is((await log.turns.read('s')).events.length, 1);
  }
  const growth = (await residentBytes(daemon)) - before;
  t.true(growth < GROWTH_MAX, `${growth} bytes`);
});

test('what a filter leaves out is not told again and again to one who does not read', async (t) => {
  const daemon = await startDaemonProcess(t);
  const log = await connect({ dir: daemon.dir });
  t.teardown(() => log.close());
  const wire = await greeted(t, daemon);
  const subscriptions = 400;
  const commits = 300;
  const about = { threadId: 't', categories: ['none'], credit: 1_000 };
  for (let id = 1; id <= subscriptions; id += 1) {
    wire.send({ type: 'runs.subscribe', id, subscription: id, ...about });
  }
  let caughtUp = 0;
  while (caughtUp < subscriptions) if ((await wire.next())['caughtUp'] === true) caughtUp += 1;
  wire.socket.pause();
  for (let seq = 1; seq <= commits; seq += 1) {
    await log.runs.put({ thread_id: 't', run_id: 'r', event_type: 'e', category: 'c' });
  }
  wire.socket.resume();
  const last = new Map<unknown, number>();
  let told = 0;
  const isDone = (): boolean =>
    last.size === subscriptions && [...last.values()].every((seq) => seq === commits);
  while (!isDone()) {
    const { subscription, cursor } = (await wire.next()) as Message & {
      readonly cursor: { readonly seq: number };
    };
    t.true(cursor.seq > (last.get(subscription) ?? 0));
    last.set(subscription, cursor.seq);
    told += 1;
  }
  t.true(told < (subscriptions * commits) / 2, `${told} messages`);
});
