/** The real pm2, through its program only, with a home of its own. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { ExecutionContext } from 'ava';
import { makeFolder } from './daemon.js';
import { ROOT } from './docs.js';
import { eventually } from './faults.js';

const PROGRAM = join(ROOT, 'node_modules', 'pm2', 'bin', 'pm2');
const run = promisify(execFile);

/** An app as pm2 lists it. */
export interface App {
  readonly id: number;
  readonly name: string;
  readonly pid: number;
  readonly status: string;
  readonly restarts: number;
  readonly exitCode: number | undefined;
}

interface Listed {
  readonly pm_id: number;
  readonly name: string;
  readonly pid: number;
  readonly pm2_env: {
    readonly status: string;
    readonly restart_time: number;
    readonly exit_code?: number;
  };
}

/** A pm2 that ends with the test, with all that it started. */
export class Pm2 {
  readonly home: string;
  readonly #environment: NodeJS.ProcessEnv;

  private constructor(home: string, environment: Readonly<Record<string, string>>) {
    this.home = home;
    const { PATH, HOME } = process.env;
    this.#environment = {
      PATH,
      HOME,
      PM2_HOME: home,
      PM2_DISABLE_VERSION_CHECK: '1',
      NO_COLOR: '1',
      ...environment,
    };
  }

  /** @param environment what pm2 and its apps find in theirs */
  static async open(
    t: ExecutionContext,
    environment: Readonly<Record<string, string>>,
  ): Promise<Pm2> {
    const pm2 = new Pm2(join(await makeFolder(t), 'p'), environment);
    t.teardown(() => pm2.run('kill'));
    return pm2;
  }

  /** Runs a command of pm2; returns what it printed. */
  async run(...args: readonly string[]): Promise<string> {
    const { stdout } = await run(process.execPath, [PROGRAM, ...args], {
      cwd: ROOT,
      env: this.#environment,
      maxBuffer: 2 ** 26,
    });
    return stdout;
  }

  /** The apps of that name, or all. */
  async apps(name?: string): Promise<App[]> {
    const output = await this.run('jlist');
    // What the program has to say of itself comes before.
    const listed = JSON.parse(output.slice(output.search(/\[(\{|\])/))) as readonly Listed[];
    const apps = listed.map(({ pm_id: id, name: of, pid, pm2_env }) => ({
      id,
      name: of,
      pid,
      status: pm2_env.status,
      restarts: pm2_env.restart_time,
      exitCode: pm2_env.exit_code,
    }));
    return name === undefined ? apps : apps.filter((app) => app.name === name);
  }

  /** The app of that name and, where there are several, of that place among them. */
  async app(name: string, at = 0): Promise<App> {
    const app = (await this.apps(name))[at];
    if (app === undefined) throw new Error(`pm2 has no ${name} ${at}`);
    return app;
  }

  /** Waits until pm2 has started the app again, under another process id. */
  async restarted(before: App): Promise<App> {
    return await eventually(
      async () => (await this.apps()).find(({ id }) => id === before.id) as App,
      ({ pid, status }) => pid !== before.pid && pid !== 0 && status === 'online',
    );
  }

  /** What the app printed so far. */
  async logOf(name: string, kind: 'out' | 'error'): Promise<string> {
    return await readFile(join(this.home, 'logs', `${name}-${kind}.log`), 'utf8').catch(() => '');
  }
}

/** A port that nobody uses now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
