import test from 'ava';
import fc from 'fast-check';
import { Retries } from '../../../daemon/commit/retries.js';
import type { RememberedResult } from '../../../daemon/storage/catalog-format.js';
import type { StreamName } from '../../../daemon/storage/layout.js';
import {
  CLIENT_RESULTS_AGE_MS,
  IDEMPOTENCY_KEY_AGE_MS,
  IDEMPOTENCY_KEYS_MIN,
  RESULTS_REMEMBERED_MAX,
} from '../../../shared/limits.js';

function result(count: number, atMs = 0): RememberedResult {
  return { runs: [], count, fingerprint: null, atMs };
}

function clientId(n: number): string {
  return String(n).padStart(32, '0');
}

test('what is remembered is found by number and key, through a catalog too', (t) => {
  const call = fc.record({
    stream: fc.record({
      journal: fc.constantFrom('turns' as const, 'runs' as const),
      id: fc.constantFrom('a', 'b'),
    }),
    client: fc.option(fc.nat(2)),
    skip: fc.nat(2),
    key: fc.option(fc.constantFrom('k', 'l', '__proto__')),
  });
  fc.assert(
    fc.property(fc.array(call, { maxLength: 30 }), (calls) => {
      const whole = new Retries();
      const followed = new Retries();
      const keys = new Map<string, { stream: StreamName; key: string; count: number }>();
      const numbers = new Map<number, { lowest: number; results: Map<number, number> }>();
      for (const [at, { stream, client, skip, key }] of calls.entries()) {
        const known = numbers.get(client ?? -1) ?? {
          lowest: 0,
          results: new Map<number, number>(),
        };
        if (client !== null) {
          known.lowest = Math.max(known.lowest, at - skip);
          known.results.set(at, at);
          for (const one of known.results.keys()) if (one < known.lowest) known.results.delete(one);
          numbers.set(client, known);
        }
        if (key !== null)
          keys.set(`${stream.journal}/${stream.id}/${key}`, { stream, key, count: at });
        const identity =
          client === null ? null : { clientId: clientId(client), number: at, lowest: at - skip };
        whole.remember({ stream, identity, key }, result(at));
        if (at % 3 === 0) followed.restore(whole.takeChanges());
      }
      followed.restore(whole.takeChanges());
      const restored = new Retries();
      restored.restore(whole.all());
      for (const retries of [whole, followed, restored]) {
        for (const { stream, key, count } of keys.values())
          t.is(retries.byKey(stream, key)?.count, count);
        t.is(retries.byKey({ journal: 'turns', id: 'a' }, 'none'), undefined);
        for (const client of [0, 1, 2]) {
          t.is(retries.knows(clientId(client)), numbers.has(client));
          for (const number of calls.keys()) {
            const identity = { clientId: clientId(client), number, lowest: 0 };
            t.is(retries.byIdentity(identity)?.count, numbers.get(client)?.results.get(number));
          }
        }
      }
      t.deepEqual(whole.takeChanges(), { keys: [], clients: [], forgottenClients: [] });
    }),
  );
});

test('changes that were given back are told again', (t) => {
  const retries = new Retries();
  const stream = { journal: 'turns', id: 's' } as const;
  retries.remember(
    { stream, identity: { clientId: clientId(1), number: 1, lowest: 1 }, key: 'k' },
    result(1),
  );
  const changes = retries.takeChanges();
  retries.giveBack(changes);
  t.deepEqual(retries.takeChanges(), changes);
});

test('clients and keys are forgotten when they are old, keys only beyond the newest', (t) => {
  const retries = new Retries();
  const stream = { journal: 'turns', id: 's' } as const;
  const identity = { clientId: clientId(1), number: 1, lowest: 1 };
  retries.remember({ stream, identity, key: 'oldest' }, result(1, 0));
  retries.forgetOld(IDEMPOTENCY_KEY_AGE_MS * 2);
  t.is(retries.byKey(stream, 'oldest')?.count, 1, 'one of the newest, however old');
  t.false(retries.knows(clientId(1)));
  t.deepEqual(retries.takeChanges().forgottenClients, [clientId(1)]);

  retries.remember({ stream, identity, key: null }, result(2, 0));
  retries.forgetOld(CLIENT_RESULTS_AGE_MS);
  t.true(retries.knows(clientId(1)), 'not older than is promised');
  for (let more = 0; more < IDEMPOTENCY_KEYS_MIN; more += 1) {
    retries.remember({ stream, identity: null, key: `k${more}` }, result(more, 0));
  }
  retries.forgetOld(IDEMPOTENCY_KEY_AGE_MS);
  t.is(retries.byKey(stream, 'oldest')?.count, 1, 'not older than is promised');
  retries.forgetOld(IDEMPOTENCY_KEY_AGE_MS + 1);
  t.is(retries.byKey(stream, 'oldest'), undefined);
  t.is(retries.byKey(stream, 'k0')?.count, 0);
});

test('a client that comes or leaves is remembered from then on, durably', (t) => {
  const retries = new Retries();
  const stream: StreamName = { journal: 'turns', id: 'a' };
  for (const n of [1, 2]) {
    const identity = { clientId: clientId(n), number: 1, lowest: 1 };
    retries.remember({ stream, identity, key: null }, result(n));
  }
  retries.takeChanges();
  retries.touch(clientId(1), 1_000);
  retries.touch(clientId(3), 1_000);
  t.false(retries.knows(clientId(3)));
  const changes = retries.takeChanges();
  t.like(changes.clients, [{ clientId: clientId(1), atMs: 1_000, results: [[1, result(1)]] }]);
  retries.forgetOld(CLIENT_RESULTS_AGE_MS + 1_000);
  t.true(retries.knows(clientId(1)));
  t.false(retries.knows(clientId(2)));
  retries.forgetOld(CLIENT_RESULTS_AGE_MS + 1_001);
  t.false(retries.knows(clientId(1)));
});

test('a number below the lowest that its client awaits is past', (t) => {
  const retries = new Retries();
  const stream: StreamName = { journal: 'turns', id: 'a' };
  const identity = { clientId: clientId(1), number: 7, lowest: 5 };
  t.false(retries.isPast(identity));
  retries.remember({ stream, identity, key: null }, result(1));
  t.true(retries.isPast({ ...identity, number: 4 }));
  t.false(retries.isPast({ ...identity, number: 5 }));
  t.false(retries.isPast({ ...identity, clientId: clientId(2), number: 4 }));
});

test('past so many results in all the clients that were silent longest are forgotten', (t) => {
  const retries = new Retries();
  const stream = { journal: 'runs', id: 't' } as const;
  const run = { ...stream, generation: 1, firstSeq: 1, firstPosition: 1, count: 1 };
  const runs = Array.from({ length: RESULTS_REMEMBERED_MAX / 4 }, () => run);
  for (let n = 1; n <= 5; n += 1) {
    const identity = { clientId: clientId(n), number: 1, lowest: 1 };
    retries.remember({ stream, identity, key: null }, { ...result(0, n), runs });
  }
  retries.forgetOld(5);
  t.deepEqual(
    [1, 2, 3, 4, 5].map((n) => retries.knows(clientId(n))),
    [false, true, true, true, true],
  );
});
