// `npm run demo`: the daemon and three workers, each of which comes back when it dies, as under a
// process manager. Ctrl-C ends them all.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const DAEMON = join(import.meta.dirname, '..', '..', 'dist', 'daemon', 'main.js');
const WORKER = join(import.meta.dirname, 'server.js');
const WORKERS = 3;
const FIRST_PORT = Number(process.env['PORT'] ?? 8080);
const DIR = process.env['EVENTLOGD_DIR'] ?? join('data', 'demo');
const AGAIN_MS = 500;

/** A program that is started again when it dies. */
class Kept {
  #args;
  #env;
  #child;
  #isStopping = false;

  /**
   * @param {string} name
   * @param {string[]} args
   * @param {NodeJS.ProcessEnv} env
   */
  constructor(name, args, env) {
    this.name = name;
    this.#args = args;
    this.#env = { ...process.env, ...env };
    this.#child = this.#start();
  }

  get pid() {
    return this.#child.pid;
  }

  /**
   * Resolves when it says that it is ready; rejects if it ends before.
   *
   * @returns {Promise<string>} the first that it wrote
   */
  async ready() {
    const child = this.#child;
    const ready = new Promise((resolve, reject) => {
      child.on('message', (message) => message === 'ready' && resolve(message));
      child.once('exit', (code) => reject(new Error(`${this.name} ended with ${code}`)));
    });
    const [[said]] = await Promise.all([once(outputOf(child), 'data'), ready]);
    return String(said);
  }

  async stop() {
    this.#isStopping = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill('SIGINT');
    await once(this.#child, 'exit');
  }

  #start() {
    const child = spawn(process.execPath, this.#args, {
      env: this.#env,
      // A group of its own: Ctrl-C is for this program, which ends the workers before the daemon.
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    });
    outputOf(child).resume();
    child.once('exit', (code, signal) => void this.#startAgain(signal ?? code));
    return child;
  }

  /** @param {string | number | null} end */
  async #startAgain(end) {
    if (!this.#isStopping) await sleep(AGAIN_MS);
    if (this.#isStopping) return;
    this.#child = this.#start();
    console.log(`${this.name} ended (${end}); it is pid ${this.pid} now`);
  }
}

/** @param {import('node:child_process').ChildProcess} child */
function outputOf(child) {
  return /** @type {import('node:stream').Readable} */ (child.stdout);
}

const daemon = new Kept('the daemon', [DAEMON, 'start', '--dir', DIR], {});
const workers = Array.from({ length: WORKERS }, (_, at) => {
  const number = String(at + 1);
  // 0 stands for any port that is free.
  const port = FIRST_PORT === 0 ? 0 : FIRST_PORT + at;
  const env = { PORT: String(port), EVENTLOGD_DIR: DIR, NODE_APP_INSTANCE: number };
  return new Kept(`worker ${number}`, [WORKER], env);
});

let isStopping = false;
/** @param {number} code */
async function stop(code) {
  if (isStopping) return;
  isStopping = true;
  await Promise.all(workers.map((worker) => worker.stop()));
  await daemon.stop();
  process.exit(code);
}
process.on('SIGINT', () => void stop(0));
process.on('SIGTERM', () => void stop(0));

try {
  const [, ...said] = await Promise.all([daemon, ...workers].map((kept) => kept.ready()));
  const addresses = workers.map(
    ({ name, pid }, at) => `  ${/http:\S+/.exec(said[at] ?? '')?.[0]}   ${name}, pid ${pid}`,
  );
  console.log(`The chat page is at

${addresses.join('\n')}

Open two of them side by side, say something in one, and while the answer comes:

  kill -9 ${daemon.pid}   the daemon: it comes back, and the answer goes on
  kill -9 ${workers[0]?.pid}   a worker: what it was answering is marked interrupted
  npx eventlog --dir ${DIR} tail all   everything that happens, as it happens

Ctrl-C ends everything.`);
} catch (error) {
  if (!isStopping) console.error(`the demo does not start: ${String(error)}`);
  await stop(1);
}
