/** Client processes that are spoken to over IPC. */
import { type ChildProcess, fork } from 'node:child_process';
import { type Running, running } from '../support/processes.js';

/** Starts one, and waits until it is ready. */
export async function startClient(
  program: string,
  plan: unknown,
  environment: Readonly<Record<string, string>> = {},
): Promise<Running> {
  const client = running(
    fork(program, [JSON.stringify(plan)], {
      serialization: 'advanced',
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    }),
  );
  await replyOf(client.child);
  return client;
}

/** Tells it something and waits for its answer. */
export async function ask<Answer>(client: Running, order: unknown): Promise<Answer> {
  client.child.send(order as object);
  return (await replyOf(client.child)) as Answer;
}

async function replyOf(child: ChildProcess): Promise<unknown> {
  return await new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`a client ended with ${code}`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message);
    });
  });
}
