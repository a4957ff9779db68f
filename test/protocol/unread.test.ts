/** Clients that do not read what they are sent: it costs the daemon no more than its limits say. */
import { createConnection } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { encodeFrame } from '../../shared/frame-codec.js';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon.js';
import { client } from '../support/faults.js';
import { type Message, RawConnection } from '../support/raw-server.js';

const HELLO = { type: 'hello', protocolMin: 1, protocolMax: 1, clientId: 'a'.repeat(32) };

async function greeted({ socketPath }: DaemonProcess): Promise<RawConnection> {
  const connection = new RawConnection(createConnection({ path: socketPath }));
  connection.send(HELLO);
  await connection.next();
  return connection;
}

async function unreadAnswers(t: ExecutionContext, ask: (id: number) => object): Promise<void> {
  const daemon = await startDaemonProcess(t);
  const log = await client(t, daemon.dir);
  const wire = await greeted(daemon);
  wire.socket.pause();
  const asked = 200_000;
  let isTaken = false;
  const frames = Array.from({ length: asked }, (_, at) => encodeFrame(ask(at + 1)));
  const taken = new Promise<void>((resolve) => {
    wire.socket.write(Buffer.concat(frames), () => {
      isTaken = true;
      resolve();
    });
  });
  // Each of these calls lets the daemon look at all its sockets; it could have read all by then.
  for (let call = 0; call < 1_000; call += 1) await log.turns.head('s');
  t.false(isTaken);
  wire.socket.resume();
  for (let answer = 1; answer <= asked; answer += 1) await wire.next();
  await taken;
  t.is(await daemon.stop(), 0);
}

test('who reads no answers is asked no more questions, until he does', unreadAnswers, (id) => ({
  type: 'turns.head',
  id,
  sessionId: 's',
}));
test('who reads no pongs is not listened to, until he does', unreadAnswers, () => ({
  type: 'ping',
}));

test('what a filter leaves out is not told again and again to one who does not read', async (t) => {
  const daemon = await startDaemonProcess(t);
  const log = await client(t, daemon.dir);
  const wire = await greeted(daemon);
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
