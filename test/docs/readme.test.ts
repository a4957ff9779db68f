/**
 * The README's commands, run as a reader runs them, in a folder that looks like a clone; and the
 * links and paths of all documents.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { makeClone, run, shell } from '../support/clone.js';
import { blocksOf, ROOT, readDocument } from '../support/docs.js';
import { testWith } from '../support/faults.js';

const README = readDocument('README.md');
const DAEMON = 'npm start';
const WHOLE = ['npm ci && npm start', 'npm ci && npm test'];

/** Starts the daemon as the README does, and waits for what it prints. */
async function startDaemon(t: ExecutionContext, clone: string): Promise<string> {
  const child = shell(clone, DAEMON);
  t.teardown(() => endGroup(child));
  let output = '';
  await new Promise<void>((resolve, reject) => {
    const gather = (chunk: Buffer): void => {
      output += chunk.toString();
      if (/^try: /m.test(output)) resolve();
    };
    child.stdout?.on('data', gather);
    child.stderr?.on('data', gather);
    child.once('close', () => reject(new Error(`the daemon ended: ${output}`)));
  });
  return output;
}

/** Ends the shell, npm and the daemon under it. */
async function endGroup(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'close');
  process.kill(-child.pid, 'SIGTERM');
  await ended;
}

test('the two commands stand in the README as they are, alone', (t) => {
  const commands = blocksOf(README).filter(({ language }) => language === 'sh');
  for (const whole of WHOLE) t.is(commands.filter(({ text: one }) => one === whole).length, 1);
  t.true(README.split('\n').length < 200);
});

testWith(['jq', 'npm'], 'every command and program of the README, in its order', async (t) => {
  t.timeout(100_000);
  const clone = await makeClone(t);
  let output = '';
  let starts = 0;
  for (const { language, info, text: block } of blocksOf(README)) {
    if (language === 'ts') await writeFile(join(clone, info), `${block}\n`);
    if (language !== 'sh' || WHOLE.includes(block)) continue;
    if (block === DAEMON) {
      const started = await startDaemon(t, clone);
      t.regex(started, /^eventlogd listens on .*eventlogd\.sock for /m);
      starts += 1;
      output = '';
      continue;
    }
    const done = await run(clone, block);
    t.is(done.code, 0, `${block}\n${done.output}`);
    output += done.output;
  }
  t.is(starts, 2);
  // What was written before the kill is there behind the second start.
  t.regex(output, /"event":"submitted","content":"hi".*"session_id":"s1".*"seq":1\}/);
  t.regex(output, /"event":"submitted","content":"hello".*"seq":1\}/);
  t.regex(output, /"content":"hel".*"seq":2\}/);
});

test('the program of the README passes the type checker', async (t) => {
  const folder = await makeClone(t);
  const [block] = blocksOf(README).filter(({ language }) => language === 'ts');
  t.is(block?.info, 'first.mjs');
  await writeFile(join(folder, 'first.mts'), block?.text ?? '');
  const options = '--noEmit --strict --skipLibCheck --module nodenext --target es2023 --types node';
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
  const { code, output } = await run(folder, `'${tsc}' ${options} first.mts`);
  t.is(code, 0, output);
});

/** Every document of the repository. */
function documents(): string[] {
  const inFolder = (folder: string): string[] =>
    readdirSync(join(ROOT, folder)).flatMap((name) =>
      name.endsWith('.md') ? [join(folder, name)] : [],
    );
  const folders = ['docs', 'docs/adr', 'examples/webui'];
  return ['README.md', 'CONTRIBUTING.md', ...folders.flatMap(inFolder)];
}

for (const path of documents()) {
  test(`links and paths of ${path} lead somewhere`, (t) => {
    const markdown = readDocument(path);
    const links = [...markdown.matchAll(/\]\((?!https?:)([^)#]*)(#[^)]*)?\)/g)];
    for (const [, target = ''] of links) {
      t.true(existsSync(join(ROOT, dirname(path), target)), `link ${target}`);
    }
    const sources = [...markdown.matchAll(/`((?:shared|client|daemon|test)\/[\w./-]+)`/g)];
    for (const [, source = ''] of sources) {
      const found = existsSync(join(ROOT, source)) || existsSync(join(ROOT, `${source}.ts`));
      t.true(found, source);
    }
    t.notRegex(markdown, /\/(?:tmp|work|root|home)\//);
  });
}
