/** Subscriber processes under way, and what they were given. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Followed, FollowerPlan, Told } from './follower.process.js';
import type { Scope } from './scope.js';

const PROGRAM = fileURLToPath(new URL('./follower.process.js', import.meta.url));

/** A subscriber that can be killed, and goes on from the last cursor that it told. */
export class Follower {
  readonly plan: Omit<FollowerPlan, 'from'>;
  /** All that it told. */
  readonly told: Told[] = [];
  #child: ChildProcess;
  #ended: Promise<readonly unknown[]>;
  #errors = '';

  constructor(t: Scope, plan: Omit<FollowerPlan, 'from'>) {
    this.plan = plan;
    [this.#child, this.#ended] = this.#start(null);
    t.teardown(async () => {
      this.#child.kill('SIGKILL');
      await this.#ended;
    });
  }

  /** The events that it told of. */
  get events(): Followed[] {
    return this.told.filter((entry) => entry.kind === 'event');
  }

  /** Why it ended by itself, if it did and should not have. */
  get failure(): string | null {
    const { exitCode } = this.#child;
    return exitCode === null || exitCode === 0 ? null : `ended with ${exitCode}: ${this.#errors}`;
  }

  /** Sends it a signal. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Kills it and starts it again where it was. */
  async killAndResume(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    [this.#child, this.#ended] = this.#start(this.told.at(-1)?.at ?? null);
  }

  /** Waits until it has seen its end; throws unless it ended well. */
  async ended(): Promise<void> {
    const [code] = await this.#ended;
    if (code !== 0) throw new Error(`a subscriber ended with ${String(code)}: ${this.#errors}`);
  }

  #start(from: string | null): [ChildProcess, Promise<readonly unknown[]>] {
    const child = spawn(process.execPath, [PROGRAM, JSON.stringify({ ...this.plan, from })], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      // A line that the kill has cut was never told.
      if (line.endsWith('}')) this.told.push(JSON.parse(line) as Told);
    });
    return [child, once(child, 'close')];
  }
}
