/** Subscriber processes under way, and what they were given. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { Followed, FollowerPlan } from './follower.process.js';

const PROGRAM = fileURLToPath(new URL('./follower.process.js', import.meta.url));

/** A subscriber that can be killed, and goes on from the last cursor that it told. */
export class Follower {
  readonly events: Followed[] = [];
  readonly #plan: FollowerPlan;
  #child: ChildProcess;
  #ended: Promise<readonly unknown[]>;
  #errors = '';

  constructor(t: ExecutionContext, plan: Omit<FollowerPlan, 'from'>) {
    this.#plan = { ...plan, from: null };
    [this.#child, this.#ended] = this.#start(null);
    t.teardown(() => this.#child.kill('SIGKILL'));
  }

  /** Kills it and starts it again where it was. */
  async killAndResume(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
    [this.#child, this.#ended] = this.#start(this.events.at(-1)?.at ?? null);
  }

  /** Waits until it has seen its end; throws unless it ended well. */
  async ended(): Promise<void> {
    const [code] = await this.#ended;
    if (code !== 0) throw new Error(`a subscriber ended with ${String(code)}: ${this.#errors}`);
  }

  #start(from: string | null): [ChildProcess, Promise<readonly unknown[]>] {
    const child = spawn(process.execPath, [PROGRAM, JSON.stringify({ ...this.#plan, from })], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      // A line that the kill has cut was never told.
      if (line.endsWith('}')) this.events.push(JSON.parse(line) as Followed);
    });
    return [child, once(child, 'close')];
  }
}
