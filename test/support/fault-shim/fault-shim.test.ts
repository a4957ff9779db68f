/** The fault shim in a small process: each kind of rule, on each kind of call. */
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { makeFolder } from '../daemon.js';
import { eventually, testWith } from '../faults.js';
import type { Answered, Asked } from './calls.process.js';
import { FaultShim } from './fault-shim.js';
import type { Call, Effect, Rule } from './rules.js';

const CALLS = fileURLToPath(new URL('calls.process.js', import.meta.url));
const { EIO, ENOSPC, EDQUOT, EFBIG } = constants.errno;

interface Obeying {
  readonly folder: string;
  readonly shim: FaultShim;
  readonly process: ChildProcess;
  /** Has a function of `node:fs` called there; returns its result or the number of its error. */
  readonly call: (name: Asked['name'], ...args: readonly unknown[]) => Promise<unknown>;
  /** Opens the file `name` of the folder there. */
  readonly open: (name: string, flags?: string) => Promise<number>;
  readonly path: (name: string) => string;
  readonly text: (name: string) => string;
}

async function obeying(t: ExecutionContext): Promise<Obeying> {
  const folder = await makeFolder(t);
  const shim = await FaultShim.make(folder);
  const child = fork(CALLS, { env: { ...process.env, ...shim.env }, cwd: folder });
  const ended = once(child, 'close');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await ended;
    shim.close();
  });
  let id = 0;
  const call = async (name: Asked['name'], ...args: readonly unknown[]): Promise<unknown> => {
    id += 1;
    const asked: Asked = { id, name, args };
    child.send(asked);
    for (;;) {
      const [answered] = (await once(child, 'message')) as [Answered];
      if (answered.id === asked.id) return 'errno' in answered ? -answered.errno : answered.value;
    }
  };
  const path = (name: string): string => join(folder, name);
  return {
    folder,
    shim,
    process: child,
    call,
    path,
    open: async (name, flags = 'w+') => (await call('openSync', path(name), flags)) as number,
    text: (name) => readFileSync(path(name), 'utf8'),
  };
}

function rule(calls: readonly Call[], effect: Effect, more: Partial<Rule> = {}): Rule {
  return { calls, paths: ['*.log'], effect, ...more };
}

const COUNT: Effect = { kind: 'count' };
const WHOLE = { bytes: 'whole' };

/** Every way in which Node makes each call: what is called, with what behind the descriptor. */
const WAYS: readonly {
  readonly call: Call;
  readonly name: Asked['name'];
  readonly args: readonly unknown[];
}[] = [
  { call: 'write', name: 'writeSync', args: [WHOLE] },
  { call: 'write', name: 'writeSync', args: [WHOLE, 0, 5, 2] },
  { call: 'write', name: 'writevSync', args: [[WHOLE, WHOLE]] },
  { call: 'write', name: 'writevSync', args: [[WHOLE, WHOLE], 2] },
  { call: 'write', name: 'write', args: [WHOLE] },
  { call: 'write', name: 'write', args: [WHOLE, 0, 5, 2] },
  { call: 'write', name: 'writev', args: [[WHOLE, WHOLE]] },
  { call: 'write', name: 'appendFileSync', args: ['whole'] },
  { call: 'fsync', name: 'fsyncSync', args: [] },
  { call: 'fsync', name: 'fsync', args: [] },
  { call: 'fdatasync', name: 'fdatasyncSync', args: [] },
  { call: 'fdatasync', name: 'fdatasync', args: [] },
  { call: 'truncate', name: 'ftruncateSync', args: [1] },
  { call: 'truncate', name: 'ftruncate', args: [1] },
];

const OF_PATHS: readonly (typeof WAYS)[number][] = [
  { call: 'create', name: 'openSync', args: ['new.log', 'w'] },
  { call: 'create', name: 'open', args: ['new.log', 'a'] },
  { call: 'rename', name: 'renameSync', args: ['a.log', 'b'] },
  { call: 'rename', name: 'rename', args: ['c', 'a.log'] },
  { call: 'unlink', name: 'unlinkSync', args: ['a.log'] },
  { call: 'unlink', name: 'unlink', args: ['a.log'] },
  { call: 'mkdir', name: 'mkdirSync', args: ['folder.log'] },
  { call: 'mkdir', name: 'mkdir', args: ['folder.log'] },
];

testWith(['fault shim'], 'each call is met by rules for it and by no others', async (t) => {
  const { shim, call, open } = await obeying(t);
  const kinds = [...new Set([...WAYS, ...OF_PATHS].map((way) => way.call))];
  const fd = await open('a.log');
  const met = async (way: (typeof WAYS)[number], args: readonly unknown[]): Promise<void> => {
    shim.set(kinds.map((kind) => rule([kind], COUNT, { paths: ['*.log', '*.log/'] })));
    await call(way.name, ...args);
    const hits = kinds.filter((_, index) => shim.hits()[index] === 1);
    t.deepEqual([hits, Math.max(...shim.hits())], [[way.call], 1], way.name);
  };
  for (const way of WAYS) await met(way, [fd, ...way.args]);
  // Relative to the folder in which the process runs.
  for (const way of OF_PATHS) await met(way, way.args);
});

for (const [code, errno] of Object.entries({ EIO, ENOSPC, EDQUOT, EFBIG })) {
  testWith(['fault shim'], `a call that fails with ${code} is not made`, async (t) => {
    const { shim, call, open, path, text } = await obeying(t);
    const fd = await open('a.log');
    await call('writeSync', fd, { bytes: 'before' });
    const kinds: Call[] = ['write', 'truncate', 'fsync', 'fdatasync', 'create', 'rename'];
    const error = { kind: 'error', code: code as 'EIO' } as const;
    shim.set([rule([...kinds, 'unlink', 'mkdir'], error, { paths: ['*.log', '*.log/'] })]);
    for (const way of WAYS) t.is(await call(way.name, fd, ...way.args), -errno, way.name);
    for (const way of OF_PATHS) t.is(await call(way.name, ...way.args), -errno, way.name);
    t.is(text('a.log'), 'before');
    for (const name of ['b', 'new.log', 'folder.log']) t.false(existsSync(path(name)));
    shim.clear();
    t.is(await call('fsyncSync', fd), undefined);
  });
}

testWith(['fault shim'], 'a short write, and the error that it hides', async (t) => {
  const { shim, call, open, text } = await obeying(t);
  const short: Effect = { kind: 'short', bytes: 3 };
  const full: Effect = { kind: 'error', code: 'ENOSPC' };
  for (const [name, args] of [
    ['writeSync', [WHOLE]],
    ['writeSync', [WHOLE, 0, 5, 0]],
    ['writevSync', [[WHOLE, WHOLE]]],
    ['writevSync', [[WHOLE, WHOLE], 0]],
  ] as const) {
    const fd = await open('a.log');
    shim.set([rule(['write'], short, { times: 1 }), rule(['write'], full, { after: 1 })]);
    t.is(await call(name, fd, ...args), 3);
    t.is(text('a.log'), 'who');
    t.deepEqual(shim.hits(), [1, 1]);
    shim.set([rule(['write'], short)]);
    t.is(await call('writeSync', fd, WHOLE, 0, 5, 0), 5, 'Node writes the rest');
    t.deepEqual(shim.hits(), [2]);
    shim.clear();
  }
});

testWith(['fault shim'], 'all but so many bytes are written', async (t) => {
  const { shim, call, open, text } = await obeying(t);
  for (const [bytes, left] of [
    [-1, 'whol'],
    [-4, 'w'],
    // A write of nothing would say nothing.
    [-9, 'w'],
  ] as const) {
    const fd = await open('a.log');
    shim.set([
      rule(['write'], { kind: 'short', bytes }, { times: 1 }),
      rule(['write'], { kind: 'error', code: 'EIO' }, { after: 1 }),
    ]);
    t.is(await call('writeSync', fd, WHOLE), left.length);
    t.is(text('a.log'), left);
  }
});

testWith(['fault shim'], 'a sync that lies is not made', async (t) => {
  const { shim, call, process: child } = await obeying(t);
  const path = `/proc/${child.pid}/comm`;
  const fd = await call('openSync', path, 'r');
  for (const name of ['fsyncSync', 'fdatasyncSync'] as const) {
    shim.set([{ calls: ['fsync', 'fdatasync'], paths: [path], effect: { kind: 'lie' } }]);
    t.is(await call(name, fd), undefined);
    shim.clear();
    t.is(await call(name, fd), -constants.errno.EINVAL);
  }
  t.throws(() => shim.set([rule(['write'], { kind: 'lie' })]), { message: /only syncs lie/ });
});

testWith(['fault shim'], 'so many pass by, so many are met, whoever makes the calls', async (t) => {
  const { shim, call, open } = await obeying(t);
  const fd = await open('a.log');
  const other = await open('b.log');
  shim.set([rule(['fsync'], { kind: 'error', code: 'EIO' }, { after: 2, times: 2 })]);
  const results: unknown[] = [];
  for (let at = 0; at < 3; at += 1) {
    results.push(await call('fsyncSync', fd), await call('fsync', other));
  }
  t.deepEqual(results, [undefined, undefined, -EIO, -EIO, undefined, undefined]);
  t.deepEqual(shim.hits(), [2]);
});

testWith(
  ['fault shim'],
  'paths: globs, folders, either side of a rename, no sockets',
  async (t) => {
    const { shim, call, open, path, folder } = await obeying(t);
    const met = async (paths: readonly string[], act: () => Promise<unknown>): Promise<number> => {
      shim.set([rule(['write', 'fsync', 'rename', 'mkdir', 'create'], COUNT, { paths })]);
      await act();
      return shim.hits()[0] as number;
    };
    const fd = await open('a.log');
    const write = (): Promise<unknown> => call('writeSync', fd, WHOLE);
    t.is(await met([path('a.log')], write), 1);
    t.is(await met(['*.txt', '*/a.*'], write), 1);
    t.is(await met(['*.txt', 'a.log', '/a.log', '*.lo'], write), 0);
    const folderFd = (await call('openSync', folder, 'r')) as number;
    t.is(await met(['*/'], () => call('fsyncSync', folderFd)), 1);
    t.is(await met([folder], () => call('fsyncSync', folderFd)), 0);
    t.is(await met(['*/deep/er/'], () => call('mkdirSync', 'deep/er', { recursive: true })), 2);
    t.is(await met(['*/a.log'], () => call('renameSync', 'a.log', 'b.log')), 1);
    t.is(await met(['*/a.log'], () => call('renameSync', 'b.log', path('a.log'))), 1);
    t.is(await met(['*/a.log'], () => call('openSync', 'a.log', 'r')), 0);
    // The answers travel over a socket.
    t.is(await met(['*'], () => call('now')), 0);
    t.throws(() => shim.set([rule(['write'], COUNT, { paths: [] })]), { message: /paths/ });
    t.throws(() => shim.set([rule(['write'], COUNT, { paths: ['x'.repeat(116)] })]), {
      message: /path/,
    });
  },
);

testWith(['fault shim'], 'a delayed call is made, later', async (t) => {
  const { shim, call, open } = await obeying(t);
  const fd = await open('a.log');
  shim.set([rule(['fdatasync'], { kind: 'delay', ms: 2.5 })]);
  const began = performance.now();
  t.is(await call('fdatasyncSync', fd), undefined);
  t.true(performance.now() - began >= 2.5);
  t.deepEqual(shim.hits(), [1]);
});

testWith(['fault shim'], 'a held call waits for other rules and obeys them', async (t) => {
  const { shim, call, open, text } = await obeying(t);
  const fd = await open('a.log');
  const hold = rule(['write'], { kind: 'hold' });
  for (const [rules, result] of [
    [[rule(['write'], { kind: 'error', code: 'EIO' })], -EIO],
    [[], 5],
  ] as const) {
    shim.set([hold]);
    const held = call('write', fd, WHOLE);
    await eventually(
      async () => shim.hits(),
      ([hits]) => hits === 1,
    );
    // The process goes on otherwise, and nothing is written.
    await call('now');
    t.is(text('a.log'), '');
    shim.set(rules);
    t.is(await held, result);
  }
  t.is(text('a.log'), 'whole');
});

for (const [when, bytes, left] of [
  ['before', undefined, ''],
  ['after', undefined, 'whole'],
  ['after', 2, 'wh'],
] as const) {
  const title = bytes === undefined ? `killed ${when} a write` : 'killed in the midst of a write';
  testWith(['fault shim'], title, async (t) => {
    const { shim, call, open, text, process: child } = await obeying(t);
    const ended = once(child, 'exit');
    const fd = await open('a.log');
    const effect: Effect = { kind: 'kill', when, ...(bytes === undefined ? {} : { bytes }) };
    shim.set([rule(['write'], effect, { after: 1, times: 1 })]);
    t.is(await call('writeSync', fd, ''), 0);
    void call('writeSync', fd, WHOLE);
    t.deepEqual(await ended, [null, 'SIGKILL']);
    t.is(text('a.log'), left);
    t.deepEqual(shim.hits(), [1]);
  });
}

testWith(['fault shim'], 'the wall clock steps forwards and backwards, no other', async (t) => {
  const { shim, call } = await obeying(t);
  const yearMs = 365 * 24 * 3600 * 1000;
  let before = 0;
  for (const offset of [0, yearMs, -yearMs, 1_500, 0]) {
    shim.setClock(offset);
    const from = Date.now();
    const [now, date, monotonic] = (await call('now')) as [number, number, number];
    const to = Date.now();
    for (const seen of [now, date]) t.true(from + offset <= seen && seen <= to + offset + 1);
    t.true(monotonic > before && monotonic < yearMs);
    before = monotonic;
  }
});

testWith(['fault shim'], 'rules that were replaced are not obeyed, however often', async (t) => {
  const { shim, call, open, text } = await obeying(t);
  const fd = await open('a.log');
  const fails = (code: 'EIO' | 'ENOSPC'): Rule => rule(['write'], { kind: 'error', code });
  // While the call is at the first rule, the place of the second is used again for another.
  shim.set([rule(['write'], { kind: 'delay', ms: 2_000 }), fails('EIO')]);
  const delayed = call('write', fd, WHOLE);
  await eventually(
    async () => shim.hits(),
    ([hits]) => hits === 1,
  );
  shim.clear();
  shim.set([rule(['fsync'], COUNT), fails('ENOSPC')]);
  shim.clear();
  t.is(await delayed, 5);
  t.is(text('a.log'), 'whole');
});

testWith(['fault shim'], 'a control file that is none ends the process loudly', async (t) => {
  const { folder, shim } = await obeying(t);
  const path = join(folder, 'none');
  writeFileSync(path, 'something else');
  const env = { ...process.env, ...shim.env, EVENTLOGD_FAULTS: path };
  const child = fork(CALLS, { env, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  t.deepEqual(await once(child, 'close'), [70, null]);
  t.regex(said, /not a control file/);
});

test('where there is no compiler the shim says so', async (t) => {
  const program = `import(process.argv[1]).then((shim) => console.log(shim.FaultShim.absence()))`;
  const module = fileURLToPath(new URL('fault-shim.js', import.meta.url));
  const said = spawnSync(process.execPath, ['-e', program, module], {
    encoding: 'utf8',
    env: { PATH: '', TMPDIR: await makeFolder(t) },
  });
  t.regex(said.stdout, /no C compiler|is not Linux/, said.stderr);
});
