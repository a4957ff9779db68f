/**
 * Lanes: worker threads that each do one task at a time, in the order of the calls.
 *
 * Piscina's own queue is not first-in-first-out and closing it can kill a task, so a lane never
 * gives it more than one task and waits for its own queue before it closes (libraries.md §1).
 *
 * @module
 */
import { Piscina } from 'piscina';

interface Waiting {
  readonly task: unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** One worker thread and the tasks that wait for it. */
export class Lane<Task, Result> {
  readonly #pool: Piscina;
  readonly #waiting: Waiting[] = [];
  #state: 'idle' | 'working' | 'closed' = 'idle';
  #idle: (() => void)[] = [];

  /**
   * @param file the worker's compiled file, beside `../workers/`
   * @param onError told of errors that belong to no task
   */
  constructor(file: string, onError: (error: Error) => void) {
    this.#pool = new Piscina({
      filename: new URL(`../workers/${file}`, import.meta.url).href,
      minThreads: 1,
      maxThreads: 1,
      concurrentTasksPerWorker: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      atomics: 'sync',
      recordTiming: false,
      // Descriptors belong to the main thread; workers use their numbers.
      trackUnmanagedFds: false,
    });
    this.#pool.on('error', onError);
  }

  /** Runs a task after all that were given before it. */
  run(task: Task): Promise<Result> {
    if (this.#state === 'closed') return Promise.reject(new Error('the lane is closed'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ task, resolve: resolve as (value: unknown) => void, reject });
      this.#next();
    });
  }

  /** Waits for all tasks, then ends the thread. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return;
    if (this.#state === 'working') await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#state = 'closed';
    await this.#pool.close();
  }

  #next(): void {
    if (this.#state !== 'idle') return;
    const next = this.#waiting.shift();
    if (next === undefined) {
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    this.#state = 'working';
    this.#pool
      .run(next.task)
      .then(next.resolve, next.reject)
      .finally(() => {
        if (this.#state === 'working') this.#state = 'idle';
        this.#next();
      });
  }
}
