/** What the daemon makes of numbers that it has met before, over raw sockets. */
import { mkdirSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import test from 'ava';
import { encodeFrame } from '../../shared/frame-codec.js';
import { CLIENT_RESULTS_MAX } from '../../shared/limits.js';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon.js';
import { readSession } from '../support/journal-files.js';
import { type Message, RawConnection } from '../support/raw-server.js';

const HELLO = { type: 'hello', protocolMin: 1, protocolMax: 1, clientId: 'a'.repeat(32) };

/** A connection of the one client of these tests. */
class Peer {
  readonly connection: RawConnection;
  readonly welcome: Message;

  private constructor(connection: RawConnection, welcome: Message) {
    this.connection = connection;
    this.welcome = welcome;
  }

  static async open({ socketPath }: DaemonProcess): Promise<Peer> {
    const connection = new RawConnection(createConnection({ path: socketPath }));
    connection.send(HELLO);
    return new Peer(connection, await connection.next());
  }

  /** The last frame of a call's answer, with the acks of all; for one call at a time. */
  async call(request: object): Promise<Message> {
    this.connection.send({ id: 1, ...request });
    return await this.answer();
  }

  async answer(): Promise<Message> {
    const acks: unknown[] = [];
    for (;;) {
      const frame = await this.connection.next();
      acks.push(...((frame['acks'] as readonly unknown[] | undefined) ?? []));
      if (frame['more'] !== true) return { ...frame, acks };
    }
  }
}

function append(number: number, lowest = number, sessionId = 's'): object {
  const text = Buffer.from(`{"event":"e","content":"${number}"}`);
  return { type: 'turns.append', sessionId, text, number, lowest };
}

function contents(dir: string): string[] {
  return readSession(dir, 's').map(({ content }) => content);
}

test('a number that its client no longer awaits is not carried out late', async (t) => {
  const daemon = await startDaemonProcess(t);
  const [old, present] = [await Peer.open(daemon), await Peer.open(daemon)];
  await present.call(append(1));
  await present.call(append(2));
  await present.call(append(4, 4));
  for (const late of [append(1), append(3), { type: 'turns.delete', sessionId: 's', number: 3 }]) {
    t.like(await old.call(late), { error: { code: 'PROTOCOL', outcome: 'unknown' } });
  }
  t.is(await daemon.stop(), 0);
  t.deepEqual(contents(daemon.dir), ['1', '2', '4']);
});

test('a number that comes over two connections at once is done once', async (t) => {
  const daemon = await startDaemonProcess(t);
  const peers = await Promise.all(Array.from({ length: 8 }, () => Peer.open(daemon)));
  for (let number = 1; number <= 20; number += 1) {
    const answers = await Promise.all(peers.map((peer) => peer.call(append(number))));
    t.is(answers.filter(({ duplicate }) => duplicate === true).length, peers.length - 1);
    for (const { acks } of answers) t.like(acks, [{ seq: number }]);
  }
  t.is(await daemon.stop(), 0);
  t.is(contents(daemon.dir).length, 20);
});

for (const [title, signal] of [
  ['a kill', 'SIGKILL'],
  ['a clean stop', 'SIGTERM'],
] as const) {
  test(`results and the lowest number survive ${title}`, async (t) => {
    let daemon = await startDaemonProcess(t);
    const { dir } = daemon;
    let peer = await Peer.open(daemon);
    t.false(peer.welcome['known']);
    await peer.call(append(1));
    await peer.call(append(2));
    const first = await peer.call(append(3, 3));
    const deletion = { type: 'runs.deleteByThread', threadId: 't', number: 5, lowest: 3 };
    const runs = [0, 1, 2].map((at) =>
      Buffer.from(
        `{"thread_id":"${at === 1 ? 'u' : 't'}","run_id":"r","event_type":"e","category":"c"}`,
      ),
    );
    const put = { type: 'runs.put', texts: runs, number: 4, lowest: 3 };
    const batch = await peer.call(put);
    t.is((await peer.call(deletion))['count'], 2);
    for (let restart = 0; restart < 2; restart += 1) {
      await daemon.kill(signal);
      daemon = await startDaemonProcess(t, { dir });
      peer = await Peer.open(daemon);
      t.true(peer.welcome['known']);
      t.like(await peer.call(append(2)), { error: { outcome: 'unknown' } });
      const again = await peer.call(append(3, 3));
      t.true(again['duplicate']);
      t.like(again['acks'], [{ seq: 3 }]);
      t.is((again['acks'] as unknown[]).length, (first['acks'] as unknown[]).length);
      const putAgain = await peer.call(put);
      t.true(putAgain['duplicate']);
      const placesOf = ({ acks }: Message): unknown[] =>
        (acks as readonly Message[]).map(({ seq, position }) => [seq, position]);
      t.deepEqual(placesOf(putAgain), placesOf(batch));
      t.is((await peer.call(deletion))['count'], 2);
    }
    t.is(await daemon.stop(), 0);
    t.deepEqual(contents(dir), ['1', '2', '3']);
  });
}

test('an append is not sealed before the deletion that was sent before it', async (t) => {
  const daemon = await startDaemonProcess(t);
  const peer = await Peer.open(daemon);
  await peer.call(append(1));
  const deletion = { id: 2, type: 'turns.delete', sessionId: 's', number: 2, lowest: 2 };
  const later = { id: 3, ...append(3, 2) };
  peer.connection.socket.write(Buffer.concat([encodeFrame(deletion), encodeFrame(later)]));
  t.like(await peer.answer(), { id: 2, count: 1 });
  t.like(await peer.answer(), { id: 3, acks: [{ seq: 1 }] });
  t.is(await daemon.stop(), 0);
  t.deepEqual(contents(daemon.dir), ['3']);
});

test('what was done and cannot be read now is not called not-committed', async (t) => {
  const daemon = await startDaemonProcess(t);
  await (await Peer.open(daemon)).call(append(1));
  t.is(await daemon.stop(), 0);
  const path = join(daemon.dir, '_turn_journal', 's.jsonl');
  rmSync(path);
  mkdirSync(path);
  const next = await startDaemonProcess(t, { dir: daemon.dir });
  const peer = await Peer.open(next);
  const again = await peer.call(append(1));
  t.true(again['duplicate'] === true || (again['error'] as Message)['outcome'] === 'unknown');
  t.like(await peer.call(append(2)), { error: { outcome: 'not-committed' } });
});

test('an append that was sent behind a deletion of nothing waits for nobody', async (t) => {
  const daemon = await startDaemonProcess(t);
  const peer = await Peer.open(daemon);
  const deletion = { id: 2, type: 'turns.delete', sessionId: 's', number: 1, lowest: 1 };
  const later = { id: 3, ...append(2, 1) };
  peer.connection.socket.write(Buffer.concat([encodeFrame(deletion), encodeFrame(later)]));
  t.like(await peer.answer(), { id: 2, count: 0 });
  t.like(await peer.answer(), { id: 3, acks: [{ seq: 1 }] });
  t.is(await daemon.stop(), 0);
});

for (const [when, signal] of [
  ['', null],
  [' after a kill', 'SIGKILL'],
] as const) {
  test(`a deletion of nothing that is sent again${when} takes nothing along that its client appended behind it`, async (t) => {
    const first = await startDaemonProcess(t);
    const { dir } = first;
    const deletions = [
      { type: 'turns.delete', sessionId: 's', number: 1, lowest: 1 },
      { type: 'turns.delete', sessionId: 'other', number: 3, lowest: 1 },
    ];
    const peer = await Peer.open(first);
    t.like(await peer.call(deletions[0] ?? {}), { count: 0 });
    t.like(await peer.call(append(2, 1)), { acks: [{ seq: 1 }] });
    t.like(await peer.call(deletions[1] ?? {}), { count: 0 });
    if (signal !== null) await first.kill(signal);
    const daemon = signal === null ? first : await startDaemonProcess(t, { dir });
    const again = await Peer.open(daemon);
    t.like(await again.call(deletions[0] ?? {}), { count: 0 });
    t.like(await again.call(append(2, 1)), { duplicate: true, acks: [{ seq: 1 }] });
    t.like(await again.call(deletions[1] ?? {}), { count: 0 });
    const anew = { type: 'turns.delete', sessionId: 's', number: 4, lowest: 4 };
    t.deepEqual(contents(dir), ['2']);
    t.like(await again.call(anew), { count: 1 });
    t.is(await daemon.stop(), 0);
  });
}

test('a number too far above one that is awaited is refused, for its result would have to be kept', async (t) => {
  const daemon = await startDaemonProcess(t);
  const peer = await Peer.open(daemon);
  t.like(await peer.call(append(CLIENT_RESULTS_MAX, 1)), { acks: [{ seq: 1 }] });
  const far = CLIENT_RESULTS_MAX + 1;
  const put = {
    type: 'runs.put',
    texts: [Buffer.from('{"thread_id":"t","run_id":"r","event_type":"e","category":"c"}')],
  };
  for (const call of [
    append(far, 1),
    { type: 'turns.delete', sessionId: 's', number: far, lowest: 1 },
    { ...put, number: far, lowest: 1 },
  ]) {
    t.like(await peer.call(call), { error: { code: 'OVERLOADED', outcome: 'not-committed' } });
  }
  t.like(await peer.call(append(far, 2)), { acks: [{ seq: 2 }] });
  t.is(await daemon.stop(), 0);
});
