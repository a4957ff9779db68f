/** The clients of a torture as processes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Scope } from '../support/scope.js';
import type { WorkloadPlan } from './workload.process.js';

const PROGRAM = fileURLToPath(new URL('./workload.process.js', import.meta.url));

/** A client that can be killed, and then asks again for what it was never told of. */
export class Worker {
  readonly #plan: Omit<WorkloadPlan, 'incarnation'>;
  #incarnation = 0;
  #child: ChildProcess;
  #ended: Promise<unknown>;
  #errors = '';

  constructor(scope: Scope, plan: Omit<WorkloadPlan, 'incarnation'>) {
    this.#plan = plan;
    [this.#child, this.#ended] = this.#start();
    scope.teardown(async () => {
      this.#child.kill('SIGKILL');
      await this.#ended;
    });
  }

  /** Why it ended by itself, if it should not have. */
  get failure(): string | null {
    const { exitCode } = this.#child;
    return exitCode === null || exitCode === 0 ? null : `ended with ${exitCode}: ${this.#errors}`;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async killAndStart(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    this.#incarnation += 1;
    [this.#child, this.#ended] = this.#start();
  }

  /** Lets it finish what is in flight, and waits for its end. */
  async stop(): Promise<void> {
    this.#child.kill('SIGCONT');
    this.#child.stdin?.end();
    await this.#ended;
  }

  #start(): [ChildProcess, Promise<unknown>] {
    const plan: WorkloadPlan = { ...this.#plan, incarnation: this.#incarnation };
    const child = spawn(process.execPath, [PROGRAM, JSON.stringify(plan)], {
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    child.stdin.on('error', () => undefined);
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    return [child, once(child, 'close')];
  }
}
