import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { connect } from '../../client/index.js';
import { startDaemon } from '../../daemon/index.js';
import { repairDirectory } from '../../daemon/repair/repair-directory.js';
import { layoutOf } from '../../daemon/storage/layout.js';
import { verifyDirectory } from '../../daemon/verify/verify-directory.js';
import { makeFolder, startDaemonProcess } from '../support/daemon.js';
import { client, linesOf, refusal, runFile, sessionFile, testWith } from '../support/faults.js';
import {
  contentsOf,
  flipByte,
  framesOf,
  type OfflineRun,
  offlineCommand,
} from '../support/offline.js';
import { event, foreignLine } from '../support/repair.js';

const REPAIR = fileURLToPath(new URL('repair.process.js', import.meta.url));
const GOLDEN = fileURLToPath(new URL('../../../test/golden/', import.meta.url));

const TEMPLATES = new Map<'clean' | 'killed', string>();

/** Directories are copied rather than served anew for each test: that is as good. */
test.before('a thread and a session are served', async () => {
  for (const end of ['clean', 'killed'] as const) {
    TEMPLATES.set(end, await serve(end));
  }
});

test.after.always(() => {
  for (const dir of TEMPLATES.values()) rmSync(dir, { recursive: true, force: true });
});

/** A thread: `a1`, `b2`, `a3` with those seqs; and a session of three turns. */
async function serve(end: 'clean' | 'killed'): Promise<string> {
  const dir = mkdtempSync('/tmp/el-');
  const daemon = await startDaemon({ dir, logLevel: 'silent' });
  const log = await connect({ dir });
  for (const [run, content] of [
    ['a', 'a1'],
    ['b', 'b2'],
    ['a', 'a3'],
  ] as const) {
    await log.runs.put(event(run, content));
  }
  for (let n = 1; n <= 3; n += 1) await log.turns.append('s', { event: 'delta', n });
  await log.close();
  if (end === 'clean') {
    await daemon.close();
    return dir;
  }
  // A copy of a directory that is in use is what a kill leaves.
  const copy = mkdtempSync('/tmp/el-');
  cpSync(dir, copy, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  await daemon.close();
  rmSync(dir, { recursive: true });
  return copy;
}

async function served(t: ExecutionContext, end: 'clean' | 'killed' = 'clean'): Promise<string> {
  const dir = await makeFolder(t);
  const template = TEMPLATES.get(end);
  if (template === undefined) throw new Error('nothing was served');
  cpSync(template, dir, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  return dir;
}

/** What a daemon serves, and what it says to one more append to each stream. */
async function servesAgain(
  t: ExecutionContext,
  dir: string,
): Promise<{
  readonly runs: readonly (readonly [number, unknown])[];
  readonly turns: readonly (readonly [number, unknown])[];
  readonly next: readonly [number, number];
}> {
  const daemon = await startDaemonProcess(t, { dir });
  const log = await client(t, dir);
  const runs = await log.runs.listMessages('t', { limit: 1_000 });
  const { events } = await log.turns.read('s');
  const run = await log.runs.put(event('a', 'next'));
  const turn = await log.turns.append('s', { event: 'delta', n: 'next' });
  await log.close();
  t.is(await daemon.stop(), 0, daemon.output());
  return {
    runs: runs.map(({ seq, content }) => [Number(seq), content]),
    turns: events.map(({ seq, n }) => [Number(seq), n]),
    next: [Number(run.seq), Number(turn.seq)],
  };
}

/** What `servesAgain` tells where nothing is lost. */
const WHOLE = {
  runs: [
    [1, 'a1'],
    [2, 'b2'],
    [3, 'a3'],
  ],
  turns: [
    [1, 1],
    [2, 2],
    [3, 3],
  ],
  next: [4, 4],
};

/** Repairs, and makes sure that a dry run says the same and changes nothing. */
async function repaired(t: ExecutionContext, dir: string): Promise<OfflineRun> {
  const before = contentsOf(dir);
  const dry = await offlineCommand(dir, ['repair']);
  t.is(dry.code, 1, dry.stderr);
  t.deepEqual(contentsOf(dir), before);
  const done = await offlineCommand(dir, ['repair', '--apply']);
  t.is(done.code, 0, done.stderr);
  const verified = await offlineCommand(dir, ['verify']);
  t.is(verified.code, 0, JSON.stringify(verified.rows));
  const again = repairHere(dir, false);
  t.is(again.actions, 0);
  return done;
}

/** The same in this process, which spares a start. */
function repairHere(dir: string, apply: boolean): ReturnType<typeof repairDirectory> {
  const modes = { file: 0o600, folder: 0o700 };
  return repairDirectory({ layout: layoutOf(dir), modes, apply, onAction: () => undefined });
}

function verifyHere(dir: string): unknown[] {
  const findings: unknown[] = [];
  verifyDirectory({
    layout: layoutOf(dir),
    onFinding: (finding) => {
      if (finding.level !== 'info') findings.push(finding);
    },
  });
  return findings;
}

function quarantineOf(dir: string): string[] {
  const folder = join(dir, '.eventlogd', 'quarantine');
  return readdirSync(folder).map((name) => readFileSync(join(folder, name), 'latin1'));
}

const actionsOf = ({ rows }: OfflineRun): unknown[] => rows.map(({ action }) => action);

test('nothing to repair: 0, and a directory that no daemon owned stays so', async (t) => {
  const dir = await makeFolder(t);
  mkdirSync(join(dir, '_turn_journal'));
  writeFileSync(sessionFile(dir, 's'), '{"event":"a"}\n');
  const before = contentsOf(dir);
  const { code, rows, summary } = await offlineCommand(dir, ['repair']);
  t.deepEqual([code, rows, summary['actions']], [0, [], 0]);
  t.deepEqual(contentsOf(dir), before);
});

test('golden tree: malformed lines go to quarantine, all other bytes stay', async (t) => {
  const dir = await makeFolder(t);
  cpSync(GOLDEN, dir, { recursive: true });
  rmSync(join(dir, 'expected.json'));
  const { rows } = await offlineCommand(dir, ['verify']);
  const taken = rows.filter(({ kind }) => kind === 'malformed' || kind === 'torn');
  await repaired(t, dir);
  t.is(quarantineOf(dir).length, taken.length);
  for (const file of new Set(taken.map((row) => row['file'] as string))) {
    const old = readFileSync(join(GOLDEN, file), 'latin1').split('\n');
    const lines = new Set(taken.filter((row) => row['file'] === file).map((row) => row['line']));
    const wanted = old.filter((_, at) => !lines.has(at + 1)).join('\n');
    const isLastTaken = lines.has(old.length);
    t.is(readFileSync(join(dir, file), 'latin1'), isLastTaken ? `${wanted}\n` : wanted);
  }
});

test('a byte flipped in the log below the frontier: lost positions are told, the rest is served', async (t) => {
  const dir = await served(t);
  const frame = framesOf(dir, 'log')[1];
  if (frame === undefined) return t.fail('the log is too short');
  flipByte(frame.path, frame.offset + 60);
  const error = await t.throwsAsync(startDaemonProcess(t, { dir }));
  t.regex(error.message, /ended with 65/);
  const damaged = readFileSync(frame.path, 'latin1');
  const done = await repaired(t, dir);
  t.deepEqual(actionsOf(done), ['mend-log', 'recover']);
  t.deepEqual(done.summary['lost'], [{ first: frame.first, last: frame.last }]);
  t.deepEqual(quarantineOf(dir), [damaged]);
  t.is(framesOf(dir, 'log').length, 6);
  t.deepEqual(await servesAgain(t, dir), WHOLE);
});

test('a lost frame that no checkpoint covered: what is in the files stays, what is behind it is replayed', async (t) => {
  const dir = await served(t, 'killed');
  const frames = framesOf(dir, 'log');
  const frame = frames[1];
  if (frame === undefined) return t.fail('the log is too short');
  flipByte(frame.path, frame.offset + 60);
  // The line of seq 3 never came to its file; the log still has it.
  const path = runFile(dir, 't', 'a');
  const [first] = await linesOf(path);
  writeFileSync(path, `${first}\n`);
  await repaired(t, dir);
  t.deepEqual(await servesAgain(t, dir), WHOLE);
});

test('a damaged segment header, an emptied log and a missing one', async (t) => {
  const dir = await served(t);
  const [first] = framesOf(dir, 'log');
  if (first === undefined) return t.fail('there is no log');
  flipByte(first.path, 20);
  t.deepEqual(actionsOf(await repaired(t, dir)), ['mend-log', 'recover']);
  writeFileSync(first.path, Buffer.alloc(4096, 'x'));
  t.deepEqual(actionsOf(await repaired(t, dir)), ['begin-log', 'recover']);
  rmSync(first.path);
  t.deepEqual(actionsOf(await repaired(t, dir)), ['begin-log', 'recover']);
  t.deepEqual((await servesAgain(t, dir)).next, [4, 4]);
});

for (const [what, end] of [
  ['header', 'clean'],
  ['frame', 'killed'],
  ['whole', 'clean'],
  ['whole', 'killed'],
] as const) {
  const title = `the catalog's ${what} is damaged after ${end === 'clean' ? 'a clean stop' : 'a kill'}`;
  test(`${title}: everything is served again`, async (t) => {
    const dir = await served(t, end);
    const [first] = framesOf(dir, 'catalog');
    if (first === undefined) return t.fail('there is no catalog');
    if (what === 'header') flipByte(first.path, 20);
    else if (what === 'frame') flipByte(first.path, first.offset + 50);
    else writeFileSync(first.path, 'nothing of it is left');
    const done = await repaired(t, dir);
    t.deepEqual(actionsOf(done), ['mend-catalog', 'recover']);
    t.deepEqual(await servesAgain(t, dir), WHOLE);
  });
}

test('without a catalog a deletion of the log is not done again', async (t) => {
  const daemon = await startDaemonProcess(t);
  const log = await client(t, daemon.dir);
  await log.runs.put(event('a', 'old'));
  await log.runs.deleteByThread('t');
  await log.runs.put(event('a', 'new'));
  await log.turns.append('s', { event: 'delta', n: 1 });
  await log.close();
  await daemon.stop();
  appendFileSync(runFile(daemon.dir, 't', 'a'), foreignLine('a', 2, 'foreign'));
  const [first] = framesOf(daemon.dir, 'catalog');
  if (first === undefined) return t.fail('there is no catalog');
  writeFileSync(first.path, 'nothing of it is left');
  await repaired(t, daemon.dir);
  const { runs, next } = await servesAgain(t, daemon.dir);
  t.deepEqual(runs, [
    [1, 'new'],
    [2, 'foreign'],
  ]);
  t.deepEqual(next, [3, 2]);
});

test('a thread fenced by a foreign event that took a seq while the daemon was down', async (t) => {
  const dir = await served(t);
  appendFileSync(runFile(dir, 't', 'b'), foreignLine('b', 2, 'foreign'));
  const before = readFileSync(runFile(dir, 't', 'b'), 'utf8');
  const daemon = await startDaemonProcess(t, { dir });
  const log = await client(t, dir);
  t.is((await refusal(log.runs.put(event('a', 'no')))).code, 'STREAM_FENCED');
  await log.close();
  await daemon.stop();
  const verified = await offlineCommand(dir, ['verify']);
  t.deepEqual(
    verified.rows.filter(({ level }) => level === 'finding').map(({ kind }) => kind),
    ['fenced', 'seq-repeat'],
  );
  const done = await repaired(t, dir);
  t.deepEqual(actionsOf(done), ['lift-fence', 'renumber']);
  t.true(quarantineOf(dir).includes(before));
  // Only the bytes of the seq are other ones.
  const [own, foreign] = await linesOf(runFile(dir, 't', 'b'));
  t.is(own, before.split('\n')[0]);
  t.is(`${foreign}\n`, foreignLine('b', 4, 'foreign'));
  const { runs, next } = await servesAgain(t, dir);
  t.deepEqual(runs, [
    [1, 'a1'],
    [2, 'b2'],
    [4, 'foreign'],
    [5, 'a3'],
  ]);
  t.deepEqual(next, [6, 4]);
});

test('a thread fenced by a foreign event while the daemon runs', async (t) => {
  const daemon = await startDaemonProcess(t);
  const log = await client(t, daemon.dir);
  await log.turns.append('s', { event: 'delta', n: 1 });
  await log.runs.put(event('a', 'a1'));
  await log.runs.put(event('a', 'a2'));
  appendFileSync(runFile(daemon.dir, 't', 'a'), foreignLine('a', 1, 'foreign'));
  await log.runs.listMessages('t');
  t.is((await refusal(log.runs.put(event('a', 'no')))).code, 'STREAM_FENCED');
  await log.close();
  await daemon.stop();
  await repaired(t, daemon.dir);
  const { runs, next } = await servesAgain(t, daemon.dir);
  t.deepEqual(runs, [
    [1, 'a1'],
    [3, 'foreign'],
    [4, 'a2'],
  ]);
  t.deepEqual(next, [5, 2]);
});

test('a foreign event whose seq is free but not above every one: the fence is lifted, no line changes', async (t) => {
  const daemon = await startDaemonProcess(t);
  const log = await client(t, daemon.dir);
  await log.turns.append('s', { event: 'delta', n: 1 });
  for (const run of ['a', 'b', 'a']) await log.runs.put(event(run, run));
  await log.runs.deleteByRun('t', 'b');
  await log.close();
  await daemon.stop();
  const path = runFile(daemon.dir, 't', 'a');
  appendFileSync(path, foreignLine('a', 2, 'foreign'));
  const before = readFileSync(path, 'utf8');
  t.deepEqual(actionsOf(await repaired(t, daemon.dir)), ['account']);
  t.is(readFileSync(path, 'utf8'), before);
  t.deepEqual((await servesAgain(t, daemon.dir)).next, [4, 2]);
});

test('a file that was cut is taken as it is; no seq is given twice', async (t) => {
  const dir = await served(t);
  const path = runFile(dir, 't', 'a');
  truncateSync(path, readFileSync(path).indexOf(0x0a) + 1);
  const daemon = await startDaemonProcess(t, { dir });
  const log = await client(t, dir);
  t.is((await refusal(log.runs.put(event('a', 'no')))).code, 'STREAM_FENCED');
  await log.close();
  await daemon.stop();
  t.deepEqual(actionsOf(await repaired(t, dir)), ['lift-fence']);
  const { runs, next } = await servesAgain(t, dir);
  t.deepEqual(runs, [
    [1, 'a1'],
    [2, 'b2'],
  ]);
  t.deepEqual(next, [4, 4]);
});

test('a file that was cut before a daemon has met it', async (t) => {
  const dir = await served(t);
  const path = sessionFile(dir, 's');
  truncateSync(path, readFileSync(path).indexOf(0x0a) + 1);
  t.deepEqual(actionsOf(await repaired(t, dir)), ['accept-file']);
  const { turns, next } = await servesAgain(t, dir);
  t.deepEqual(turns, [[1, 1]]);
  t.deepEqual(next, [4, 4]);
});

test('a session with old lines without a seq and a foreign repeat: keys are added, all else stays', async (t) => {
  const dir = await makeFolder(t);
  mkdirSync(join(dir, '_turn_journal'));
  const old = '{"event":"delta","n":"x"}\n{"event":"delta", "n":1.0}\n';
  writeFileSync(sessionFile(dir, 's'), old);
  const daemon = await startDaemonProcess(t, { dir });
  const log = await client(t, dir);
  await log.turns.append('s', { event: 'delta', n: 3 });
  await log.runs.put(event('a', 'a1'));
  appendFileSync(sessionFile(dir, 's'), '{"event":"delta","seq":2,"n":"foreign"}\n');
  await log.turns.read('s');
  t.is((await refusal(log.turns.append('s', { event: 'delta' }))).code, 'STREAM_FENCED');
  await log.close();
  await daemon.stop();
  t.deepEqual(actionsOf(await repaired(t, dir)), ['lift-fence', 'renumber']);
  const { turns, next } = await servesAgain(t, dir);
  t.deepEqual(turns, [
    [1, 'x'],
    [2, 1],
    [4, 'foreign'],
    [5, 3],
  ]);
  t.deepEqual(next, [2, 6]);
});

test('a malformed line among old lines without a seq: their numbers stay', async (t) => {
  const dir = await makeFolder(t);
  mkdirSync(join(dir, '_turn_journal'));
  writeFileSync(
    sessionFile(dir, 's'),
    '{"event":"a","n":1}\nnot json\n{"event":"b","n":2}\n{"half',
  );
  await repaired(t, dir);
  t.is(readFileSync(sessionFile(dir, 's'), 'utf8'), '{"event":"a","n":1}\n{"event":"b","n":2}\n');
  t.deepEqual(
    quarantineOf(dir).sort((a, b) => (a < b ? -1 : 1)),
    ['not json', '{"half'],
  );
  const { turns, next } = await servesAgain(t, dir);
  t.deepEqual(turns, [
    [1, 1],
    [2, 2],
  ]);
  t.deepEqual(next, [1, 3]);
});

test('what cannot be read is left and told', async (t) => {
  const dir = await makeFolder(t);
  mkdirSync(runFile(dir, 't', 'a'), { recursive: true });
  for (const args of [['repair'], ['repair', '--apply']]) {
    const { code, rows } = await offlineCommand(dir, args);
    t.is(code, 1);
    t.deepEqual(
      rows.map(({ action }) => action),
      ['leave'],
    );
  }
});

testWith(
  ['strace'],
  'killed at any of its system calls and run again, a repair ends the same',
  async (t) => {
    const source = await served(t);
    appendFileSync(runFile(source, 't', 'a'), foreignLine('a', 2, 'foreign'));
    appendFileSync(runFile(source, 't', 'b'), '{"half');
    const [, frame] = framesOf(source, 'log');
    if (frame === undefined) return t.fail('the log is too short');
    flipByte(frame.path, frame.offset + 60);
    flipByte(framesOf(source, 'catalog')[0]?.path ?? '', 120);
    const journals = (dir: string): unknown =>
      Object.entries(contentsOf(dir)).filter(([name]) => !name.startsWith('.eventlogd'));
    const whole = await makeFolder(t);
    cpSync(source, whole, { recursive: true });
    await repaired(t, whole);
    let kills = 0;
    for (let call = 1; ; call += 1) {
      const dir = await makeFolder(t);
      cpSync(source, dir, { recursive: true });
      const calls = 'rename,fsync,unlink,rmdir,mkdir';
      const options = ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${calls}`];
      const inject = `inject=${calls}:signal=SIGKILL:when=${call}`;
      const program = [process.execPath, REPAIR, dir];
      const killed = spawnSync('strace', [...options, '-e', inject, ...program]);
      if (killed.status === 0) break;
      kills += 1;
      repairHere(dir, true);
      t.deepEqual(verifyHere(dir), [], `call ${call}`);
      t.deepEqual(journals(dir), journals(whole), `call ${call}`);
    }
    t.true(kills > 20, `killed ${kills} times`);
  },
);
