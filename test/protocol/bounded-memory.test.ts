/** Clients that want the daemon to hold more than it may: it does not, and serves the others. */
import { createConnection } from 'node:net';
import type { ExecutionContext } from 'ava';
import { connect } from '../../client/index.js';
import { type DaemonProcess, residentBytes, startDaemonProcess } from '../support/daemon.js';
import { testWith } from '../support/faults.js';
import { RawConnection } from '../support/raw-server.js';

const MIB = 1024 * 1024;

async function greeted(t: ExecutionContext, daemon: DaemonProcess): Promise<RawConnection> {
  const wire = new RawConnection(createConnection({ path: daemon.socketPath }));
  t.teardown(() => wire.socket.destroy());
  wire.send({ type: 'hello', protocolMin: 1, protocolMax: 1, clientId: 'cd'.repeat(16) });
  await wire.next();
  return wire;
}

/** Sends so many bytes; resolves when they are taken, or the connection has ended. */
async function pour(wire: RawConnection, bytes: number): Promise<void> {
  const { socket } = wire;
  const chunk = Buffer.alloc(MIB);
  for (let sent = 0; sent < bytes && !socket.destroyed; sent += MIB) {
    if (socket.write(chunk)) continue;
    await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), wire.closed]);
  }
}

testWith(
  ['/proc'],
  'a client that is dropped and reads nothing may pour in what it likes',
  async (t) => {
    const daemon = await startDaemonProcess(t);
    const log = await connect({ dir: daemon.dir });
    t.teardown(() => log.close());
    await log.turns.append('s', { event: 'token', content: 'x'.repeat(200_000) });
    const before = await residentBytes(daemon);
    const wire = await greeted(t, daemon);
    wire.socket.pause();
    for (let id = 1; id <= 10; id += 1) wire.send({ type: 'turns.read', id, sessionId: 's' });
    for (let reads = 0; reads < 20; reads += 1) await log.turns.read('s');
    // What comes back is more than the socket holds, so the end has to wait for its reader.
    wire.send({ type: 'stats' });
    await pour(wire, 600 * MIB);
    const growth = (await residentBytes(daemon)) - before;
    t.true(growth < 100 * MIB, `${growth} bytes`);
    await wire.closed;
    t.is((await log.turns.read('s')).events.length, 1);
  },
);

testWith(
  ['/proc'],
  'what filters skip is not told to a client that does not read, until it does',
  async (t) => {
    const daemon = await startDaemonProcess(t);
    const log = await connect({ dir: daemon.dir });
    t.teardown(() => log.close());
    const event = { thread_id: 't', run_id: 'r', event_type: 'e', category: 'c' };
    // One commit after the other: each is told by itself.
    const fill = async (): Promise<void> => {
      for (let commits = 0; commits < 400; commits += 1) await log.runs.put(event);
    };
    await fill();
    const wire = await greeted(t, daemon);
    const [of, subscriptions] = [{ credit: 1000, after: 'now', categories: ['none'] }, 3_000];
    for (let subscription = 1; subscription <= subscriptions; subscription += 1) {
      const id = subscription;
      wire.send({ type: 'runs.subscribe', id, threadId: 't', subscription, ...of });
    }
    const [id, all] = [subscriptions + 1, { credit: 1000, journal: 'turns' }];
    wire.send({ type: 'subscribeAll', id, subscription: id, ...all });
    // An answer, the place where it begins, and that it is caught up.
    await wire.take(3 * (subscriptions + 1));
    const before = await residentBytes(daemon);
    wire.socket.pause();
    await fill();
    const growth = (await residentBytes(daemon)) - before;
    t.true(growth < 40 * MIB, `${growth} bytes`);
    wire.socket.resume();
    const { seq } = await log.runs.head('t');
    const { position: last } = await log.stats();
    const told = new Set<unknown>();
    while (told.size <= subscriptions) {
      const { subscription, cursor, position } = await wire.next();
      const at = cursor as { readonly seq: number } | undefined;
      if (at?.seq === seq || position === last) told.add(subscription);
    }
    t.pass();
  },
);

testWith(
  ['/proc'],
  'half-sent frames take what they may, and end those who do not finish them',
  async (t) => {
    const daemon = await startDaemonProcess(t);
    const log = await connect({ dir: daemon.dir });
    t.teardown(() => log.close());
    const before = await residentBytes(daemon);
    const [length, clients] = [32 * MIB, 16];
    const wires: RawConnection[] = [];
    const pours: Promise<void>[] = [];
    for (let client = 0; client < clients; client += 1) {
      const wire = await greeted(t, daemon);
      const prefix = Buffer.alloc(4);
      prefix.writeUInt32BE(length);
      wire.socket.write(prefix);
      wires.push(wire);
      pours.push(pour(wire, length - MIB));
    }
    // Four have room for all of it, and that they use.
    await Promise.any(pours);
    const large = log.turns.append('s', { event: 'token', content: 'x'.repeat(4 * MIB) });
    for (let appends = 1; appends <= 100; appends += 1)
      t.is((await log.turns.append('small', { event: 'token' })).seq, appends);
    const growth = (await residentBytes(daemon)) - before;
    t.true(growth < 256 * MIB, `${growth} bytes`);
    // All who have room let it pass, one after the other.
    const ended = await Promise.race(wires.map(async (wire) => await wire.nextOrEnd()));
    t.like(ended, { id: 0, error: { code: 'PROTOCOL' } });
    for (const wire of wires) wire.socket.destroy();
    t.is((await large).seq, 1);
  },
);

testWith(['/proc'], 'the filters of all subscriptions have their limit', async (t) => {
  const daemon = await startDaemonProcess(t);
  const before = await residentBytes(daemon);
  const wire = await greeted(t, daemon);
  const refusals: string[] = [];
  const subscribe = async (id: number, fields: object): Promise<void> => {
    const of = { threadId: 't', subscription: id, credit: 1, ...fields };
    wire.send({ type: 'runs.subscribe', id, ...of });
    for (;;) {
      const { id: answered, error } = await wire.next();
      if (answered !== id) continue;
      if (error !== undefined) refusals.push((error as { readonly code: string }).code);
      return;
    }
  };
  for (let id = 1; id <= 60; id += 1) {
    const name = 'n'.repeat(8 * MIB);
    await subscribe(id, id % 2 === 0 ? { taskId: name } : { categories: [name] });
  }
  t.deepEqual(
    refusals,
    Array.from({ length: 58 }, () => 'OVERLOADED'),
  );
  const growth = (await residentBytes(daemon)) - before;
  t.true(growth < 200 * MIB, `${growth} bytes`);
  // What is given up is there for others.
  wire.send({ type: 'unsubscribe', subscription: 1 });
  await subscribe(61, { eventTypes: ['e'.repeat(8 * MIB)] });
  t.is(refusals.length, 58);
});
