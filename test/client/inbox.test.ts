import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import test from 'ava';
import { Inbox } from '../../client/inbox.js';

const OWNER = { taken: () => {}, unreadable: () => {}, over: () => {} };

function heapUsed(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().heapUsed;
}

test('however much is left out behind a row that nobody takes, it costs nothing', async (t) => {
  const inbox = new Inbox<string, number>(OWNER, 0);
  inbox.connected();
  inbox.put({ read: () => 'row', place: 1, credit: 1 });
  const before = heapUsed();
  const places = 300_000;
  for (let place = 2; place <= places; place += 1) inbox.progress(place, place === 2);
  t.true(heapUsed() - before < 8 * 1024 * 1024);
  t.deepEqual(await inbox.next(), { value: 'row', done: false });
  t.is(inbox.place, places);
  t.is(inbox.state, 'live');
});

test('the present stays where it is among what is left out', async (t) => {
  const inbox = new Inbox<string, number>(OWNER, 0);
  inbox.connected();
  const first = inbox.next();
  inbox.put({ read: () => 'a', place: 1, credit: 1 });
  await first;
  inbox.put({ read: () => 'b', place: 2, credit: 1 });
  for (const place of [3, 4, 5]) inbox.progress(place, place === 4);
  inbox.put({ read: () => 'c', place: 6, credit: 1 });
  for (const place of [7, 8]) inbox.progress(place, false);
  t.is(inbox.state, 'catching-up');
  await inbox.next();
  t.deepEqual([inbox.state, inbox.place], ['live', 5]);
  await inbox.next();
  t.is(inbox.place, 8);
});
