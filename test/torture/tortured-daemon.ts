/** The daemon of an act: its starts, and its ends, those by faults among them. */
import { setTimeout as delay } from 'node:timers/promises';
import {
  DaemonEndedError,
  type DaemonProcess,
  startDaemonProcess,
  startDaemonToBeKilled,
} from '../support/daemon.js';
import type { FaultShim } from '../support/fault-shim/fault-shim.js';
import type { Rule } from '../support/fault-shim/rules.js';
import type { Scope } from '../support/scope.js';
import type { Ledger } from './ledger.js';
import type { Act } from './plan.js';

/** How the daemon ended: its exit code, or null after a kill; or that it runs. */
export type End = number | null | 'running';

/** What a daemon is started with, and who is told of it. */
export interface DaemonSetting {
  readonly scope: Scope;
  readonly act: Act;
  /** The journal directory. */
  readonly dir: string;
  readonly socketPath: string;
  readonly shim: FaultShim | null;
  readonly ledger: Ledger;
  /** Writes down what happens. */
  readonly note: (what: string, facts?: object) => void;
}

/** A daemon that is started and ended again and again. */
export class TorturedDaemon {
  readonly #setting: DaemonSetting;
  #running: DaemonProcess | null = null;
  /** Whether it may end by itself now. */
  #mayEnd = false;

  constructor(setting: DaemonSetting) {
    this.#setting = setting;
  }

  /** Starts it; it must come to listen. */
  async start(): Promise<void> {
    const { scope, ledger, note } = this.#setting;
    try {
      this.#running = await this.#start();
    } catch (error) {
      if (!(error instanceof DaemonEndedError)) throw error;
      ledger.find('start', `the daemon did not start: ${error.message}`);
      throw error;
    }
    const running = this.#running;
    note('started', { pid: running.process.pid });
    // Where the act is over it is killed, and that is no finding.
    scope.teardown(() => {
      this.#running = null;
    });
    void running.ended.then((code) => {
      if (this.#running !== running || this.#mayEnd) return;
      ledger.find('exit', `the daemon ended by itself with ${code}: ${running.output()}`);
    });
  }

  /** Ends it; it must end as it should. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const running = this.#process;
    const code = await this.endSomehow(signal);
    const expected = signal === 'SIGTERM' ? 0 : null;
    if (code === expected) return;
    const what = `the daemon ended with ${code} by ${signal}: ${running.output()}`;
    this.#setting.ledger.find('exit', what);
  }

  /** Ends it; returns its exit code, null after a kill. */
  async endSomehow(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    const running = this.#process;
    this.#running = null;
    const code = await running.kill(signal);
    this.#setting.note('ended', { signal, code, output: running.output() });
    return code;
  }

  /** Takes the ground from under it, and kills it then; it may be dead already. */
  async endBy(taken: () => Promise<void>): Promise<void> {
    const running = this.#running;
    this.#running = null;
    await taken();
    await running?.kill('SIGKILL');
  }

  /** Stops it where it stands, or lets it go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.process.kill(signal);
  }

  /**
   * Lets it work under these rules for a while, or until it ends.
   *
   * @returns its exit code, null if it was killed, or that it still runs; the rules still hold
   */
  async workUnder(rules: readonly Rule[], ms: number): Promise<End> {
    this.#setting.shim?.set(rules);
    const over = new AbortController();
    const waiting = delay(ms, 'running' as const, { signal: over.signal });
    waiting.catch(() => undefined);
    const end = await this.endOr(waiting);
    over.abort();
    return end;
  }

  /** Waits until it ends by itself, which it may now; or for what comes first. */
  async endOr(other: Promise<'running'>): Promise<End> {
    const running = this.#process;
    this.#mayEnd = true;
    const end = await Promise.race([running.ended, other]);
    if (end !== 'running') {
      this.#running = null;
      this.#setting.note('ended by itself', { code: end, output: running.output() });
    }
    this.#mayEnd = false;
    return end;
  }

  /** A start that is killed after that time, before or after it listens. */
  async startAndKill(ms: number): Promise<void> {
    const { scope, dir } = this.#setting;
    const starting = startDaemonToBeKilled(scope, dir);
    await delay(ms);
    await starting.kill();
  }

  /** A start under rules that kill it; if it comes to listen it is killed then. */
  async startUntil(rules: readonly Rule[]): Promise<void> {
    const { shim, ledger } = this.#setting;
    if (shim === null) return;
    shim.set(rules);
    try {
      const running = await this.#start();
      await running.kill('SIGKILL');
    } catch (error) {
      if (!(error instanceof DaemonEndedError)) throw error;
      if (error.code !== null) ledger.find('start', error.message);
    } finally {
      shim.clear();
    }
  }

  get #process(): DaemonProcess {
    if (this.#running === null) throw new Error('no daemon is running');
    return this.#running;
  }

  async #start(): Promise<DaemonProcess> {
    const { scope, act, dir, socketPath, shim } = this.#setting;
    const { segmentBytes, logRetentionBytes } = act;
    const sizes = ['--segment-bytes', segmentBytes, '--log-retention-bytes', logRetentionBytes];
    const args = [...sizes, '--socket', socketPath];
    return await startDaemonProcess(scope, { dir, args, env: shim?.env ?? {} });
  }
}
