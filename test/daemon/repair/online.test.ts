/** `eventlog repair`: every kind of fence is lifted while the daemon serves other streams. */
import {
  appendFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import type { EventLog } from '../../../client/index.js';
import { type DaemonProcess, makeFolder, startDaemonProcess } from '../../support/daemon.js';
import { client, linesOf, refusal, runFile, sessionFile } from '../../support/faults.js';
import { contentsOf, offlineCommand } from '../../support/offline.js';
import { event, foreignLine, onlineRepair } from '../../support/repair.js';

type Rows = readonly (readonly [number, unknown])[];

async function runsOf(log: EventLog): Promise<Rows> {
  const events = await log.runs.listMessages('t', { limit: 10_000 });
  return events.map(({ seq, content }) => [Number(seq), content]);
}

async function turnsOf(log: EventLog): Promise<Rows> {
  const { events } = await log.turns.read('s');
  return events.map(({ seq, n }) => [Number(seq), n]);
}

/** The journals, and what was taken out of them: what a dry run must not touch. */
function journalsOf(dir: string): unknown {
  return Object.entries(contentsOf(dir)).filter(
    ([name]) => !name.startsWith('.eventlogd') || name.startsWith('.eventlogd/quarantine'),
  );
}

function quarantineOf(dir: string): string[] {
  const folder = join(dir, '.eventlogd', 'quarantine');
  return readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
}

/** A thread `a1`, `b2`, `a3` with those seqs, and a session of three turns. */
async function served(t: ExecutionContext): Promise<{ daemon: DaemonProcess; log: EventLog }> {
  const daemon = await startDaemonProcess(t);
  const log = await client(t, daemon.dir);
  await log.runs.put(event('a', 'a1'));
  await log.runs.put(event('b', 'b2'));
  await log.runs.put(event('a', 'a3'));
  for (let n = 1; n <= 3; n += 1) await log.turns.append('s', { event: 'delta', n });
  return { daemon, log };
}

/** Appends to another stream until it is told to end; all of it must be taken, in order. */
function writeElsewhere(t: ExecutionContext, log: EventLog): { readonly end: () => Promise<void> } {
  let isOver = false;
  const writing = (async () => {
    for (let n = 1; !isOver; n += 1) {
      const { seq } = await log.turns.append('elsewhere', { event: 'delta', n });
      t.is(Number(seq), n);
    }
  })();
  return {
    end: async () => {
      isOver = true;
      await writing;
    },
  };
}

interface Fenced {
  readonly daemon: DaemonProcess;
  readonly log: EventLog;
  readonly stream: readonly ['turns' | 'runs', string];
  readonly append: () => Promise<unknown>;
  readonly rows: (log: EventLog) => Promise<Rows>;
}

/**
 * Sees that a dry run changes nothing, that the repair lifts the fence while others write, and
 * that what is served then is the same after a kill, a restart, and for `eventlogd verify`.
 */
async function lifted(
  t: ExecutionContext,
  fenced: Fenced,
  actions: readonly string[],
): Promise<Rows> {
  const { daemon, log, stream, append, rows } = fenced;
  const { dir } = daemon;
  const shown = await refusal(append());
  t.is(shown.code, 'STREAM_FENCED');
  t.true(shown.message.includes(`eventlog repair ${stream.join(' ')} --apply`));
  const before = journalsOf(dir);
  const dry = await onlineRepair(dir, stream);
  t.deepEqual([dry.code, dry.actions], [1, actions], dry.stderr);
  t.deepEqual(dry.summary, { kind: 'summary', applied: false, actions: actions.length, left: 0 });
  t.deepEqual(journalsOf(dir), before);
  t.is((await refusal(append())).code, 'STREAM_FENCED');

  const others = writeElsewhere(t, log);
  const done = await onlineRepair(dir, [...stream, '--apply']);
  await others.end();
  t.deepEqual([done.code, done.actions], [0, actions], done.stderr);
  t.is(done.summary['applied'], true);
  const repaired = await rows(log);
  const again = await onlineRepair(dir, stream);
  t.deepEqual([again.code, again.actions], [0, []]);

  await append();
  const grown = await rows(log);
  t.deepEqual(grown.slice(0, -1), repaired);
  await log.close();
  await daemon.kill('SIGKILL');
  const second = await startDaemonProcess(t, { dir });
  const afterKill = await client(t, dir);
  t.deepEqual(await rows(afterKill), grown);
  await afterKill.close();
  t.is(await second.stop(), 0);
  const verified = await offlineCommand(dir, ['verify']);
  t.is(verified.code, 0, JSON.stringify(verified.rows));
  const third = await startDaemonProcess(t, { dir });
  const afterStop = await client(t, dir);
  t.deepEqual(await rows(afterStop), grown);
  await afterStop.close();
  await third.stop();
  return grown;
}

test('a foreign event with a seq that was taken: events from it on get new ones', async (t) => {
  const { daemon, log } = await served(t);
  appendFileSync(runFile(daemon.dir, 't', 'b'), foreignLine('b', 2, 'foreign'));
  const file = readFileSync(runFile(daemon.dir, 't', 'b'), 'utf8');
  await runsOf(log);
  const stream = ['runs', 't'] as const;
  const append = () => log.runs.put(event('a', 'next'));
  const rows = await lifted(t, { daemon, log, stream, append, rows: runsOf }, [
    'lift-fence',
    'renumber',
  ]);
  t.deepEqual(rows, [
    [1, 'a1'],
    [2, 'b2'],
    [4, 'foreign'],
    [5, 'a3'],
    [6, 'next'],
  ]);
  t.true(quarantineOf(daemon.dir).includes(file));
  const [, foreign] = await linesOf(runFile(daemon.dir, 't', 'b'));
  t.is(`${foreign}\n`, foreignLine('b', 4, 'foreign'));
});

test('more events of one seq than a page may hold', async (t) => {
  const dir = await makeFolder(t);
  mkdirSync(dirname(runFile(dir, 't', 'old')), { recursive: true });
  const old = Array.from({ length: 1_001 }, (_, n) => foreignLine('old', 7, `${n}`));
  writeFileSync(runFile(dir, 't', 'old'), old.join(''));
  const daemon = await startDaemonProcess(t, { dir });
  const log = await client(t, dir);
  const stream = ['runs', 't'] as const;
  const append = () => log.runs.put(event('a', 'next'));
  const rows = await lifted(t, { daemon, log, stream, append, rows: runsOf }, [
    'lift-fence',
    'renumber',
  ]);
  t.deepEqual(rows, [...old.map((_, n) => [7 + n, `${n}`] as const), [7 + old.length, 'next']]);
});

test('a file that was cut is taken as it is; no seq is given twice', async (t) => {
  const { daemon, log } = await served(t);
  const path = sessionFile(daemon.dir, 's');
  truncateSync(path, readFileSync(path).indexOf(0x0a) + 1);
  t.deepEqual(await turnsOf(log), [[1, 1]]);
  const stream = ['turns', 's'] as const;
  const append = () => log.turns.append('s', { event: 'delta', n: 'next' });
  const rows = await lifted(t, { daemon, log, stream, append, rows: turnsOf }, ['lift-fence']);
  t.deepEqual(rows, [
    [1, 1],
    [4, 'next'],
  ]);
});

test('a file that was cut to nothing', async (t) => {
  const { daemon, log } = await served(t);
  truncateSync(sessionFile(daemon.dir, 's'), 0);
  t.deepEqual(await turnsOf(log), []);
  const stream = ['turns', 's'] as const;
  const append = () => log.turns.append('s', { event: 'delta', n: 'next' });
  const rows = await lifted(t, { daemon, log, stream, append, rows: turnsOf }, ['lift-fence']);
  t.deepEqual(rows, [[4, 'next']]);
});

test('a file that was replaced', async (t) => {
  const { daemon, log } = await served(t);
  const path = runFile(daemon.dir, 't', 'a');
  writeFileSync(`${path}.new`, `${foreignLine('a', 1, 'other')}{"half`);
  renameSync(`${path}.new`, path);
  await runsOf(log);
  const stream = ['runs', 't'] as const;
  const append = () => log.runs.put(event('b', 'next'));
  const rows = await lifted(t, { daemon, log, stream, append, rows: runsOf }, [
    'lift-fence',
    'take-out',
  ]);
  t.deepEqual(rows, [
    [1, 'other'],
    [2, 'b2'],
    [4, 'next'],
  ]);
  t.true(quarantineOf(daemon.dir).includes('{"half'));
});

test('a session with old lines without a seq and a foreign repeat', async (t) => {
  const dir = await makeFolder(t);
  mkdirSync(join(dir, '_turn_journal'));
  writeFileSync(sessionFile(dir, 's'), '{"event":"delta","n":"x"}\n{"event":"delta", "n":1.0}\n');
  const daemon = await startDaemonProcess(t, { dir });
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'delta', n: 3 });
  appendFileSync(sessionFile(dir, 's'), '{"event":"delta","seq":2,"n":"foreign"}\n');
  await turnsOf(log);
  const stream = ['turns', 's'] as const;
  const append = () => log.turns.append('s', { event: 'delta', n: 'next' });
  const rows = await lifted(t, { daemon, log, stream, append, rows: turnsOf }, [
    'lift-fence',
    'renumber',
  ]);
  t.deepEqual(rows, [
    [1, 'x'],
    [2, 1],
    [4, 'foreign'],
    [5, 3],
    [6, 'next'],
  ]);
});

test('appends and reads that come meanwhile wait for the repair, and find what it left', async (t) => {
  const { daemon, log } = await served(t);
  const repeats = 40;
  await log.turns.append('big', { event: 'delta', text: 'x'.repeat(1_000_000) });
  const path = sessionFile(daemon.dir, 'big');
  const [line = ''] = await linesOf(path);
  appendFileSync(path, `${line}\n`.repeat(repeats));
  const seqsOf = async () => {
    const { events } = await log.turns.read('big');
    return events.map(({ seq }) => Number(seq));
  };
  const old = Array.from({ length: repeats + 1 }, () => 1);
  const mended = Array.from({ length: repeats + 1 }, (_, n) => n + 1);
  t.deepEqual(await seqsOf(), old);
  const repairing = onlineRepair(daemon.dir, ['turns', 'big', '--apply']);
  // The stream is fenced until its repair has ended, however often it is asked for.
  for (;;) {
    const { code, message } = await refusal(log.turns.append('big', { event: 'delta' }));
    if (code === 'STREAM_FENCED') continue;
    t.is(code, 'ANSWERED', message);
    break;
  }
  t.deepEqual(await seqsOf(), [...mended, repeats + 2]);
  t.is((await repairing).code, 0);
});

test('nothing to repair: a stream that is whole, and one that is not there', async (t) => {
  const { daemon } = await served(t);
  const before = contentsOf(daemon.dir);
  for (const args of [
    ['runs', 't'],
    ['turns', 's', '--apply'],
    ['turns', 'none', '--apply'],
    ['runs', 'none'],
  ]) {
    const { code, actions, summary } = await onlineRepair(daemon.dir, args);
    t.deepEqual([code, actions], [0, []], args.join(' '));
    t.deepEqual(summary, { kind: 'summary', applied: false, actions: 0, left: 0 });
  }
  t.deepEqual(contentsOf(daemon.dir), before);
});

test('malformed lines of a stream that is not fenced go to quarantine, numbers stay', async (t) => {
  const dir = await makeFolder(t);
  mkdirSync(join(dir, '_turn_journal'));
  writeFileSync(
    sessionFile(dir, 's'),
    '{"event":"a","n":1}\nnot json\n{"event":"b","n":2}\n{"half',
  );
  const daemon = await startDaemonProcess(t, { dir });
  const log = await client(t, dir);
  const before = await turnsOf(log);
  const { code, actions } = await onlineRepair(dir, ['turns', 's', '--apply']);
  t.deepEqual([code, actions], [0, ['take-out']]);
  t.deepEqual(await turnsOf(log), before);
  t.is(Number((await log.turns.append('s', { event: 'c', n: 3 })).seq), 3);
  const kept = quarantineOf(dir);
  t.true(kept.includes('not json') && kept.includes('{"half'));
  await log.close();
  await daemon.stop();
  const verified = await offlineCommand(dir, ['verify']);
  t.is(verified.code, 0, JSON.stringify(verified.rows));
});

test('what cannot be read is left and told, and can be repaired when it can be read', async (t) => {
  const { daemon, log } = await served(t);
  const path = runFile(daemon.dir, 't', 'b');
  rmSync(path);
  mkdirSync(path);
  for (const args of [
    ['runs', 't'],
    ['runs', 't', '--apply'],
  ]) {
    const { code, actions, summary } = await onlineRepair(daemon.dir, args);
    t.deepEqual([code, actions], [1, ['leave']]);
    t.deepEqual(summary, { kind: 'summary', applied: false, actions: 0, left: 1 });
  }
  rmSync(path, { recursive: true });
  writeFileSync(path, foreignLine('b', 1, 'other'));
  await runsOf(log);
  t.is((await onlineRepair(daemon.dir, ['runs', 't', '--apply'])).code, 0);
  const { seq } = await log.runs.put(event('a', 'next'));
  t.deepEqual((await runsOf(log)).map(([, content]) => String(content)).sort(), [
    'a1',
    'a3',
    'next',
    'other',
  ]);
  t.is(Number(seq), Math.max(...(await runsOf(log)).map(([one]) => one)));
});
