/** Hostile clients: a run, what a run can find, and the program. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { sizeLimits } from '../../../shared/limits.js';
import { type Finished, finished } from '../../support/cli.js';
import { makeFolder } from '../../support/daemon.js';
import { type Edit, makeBuild } from '../broken-builds.js';
import { conversationOf } from './conversations.js';
import { Finding } from './finding.js';
import { type FuzzOptions, fuzz } from './fuzz.js';

const PROGRAM = fileURLToPath(new URL('./main.js', import.meta.url));
const OPTIONS: FuzzOptions = {
  seed: 3,
  frames: 50_000,
  connections: 16,
  segmentBytes: 4 * 1024 * 1024,
  onProgress: () => undefined,
};

async function program(...args: readonly string[]): Promise<Finished> {
  return await finished(spawn(process.execPath, [PROGRAM, ...args]));
}

test.serial('50,000 frames, and nobody else notices', async (t) => {
  t.timeout(300_000);
  const { good, kinds, ...report } = await fuzz({ ...OPTIONS, onProgress: (line) => t.log(line) });
  t.log(report, good);
  t.true(report.frames >= OPTIONS.frames);
  t.true(Object.keys(kinds).length > 12);
  t.true(good.appended > 0 && good.reads > 0 && good.followed > 0);
});

test('the same seed says the same', (t) => {
  const limits = sizeLimits(OPTIONS.segmentBytes);
  for (let index = 0; index < 40; index += 1)
    t.deepEqual(conversationOf(7, index, limits), conversationOf(7, index, limits));
  t.notDeepEqual(conversationOf(7, 0, limits), conversationOf(8, 0, limits));
});

/** Builds that are broken in one place, and what is found of each. */
const BREAKS: Readonly<Record<string, Edit & { readonly finds: RegExp }>> = {
  'what a handler throws ends the daemon': {
    file: 'daemon/server/connection.js',
    anchor: 'handled?.catch((error) => answer.fail(error));',
    replacement: '',
    finds: /^the daemon ended with 1: /,
  },
  'extension types are decoded': {
    file: 'shared/frame-codec.js',
    anchor: 'const refused = scanMsgpack(body, this.#limits);',
    replacement: 'const refused = null;',
    finds: /^(conversation \d+ \(|the daemon ended)/,
  },
  'what is no mistake of the client is told as one of the disk': {
    file: 'daemon/server/wire-refusal.js',
    anchor: 'if (error instanceof EventLogError)',
    replacement: "if (error instanceof EventLogError && error.code !== 'INVALID_ID')",
    finds: /STORAGE_FAILED/,
  },
};

for (const [name, { finds, ...edit }] of Object.entries(BREAKS)) {
  test.serial(`caught: ${name}`, async (t) => {
    const build = await makeBuild(await makeFolder(t), edit);
    const found = await t.throwsAsync(
      fuzz({ ...OPTIONS, frames: 10_000, connections: 4, program: build }),
      {
        instanceOf: Finding,
      },
    );
    t.regex(found?.message ?? '', finds);
    t.true((found?.conversations.length ?? 0) > 0);
  });
}

test('--help has examples', async (t) => {
  const { code, stdout } = await program('--help');
  t.is(code, 0);
  t.regex(stdout, /npm run fuzz -- --seed 7 --frames 1000000/);
});

test('--conversation plays one, and shows it', async (t) => {
  const { code, stderr } = await program('--seed', '1', '--conversation', '3');
  t.is(code, 0, stderr);
  t.regex(stderr, /^conversation 3: /);
  t.regex(stderr, /the daemon stopped/);
});

test('usage', async (t) => {
  t.is((await program('--frames', 'x')).code, 2);
  t.is((await program('--nothing')).code, 2);
});
