/** `/metrics` of a real daemon: it parses, and it says what happened. */
import { appendFile } from 'node:fs/promises';
import test from 'ava';
import { connect } from '../../../client/index.js';
import { METRICS } from '../../../daemon/metrics/metric-table.js';
import {
  client,
  eventually,
  fillUp,
  healthOf,
  injectFault,
  linesOf,
  makeRoom,
  refusal,
  sessionFile,
  smallDisk,
  testWith,
} from '../../support/faults.js';
import { familiesAt, pageAt, startHttpDaemon, valueAt } from '../../support/http.js';

const RUN = { thread_id: 't', run_id: 'r', event_type: 'e', category: 'c' };

test('every metric is there, of its type, and its values are numbers', async (t) => {
  const { url, dir } = await startHttpDaemon(t);
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'submitted' });
  const families = await familiesAt(url);
  t.deepEqual([...families.keys()].sort(), METRICS.map(({ name }) => name).sort());
  for (const { name, type, label } of METRICS) {
    const family = families.get(name);
    t.regex(name, /^eventlogd_[a-z_]+$/);
    t.is(name.endsWith('_total'), type === 'counter', name);
    t.is(family?.type, type.toUpperCase() as 'GAUGE');
    t.true((family?.help ?? '').length > 0, name);
    const samples = family?.metrics ?? [];
    t.true(samples.length > 0, name);
    for (const { value, labels, buckets, count, sum } of samples) {
      if (type === 'histogram') {
        const cumulative = Object.entries(buckets ?? {})
          .sort(
            ([a], [b]) =>
              Number(a.replace('+Inf', 'Infinity')) - Number(b.replace('+Inf', 'Infinity')),
          )
          .map(([, of]) => Number(of));
        t.true(
          cumulative.every((of, at) => of >= (cumulative[at - 1] ?? 0)),
          name,
        );
        t.is(buckets?.['+Inf'], count);
        t.true(Number(sum) >= 0, name);
      } else {
        t.deepEqual(Object.keys(labels ?? {}), label === null ? [] : [label], name);
        t.true(Number.isFinite(Number(value)) && value !== '', name);
      }
    }
  }
});

test('what happened is what is counted', async (t) => {
  const { url, dir } = await startHttpDaemon(t);
  const log = await client(t, dir);
  for (let seq = 1; seq <= 3; seq += 1) await log.turns.append('s', { event: 'delta' });
  await log.runs.putBatch([RUN, RUN, RUN, RUN]);
  await refusal(log.turns.append('s', { event: 'delta' }, { expectedSeq: 9 }));
  const following = (async (): Promise<void> => {
    for await (const { seq } of log.turns.subscribe('s', { after: 2 })) t.is(seq, 3);
  })();
  // It ends with its client.
  following.catch(() => undefined);
  await eventually(
    async () => await valueAt(url, 'eventlogd_subscriptions', { state: 'live' }),
    (live) => live === 1,
  );

  const families = await familiesAt(url);
  const of = (name: string, labels: object = {}): number => {
    const samples = families.get(`eventlogd_${name}`)?.metrics ?? [];
    const found = samples.find(
      (one) => JSON.stringify(one.labels ?? {}) === JSON.stringify(labels),
    );
    return Number(found?.value);
  };
  t.is(of('appends_total', { journal: 'turns' }), 3);
  t.is(of('events_total', { journal: 'turns' }), 3);
  t.is(of('appends_total', { journal: 'runs' }), 1);
  t.is(of('events_total', { journal: 'runs' }), 4);
  const bytes = (await linesOf(sessionFile(dir, 's'))).reduce(
    (sum, line) => sum + line.length + 1,
    0,
  );
  t.is(of('event_bytes_total', { journal: 'turns' }), bytes);
  t.is(of('refusals_total', { code: 'SEQUENCE_CONFLICT' }), 1);
  t.is(of('refusals_total', { code: 'STORAGE_FULL' }), 0);
  t.is(of('connections'), 1);
  t.is(of('subscriptions', { state: 'live' }), 1);
  t.is(of('health', { state: 'ok' }), 1);
  t.is(of('health', { state: 'log-full' }), 0);
  t.is(of('open_streams'), 2);
  t.is(of('queue_operations'), 0);
  t.true(of('log_bytes') > 0);
  t.true(of('uncheckpointed_bytes') > bytes);
  t.true(of('checkpoint_age_seconds') > 0);
  t.true(of('disk_free_bytes') > 0 && of('disk_free_bytes') < of('disk_size_bytes'));
  t.true(of('disk_reserve_bytes') > 0 && of('disk_reserve_bytes') < of('disk_size_bytes') / 20);
  const acks = families.get('eventlogd_ack_seconds')?.metrics[0];
  t.is(acks?.count, '4');
  const commits = families.get('eventlogd_commit_events')?.metrics[0];
  t.is(commits?.sum, '7');
  const fsyncs = families.get('eventlogd_log_fsync_seconds')?.metrics[0];
  t.is(Number(fsyncs?.count), of('fsyncs_total', { what: 'log' }));
  t.is(fsyncs?.count, commits?.count);
});

test('what other programs did to the files shows', async (t) => {
  const { url, dir } = await startHttpDaemon(t);
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'delta' });
  await appendFile(sessionFile(dir, 's'), '{"event":"theirs"}\nno event\n{"event":"theirs"}\n');
  t.is((await log.turns.read('s')).events.length, 3);
  t.is(await valueAt(url, 'eventlogd_foreign_events_total'), 2);
  t.is(await valueAt(url, 'eventlogd_malformed_lines'), 1);
});

test('a checkpoint ends the age and is counted', async (t) => {
  const { url, dir } = await startHttpDaemon(t);
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'delta' });
  t.true(((await valueAt(url, 'eventlogd_checkpoint_age_seconds')) ?? 0) > 0);
  // A deletion is followed by a checkpoint at once.
  await log.turns.append('gone', { event: 'delta' });
  await log.turns.delete('gone');
  await eventually(
    async () => await valueAt(url, 'eventlogd_checkpoint_age_seconds'),
    (age) => age === 0,
  );
  const seconds = (await familiesAt(url)).get('eventlogd_checkpoint_seconds')?.metrics[0];
  t.true(Number(seconds?.count) >= 1);
  t.is(await valueAt(url, 'eventlogd_uncheckpointed_bytes'), 0);
});

testWith(
  ['root', 'mount'],
  'a full disk: not ready, but healthy, until there is room',
  async (t) => {
    const dir = await smallDisk(t, 2 * 1024 * 1024);
    const args = ['--segment-bytes', '256k', '--disk-reserve-bytes', '0'];
    const { url } = await startHttpDaemon(t, { dir, args });
    const log = await connect({ dir });
    t.teardown(() => log.close());
    await log.turns.append('s', { event: 'delta' });
    t.is((await pageAt(`${url}/readyz`)).status, 200);
    const filler = await fillUp(dir);
    let refused: string;
    do {
      const content = 'x'.repeat(60_000);
      refused = (await refusal(log.turns.append('s', { event: 'delta', content }))).code;
    } while (refused === 'ANSWERED');
    t.is(refused, 'STORAGE_FULL');
    const ready = await pageAt(`${url}/readyz`);
    t.is(ready.status, 503, ready.body);
    t.regex(
      ready.body,
      /^\{"state":"serving","health":"(log-full|files-behind)","reason":".+"\}\n$/,
    );
    t.is((await pageAt(`${url}/healthz`)).status, 200);
    t.true(((await valueAt(url, 'eventlogd_refusals_total', { code: 'STORAGE_FULL' })) ?? 0) > 0);
    t.is(await valueAt(url, 'eventlogd_health', { state: 'ok' }), 0);
    await makeRoom(filler);
    await healthOf(log, 'ok');
    t.is((await pageAt(`${url}/readyz`)).status, 200);
  },
);

testWith(['strace'], 'a slow sync is warned of, and shows while it lasts', async (t) => {
  const daemon = await startHttpDaemon(t);
  const { url, dir } = daemon;
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'delta' });
  const pid = daemon.process.pid as number;
  const { lift } = await injectFault(t, pid, 'fdatasync:delay_exit=1500000');
  const append = log.turns.append('s', { event: 'delta' });
  await eventually(
    async () => (await valueAt(url, 'eventlogd_commit_in_flight_seconds')) ?? 0,
    (seconds) => seconds > 0,
  );
  await append;
  await lift();
  t.is(await valueAt(url, 'eventlogd_commit_in_flight_seconds'), 0);
  const slow = daemon
    .output()
    .split('\n')
    .find((line) => line.includes('slow disk'));
  t.like(JSON.parse(slow ?? '{}'), { level: 40, msg: 'slow disk: a sync took more than a second' });
  t.regex(slow ?? '', /"path":"[^"]+commitlog[^"]+","tookMs":1[5-9]\d\d|"tookMs":\d{4,}/);
});
