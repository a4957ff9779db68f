/**
 * Lanes: worker threads that each do one task at a time, in the order of the calls.
 *
 * Piscina keeps the thread and tells when it dies. The thread has one task of piscina's for its
 * whole life, in which it takes the lane's own tasks from a port: handed over one by one through
 * piscina they would take nearly twice the CPU on their way (ADR 16).
 *
 * @module
 */
import { MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { NO_MORE_TASKS, type TaskLine } from '../workers/serve-tasks.js';

interface Waiting<Task, Result> {
  readonly task: Task;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** Invariant: the thread has the first of the tasks, and no other. */
export class Lane<Task extends object, Result> {
  readonly #pool: Piscina;
  readonly #onError: (error: Error) => void;
  readonly #sent: TaskLine['sent'] = new Int32Array(new SharedArrayBuffer(4));
  readonly #tasks: Waiting<Task, Result>[] = [];
  #port: MessagePort | null = null;
  #state: 'open' | 'closing' = 'open';
  /** Resolves when the thread has done all that it will ever do. */
  readonly #served: Promise<void>;

  /**
   * @param file the worker's compiled file, beside `../workers/`
   * @param onError told of errors that belong to no task
   */
  constructor(file: string, onError: (error: Error) => void) {
    this.#onError = onError;
    this.#pool = new Piscina({
      filename: new URL(`../workers/${file}`, import.meta.url).href,
      minThreads: 1,
      maxThreads: 1,
      idleTimeout: Number.POSITIVE_INFINITY,
      recordTiming: false,
      // Descriptors belong to the main thread; workers use their numbers.
      trackUnmanagedFds: false,
    });
    this.#pool.on('error', onError);
    this.#served = this.#serve();
  }

  /** Runs a task after all that were given before it. */
  run(task: Task): Promise<Result> {
    if (this.#state === 'closing') return Promise.reject(new Error('the lane is closed'));
    return new Promise((resolve, reject) => {
      this.#tasks.push({ task, resolve, reject });
      if (this.#tasks.length === 1) this.#send(task);
    });
  }

  /** Waits for all tasks, then ends the thread. */
  async close(): Promise<void> {
    if (this.#state === 'closing') return;
    this.#state = 'closing';
    if (this.#tasks.length === 0) this.#send(NO_MORE_TASKS);
    await this.#served;
    await this.#pool.close();
  }

  /** Has a thread serve the tasks, and does so again after one that failed: it may need another. */
  async #serve(): Promise<void> {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    port1.on('message', (result: Result) => this.#done(result));
    const line: TaskLine = { port: port2, sent: this.#sent };
    try {
      await this.#pool.run(line, { transferList: [port2] });
      port1.close();
    } catch (error) {
      port1.close();
      this.#failed(error as Error);
      if (this.#state === 'open' || this.#tasks.length > 0) {
        const served = this.#serve();
        this.#sendNext();
        await served;
      }
    }
  }

  #done(result: Result): void {
    const done = this.#tasks.shift();
    this.#sendNext();
    done?.resolve(result);
  }

  /** The task threw, or took its thread with it. */
  #failed(error: Error): void {
    const failed = this.#tasks.shift();
    if (failed === undefined) this.#onError(error);
    else failed.reject(error);
  }

  #sendNext(): void {
    const next = this.#tasks[0];
    if (next !== undefined) this.#send(next.task);
    else if (this.#state === 'closing') this.#send(NO_MORE_TASKS);
  }

  #send(task: Task | typeof NO_MORE_TASKS): void {
    try {
      this.#port?.postMessage(task);
    } catch (error) {
      // It cannot cross over to the thread; what waits behind it can.
      this.#tasks.shift()?.reject(error);
      this.#sendNext();
      return;
    }
    Atomics.add(this.#sent, 0, 1);
    Atomics.notify(this.#sent, 0);
  }
}
