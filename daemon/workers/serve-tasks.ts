/**
 * How a worker thread takes its tasks: it sleeps on a counter that both threads share, and takes
 * and answers tasks by a port.
 *
 * @module
 */
import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads';

/** What a lane and its thread have in common. */
export interface TaskLine {
  readonly port: MessagePort;
  /** Counts what was sent to the thread, which sleeps until there is more. */
  readonly sent: Int32Array<SharedArrayBuffer>;
}

/** Sent in place of a task it ends the thread's work. */
export const NO_MORE_TASKS = null;

/** Runs the tasks one by one, in the order in which they come, until there are no more. */
export function serveTasks<Task extends object, Result>(
  { port, sent }: TaskLine,
  run: (task: Task) => Result,
): void {
  for (let seen = 0; ; ) {
    Atomics.wait(sent, 0, seen);
    // Counted before it is looked for: what comes meanwhile wakes the thread again.
    seen = Atomics.load(sent, 0);
    for (;;) {
      const received = receiveMessageOnPort(port) as { readonly message: Task | null } | undefined;
      if (received === undefined) break;
      if (received.message === NO_MORE_TASKS) return;
      port.postMessage(run(received.message));
    }
  }
}
