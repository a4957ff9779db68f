/**
 * Conformance of subscriptions, row by row: raw frames over a real socket, without the client
 * library. `docs/protocol.md` is what is held to.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { dirname, join } from 'node:path';
import test from 'ava';
import { makeFolder, startDaemonProcess } from '../support/daemon.js';
import { type Message, RawConnection } from '../support/raw-server.js';

const LONG = 'x'.repeat(300 * 1024);

/** What is sent, or, as a text, what is to come next. */
type Step = Message | string;

interface Row {
  readonly name: string;
  /** Files that are there before the daemon starts, by path and text. */
  readonly files?: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  readonly steps: readonly Step[];
}

let lastId = 100;

function turn(sessionId: string, fields: object = {}): Message {
  lastId += 1;
  const text = Buffer.from(JSON.stringify({ event: 'e', ...fields }));
  return { type: 'turns.append', id: lastId, sessionId, text };
}

function runs(
  ...events: readonly [run: string, type: string, category: string, task?: string][]
): Message {
  lastId += 1;
  const texts = events.map(([run_id, event_type, category, task_id]) =>
    Buffer.from(
      JSON.stringify({ thread_id: 't', run_id, event_type, category, metadata: { task_id } }),
    ),
  );
  return { type: 'runs.put', id: lastId, texts };
}

function subscribe(fields: object = {}): Message {
  return {
    type: 'turns.subscribe',
    id: 1,
    sessionId: 's',
    subscription: 5,
    credit: 100_000,
    ...fields,
  };
}

function follow(fields: object = {}): Message {
  return {
    type: 'runs.subscribe',
    id: 1,
    threadId: 't',
    subscription: 5,
    credit: 100_000,
    ...fields,
  };
}

function everything(fields: object = {}): Message {
  return { type: 'subscribeAll', id: 1, subscription: 5, credit: 1_000_000, ...fields };
}

const OLD_THREAD = ['a', 'b', 'c', 'd']
  .map((event_type, at) => {
    const seq = [1, 2, 2, 3][at];
    return `${JSON.stringify({ thread_id: 't', run_id: 'r', event_type, category: 'c', seq })}\n`;
  })
  .join('');

// biome-ignore format: a table is read row by row.
const ROWS: readonly Row[] = [
  {
    name: 'from the start: what is on disk, then what is committed',
    steps: [
      turn('s'), 'ack 1', turn('s'), 'ack 2', subscribe(), 'answer', 'progress 5 1-0',
      'push 5 1 2', 'progress 5 1-2 caughtUp', turn('s'), 'push 5 3', 'ack 3',
    ],
  },
  {
    name: 'from now on',
    steps: [
      turn('s'), 'ack 1', subscribe({ after: 'now' }), 'answer', 'progress 5 1-1',
      'progress 5 1-1 caughtUp', turn('s'), 'push 5 2', 'ack 2',
    ],
  },
  {
    name: 'a number is a seq of the present life',
    steps: [
      turn('s'), 'ack 1', turn('s'), 'ack 2', subscribe({ after: 1 }), 'answer', 'progress 5 1-1',
      'push 5 2', 'progress 5 1-2 caughtUp',
    ],
  },
  {
    name: 'a number ahead of the stream is waited for',
    steps: [
      turn('s'), 'ack 1', subscribe({ after: 2 }), 'answer', 'progress 5 1-1',
      'progress 5 1-1 caughtUp', turn('s'), 'ack 2', turn('s'), 'push 5 3', 'ack 3',
    ],
  },
  {
    name: 'a cursor',
    steps: [
      turn('s'), 'ack 1', turn('s'), 'ack 2', subscribe({ after: { generation: 1, seq: 1 } }),
      'answer', 'progress 5 1-1', 'push 5 2', 'progress 5 1-2 caughtUp',
    ],
  },
  {
    name: 'the cursor of nothing means the start',
    steps: [
      turn('s'), 'ack 1', subscribe({ after: { generation: 0, seq: 0 } }), 'answer',
      'progress 5 1-0', 'push 5 1', 'progress 5 1-1 caughtUp',
    ],
  },
  {
    name: 'cursors of another life, ahead of the stream, of a stream that is gone',
    steps: [
      turn('s'), 'ack 1', subscribe({ after: { generation: 9, seq: 1 } }),
      'refused CURSOR_EXPIRED generation 1', subscribe({ after: { generation: 1, seq: 2 } }),
      'refused CURSOR_EXPIRED generation 1', { type: 'turns.delete', id: 2, sessionId: 's' },
      'count 1', subscribe({ after: { generation: 1, seq: 1 } }),
      'refused CURSOR_EXPIRED generation 0',
    ],
  },
  {
    name: 'a stream that does not exist is waited for',
    steps: [
      subscribe(), 'answer', 'progress 5 0-0', 'progress 5 0-0 caughtUp', turn('s'), 'push 5 1',
      'ack 1',
    ],
  },
  {
    name: 'a deleted stream ends its subscriptions with the reason; another life is another stream',
    steps: [
      turn('s'), 'ack 1', subscribe(), 'answer', 'progress 5 1-0', 'push 5 1',
      'progress 5 1-1 caughtUp', { type: 'turns.delete', id: 2, sessionId: 's' },
      'ended 5 STREAM_DELETED 1-1', 'count 1', turn('s'), 'ack 1', subscribe(), 'answer',
      'progress 5 3-0', 'push 5 1', 'progress 5 3-1 caughtUp',
    ],
  },
  {
    name: 'a filter by run; what it skips moves the cursor',
    steps: [
      runs(['r1', 'a', 'c'], ['r2', 'a', 'c'], ['r1', 'a', 'c']), 'ack 1 2 3',
      follow({ runId: 'r2' }), 'answer', 'progress 5 1-0', 'push 5 2', 'progress 5 1-3',
      'progress 5 1-3 caughtUp', runs(['r1', 'a', 'c']), 'progress 5 1-4', 'ack 4',
      runs(['r2', 'a', 'c'], ['r1', 'a', 'c']), 'push 5 5', 'progress 5 1-6', 'ack 5 6',
    ],
  },
  {
    name: 'filters by category, type and task, all of which must hold',
    steps: [
     
      runs( ['r', 'a', 'x'], ['r', 'b', 'x'], ['r', 'a', 'y'], ['r', 'a', 'x', 'k'], ['r', 'a', 'z'], ),
      'ack 1 2 3 4 5', follow({ categories: ['x', 'z'] }), 'answer', 'progress 5 1-0',
      'push 5 1 2 4 5', 'progress 5 1-5 caughtUp', { type: 'unsubscribe', subscription: 5 },
      follow({ categories: ['x', 'z'], eventTypes: ['a'] }), 'answer', 'progress 5 1-0',
      'push 5 1 4 5', 'progress 5 1-5 caughtUp', { type: 'unsubscribe', subscription: 5 },
      follow({ categories: ['x', 'z'], eventTypes: ['a'], taskId: 'k' }), 'answer',
      'progress 5 1-0', 'push 5 4', 'progress 5 1-5', 'progress 5 1-5 caughtUp',
    ],
  },
  {
    name: 'no types: nothing but progress',
    steps: [
      runs(['r', 'a', 'x']), 'ack 1', follow({ eventTypes: [] }), 'answer', 'progress 5 1-0',
      'progress 5 1-1 caughtUp', runs(['r', 'a', 'x']), 'progress 5 1-2', 'ack 2',
    ],
  },
  {
    name: 'a row is sent while any credit is left, and the next when more is granted',
    steps: [
      turn('s'), 'ack 1', turn('s'), 'ack 2', subscribe({ credit: 1 }), 'answer',
      'progress 5 1-0', 'push 5 1', { type: 'ping' }, 'pong',
      { type: 'credit', subscription: 5, credit: 1 }, { type: 'ping' }, 'pong',
      { type: 'credit', subscription: 5, credit: 1_000 }, 'push 5 2', 'progress 5 1-2 caughtUp',
      turn('s'), 'push 5 3', 'ack 3',
    ],
  },
  {
    name: 'without credit the present waits on disk',
    steps: [
      turn('s'), 'ack 1', subscribe({ credit: 0 }), 'answer', 'progress 5 1-0', turn('s'),
      'ack 2', turn('s'), 'ack 3', { type: 'credit', subscription: 5, credit: 10_000 },
      'push 5 1 2 3', 'progress 5 1-3 caughtUp',
    ],
  },
  {
    name: 'credit that ends in the midst of what is committed goes on from disk',
    steps: [
      runs(['r', 'a', 'x']), 'ack 1', follow({ after: 'now', credit: 100 }), 'answer',
      'progress 5 1-1', 'progress 5 1-1 caughtUp',
      runs(['r', 'a', 'x'], ['r', 'a', 'x'], ['r', 'a', 'x']), 'push 5 2', 'ack 2 3 4',
      { type: 'credit', subscription: 5, credit: 10_000 }, 'push 5 3 4',
    ],
  },
  {
    name: 'unsubscribe is silence, and notices about what is over are no errors',
    steps: [
      subscribe(), 'answer', 'progress 5 0-0', 'progress 5 0-0 caughtUp',
      { type: 'unsubscribe', subscription: 5 }, turn('s'), 'ack 1',
      { type: 'unsubscribe', subscription: 5 }, { type: 'credit', subscription: 5, credit: 9 },
      { type: 'ping' }, 'pong',
    ],
  },
  {
    name: 'a number is given once; several subscriptions on one connection',
    steps: [
      turn('s'), 'ack 1', subscribe(), 'answer', 'progress 5 1-0', 'push 5 1',
      'progress 5 1-1 caughtUp', subscribe(), 'refused INVALID_ARGUMENT path subscription',
      subscribe({ subscription: 6, after: 'now' }), 'answer', 'progress 6 1-1',
      'progress 6 1-1 caughtUp', turn('s'), 'push 5 2', 'push 6 2', 'ack 2',
    ],
  },
  {
    name: 'a long text is split, from disk and as it is committed',
    steps: [
      turn('s', { content: LONG }), 'ack 1', subscribe({ credit: 10_000_000 }), 'answer',
      'progress 5 1-0', 'push 5 1…', 'push 5 1', 'progress 5 1-1 caughtUp',
      turn('s', { content: LONG }), 'push 5 2…', 'push 5 2', 'ack 2',
    ],
  },
  {
    name: 'old rows of equal seq say that another follows',
    files: { 'threads/t/runs/r.jsonl': OLD_THREAD },
    steps: [
      follow(), 'answer', 'progress 5 1-0', 'push 5 1 2= 2 3', 'progress 5 1-3 caughtUp',
      { type: 'unsubscribe', subscription: 5 }, follow({ after: 1, credit: 1 }), 'answer',
      'progress 5 1-1', 'push 5 2= 2',
    ],
  },
  {
    name: 'everything, by position: events and deletions',
    steps: [
      turn('s'), 'ack 1', runs(['r1', 'a', 'c'], ['r2', 'a', 'c']), 'ack 1 2',
      everything({ afterPosition: 0 }), 'answer', 'progress 5 @0', 'push 5 @1:s:1 @2:t:1 @3:t:2',
      'progress 5 @3 caughtUp', { type: 'runs.deleteByRun', id: 2, threadId: 't', runId: 'r2' },
      'push 5 @4:t/r2:deleted', 'count 1', { type: 'turns.delete', id: 3, sessionId: 's' },
      'push 5 @5:s:deleted', 'count 1', turn('s'), 'push 5 @6:s:1', 'ack 1',
      { type: 'unsubscribe', subscription: 5 }, everything({ afterPosition: 2 }), 'answer',
      'progress 5 @2', 'push 5 @3:t:2 @4:t/r2:deleted @5:s:deleted @6:s:1',
      'progress 5 @6 caughtUp',
    ],
  },
  {
    name: 'everything of one journal; the other moves the position',
    steps: [
      turn('s'), 'ack 1', runs(['r', 'a', 'c']), 'ack 1',
      everything({ afterPosition: 0, journal: 'turns' }), 'answer', 'progress 5 @0',
      'push 5 @1:s:1', 'progress 5 @2', 'progress 5 @2 caughtUp', runs(['r', 'a', 'c']),
      'progress 5 @3', 'ack 2',
    ],
  },
  {
    name: 'everything from now on; a position that was never given',
    steps: [
      turn('s'), 'ack 1', everything(), 'answer', 'progress 5 @1', 'progress 5 @1 caughtUp',
      { type: 'unsubscribe', subscription: 5 }, everything({ afterPosition: 7 }),
      'refused INVALID_ARGUMENT path afterPosition',
    ],
  },
  {
    name: 'everything without credit, then with some',
    steps: [
      turn('s'), 'ack 1', turn('s'), 'ack 2', turn('s'), 'ack 3',
      everything({ afterPosition: 0, credit: 1 }), 'answer', 'progress 5 @0', 'push 5 @1:s:1',
      { type: 'credit', subscription: 5, credit: 1_000 }, 'push 5 @2:s:2 @3:s:3',
      'progress 5 @3 caughtUp',
    ],
  },
  {
    name: 'requests that are not of their form',
    steps: [
      { type: 'turns.subscribe', id: 1, sessionId: 's', credit: 1 },
      'refused INVALID_ARGUMENT path subscription',
      { type: 'turns.subscribe', id: 1, sessionId: 's', subscription: 1 },
      'refused INVALID_ARGUMENT path credit', subscribe({ sessionId: '../s' }),
      'refused INVALID_ID', subscribe({ after: 'then' }), 'refused INVALID_ARGUMENT path after',
      follow({ runId: 'a/b' }), 'refused INVALID_ID', everything({ journal: 'others' }),
      'refused INVALID_ARGUMENT path journal', { type: 'credit', subscription: 'x', credit: 1 },
      'refused PROTOCOL',
    ],
  },
];

for (const row of ROWS) {
  test(row.name, async (t) => {
    const dir = join(await makeFolder(t), 'd');
    for (const [path, text] of Object.entries(row.files ?? {})) {
      await mkdir(dirname(join(dir, path)), { recursive: true });
      await writeFile(join(dir, path), text);
    }
    const daemon = await startDaemonProcess(t, { dir, args: row.args ?? [] });
    const wire = new RawConnection(createConnection({ path: daemon.socketPath }));
    t.teardown(() => wire.socket.destroy());
    wire.send({ type: 'hello', protocolMin: 1, protocolMax: 1, clientId: 'ab'.repeat(16) });
    await wire.next();
    for (const [at, step] of row.steps.entries()) {
      if (typeof step !== 'string') wire.send(step);
      else t.is(shown(await seen(wire)), step, `step ${at}`);
    }
    t.deepEqual(wire.waiting.map(shown), []);
  });
}

test('a position before the retained log is answered with what is still there', async (t) => {
  const daemon = await startDaemonProcess(t, {
    args: ['--segment-bytes', String(256 * 1024), '--log-retention-bytes', '1'],
  });
  const wire = new RawConnection(createConnection({ path: daemon.socketPath }));
  t.teardown(() => wire.socket.destroy());
  wire.send({ type: 'hello', protocolMin: 1, protocolMax: 1, clientId: 'ab'.repeat(16) });
  await wire.next();
  const content = 'x'.repeat(60 * 1024);
  let earliest = 0;
  // Checkpoints run when a deletion has been carried out; then old segments go.
  while (earliest === 0) {
    for (let count = 0; count < 8; count += 1) {
      wire.send(turn('s', { content }));
      await wire.next();
    }
    wire.send({ type: 'turns.delete', id: 2, sessionId: 's' });
    await wire.next();
    wire.send(everything({ afterPosition: 0, credit: 0 }));
    const { error } = await seen(wire);
    if (error === undefined) {
      await wire.next();
      wire.send({ type: 'unsubscribe', subscription: 5 });
    } else {
      t.is(error.code, 'POSITION_EXPIRED');
      earliest = error.earliest ?? 0;
    }
  }
  // A checkpoint may still be under way, and take another segment, before or behind the answer.
  for (;;) {
    wire.send(everything({ afterPosition: earliest - 1, credit: 1 }));
    let { error } = await seen(wire);
    if (error === undefined) {
      t.is(shown(await seen(wire)), `progress 5 @${earliest - 1}`);
      const { rows, ...end } = await seen(wire);
      if (rows !== undefined) return t.is(rows[0]?.position, earliest);
      ({ error } = end);
    }
    t.is(error?.code, 'POSITION_EXPIRED');
    t.true((error?.earliest ?? 0) > earliest);
    earliest = error?.earliest ?? 0;
  }
});

/** What may stand in a message of the daemon. */
interface Seen {
  readonly type?: string;
  readonly id?: number;
  readonly subscription?: number;
  readonly rows?: readonly SeenRow[];
  readonly split?: true;
  readonly caughtUp?: true;
  readonly cursor?: { readonly generation: number; readonly seq: number };
  readonly position?: number;
  readonly acks?: readonly { readonly seq: number }[];
  readonly count?: number;
  readonly error?: SeenError;
}

interface SeenRow {
  readonly seq?: number;
  readonly sameSeqFollows?: true;
  readonly position?: number;
  readonly streamId?: string;
  readonly runId?: string;
  readonly event?: { readonly seq: number };
  readonly deleted?: true;
}

interface SeenError {
  readonly code: string;
  readonly path?: string;
  readonly generation?: number;
  readonly earliest?: number;
  readonly cursor?: NonNullable<Seen['cursor']>;
}

async function seen(wire: RawConnection): Promise<Seen> {
  return (await wire.next()) as Seen;
}

/** A message as the table writes it. */
function shown(message: Seen): string {
  const { type = '', id, subscription = 0, rows = [], acks, count, error } = message;
  switch (type) {
    case 'push':
      return `push ${subscription} ${rows.map(shownRow).join(' ')}${message.split ? '…' : ''}`;
    case 'progress':
      return `progress ${subscription} ${shownPlace(message)}${message.caughtUp ? ' caughtUp' : ''}`;
    case 'ended':
      return `ended ${subscription} ${error?.code ?? ''} ${shownPlace(error ?? {})}`;
    default:
  }
  if (error !== undefined) return shownError(error);
  if (acks !== undefined) return `ack ${acks.map(({ seq }) => seq).join(' ')}`;
  if (count !== undefined) return `count ${count}`;
  return id === undefined ? type : 'answer';
}

function shownPlace({ cursor, position = 0 }: Pick<Seen, 'cursor' | 'position'>): string {
  return cursor === undefined ? `@${position}` : `${cursor.generation}-${cursor.seq}`;
}

function shownRow(row: SeenRow): string {
  const { position, streamId = '', runId, event, deleted, seq = 0, sameSeqFollows } = row;
  if (position === undefined) return `${seq}${sameSeqFollows === true ? '=' : ''}`;
  const name = runId === undefined ? streamId : `${streamId}/${runId}`;
  return `@${position}:${name}:${deleted === true ? 'deleted' : (event?.seq ?? '')}`;
}

function shownError({ code, path = '', generation }: SeenError): string {
  if (generation !== undefined) return `refused ${code} generation ${generation}`;
  return `refused ${code}${path === '' ? '' : ` path ${path}`}`;
}
