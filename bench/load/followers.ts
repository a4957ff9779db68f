/** Processes that follow a stream while others append to it. */
import { fileURLToPath } from 'node:url';
import type { Target } from '../peers/peer.js';
import { sortedFrom } from '../statistics.js';
import type { Running } from '../support/processes.js';
import { ask, startClient } from './children.js';
import type { FollowPlan } from './follow.process.js';
import type { Followed } from './load-messages.js';

const PROGRAM = fileURLToPath(new URL('./follow.process.js', import.meta.url));

export class Followers implements AsyncDisposable {
  readonly #processes: readonly Running[];

  private constructor(processes: readonly Running[]) {
    this.#processes = processes;
  }

  /** So many processes, each with so many subscriptions to the stream. */
  static async start(
    target: Target,
    stream: string,
    { processes, subscriptions }: { readonly processes: number; readonly subscriptions: number },
  ): Promise<Followers> {
    const plan: FollowPlan = { target, stream, subscriptions };
    const started = Array.from({ length: processes }, () => startClient(PROGRAM, plan));
    return new Followers(await Promise.all(started));
  }

  /** Waits until each subscription got so many more events; how long each took, ascending. */
  async delaysMs(events: number): Promise<Float64Array> {
    const told = await Promise.all(
      this.#processes.map((process) => ask<Followed>(process, events)),
    );
    return sortedFrom(told.map(({ delaysMs }) => delaysMs));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#processes.map((process) => process.end('SIGTERM')));
  }
}
