/** A link and a peer that is silent, answers or asks. */
import test, { type ExecutionContext } from 'ava';
import { Link, type LinkHandlers } from '../../client/link.js';
import { DisconnectedError } from '../../shared/errors.js';
import { type RawConnection, startRawServer } from '../support/raw-server.js';

const HELLO = { clientId: '0'.repeat(32), timeoutMs: 30_000 };

interface LinkScene {
  readonly peer: RawConnection;
  readonly ended: Promise<Error>;
  readonly messages: object[];
}

async function linked(t: ExecutionContext, heartbeatMs: number): Promise<LinkScene> {
  const server = await startRawServer(t);
  const messages: object[] = [];
  let link: Link | null = null;
  const ended = new Promise<Error>((resolve) => {
    const handlers: LinkHandlers = {
      onConnected: () => undefined,
      onWelcome: () => undefined,
      onMessage: (message) => messages.push(message),
      onWritable: () => undefined,
      onEnd: resolve,
    };
    link = new Link(server.socketPath, { ...HELLO, heartbeatMs }, handlers);
  });
  t.teardown(() => link?.end(new Error('the test is over')));
  const peer = await server.connection();
  peer.answersPings = false;
  await peer.next();
  peer.welcome();
  return { peer, ended, messages };
}

test('a silent daemon is asked once, then given up', async (t) => {
  const { peer, ended } = await linked(t, 30);
  t.deepEqual(await peer.next(), { type: 'ping' });
  t.is(await peer.nextOrEnd(), null);
  const error = await ended;
  t.true(error instanceof DisconnectedError);
  t.regex(error.message, /said nothing for 90 ms, although it was asked/);
});

test('a daemon that answers is asked again and again, and kept', async (t) => {
  const { peer, messages } = await linked(t, 100);
  for (let beat = 0; beat < 5; beat += 1) {
    t.deepEqual(await peer.next(), { type: 'ping' });
    peer.send({ type: 'pong' });
  }
  t.deepEqual(messages, []);
});

test('a daemon that asks is answered at once', async (t) => {
  const { peer, messages } = await linked(t, 60_000);
  peer.send({ type: 'ping' });
  t.deepEqual(await peer.next(), { type: 'pong' });
  t.deepEqual(messages, []);
});
