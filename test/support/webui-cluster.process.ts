/**
 * Four workers of the chat page on one port, as under pm2's cluster mode. Says the address when all
 * are ready; on SIGINT it tells them to shut down, and ends with the highest of their exit codes.
 */
import cluster, { type Worker } from 'node:cluster';
import { once } from 'node:events';

const WORKERS = 4;

cluster.setupPrimary({ exec: process.argv[2] ?? '', silent: true });
const workers: Worker[] = Array.from({ length: WORKERS }, (_, at) =>
  cluster.fork({ NODE_APP_INSTANCE: String(at) }),
);
const ends = workers.map(async (worker) => {
  const [code] = (await once(worker, 'exit')) as [number];
  return code;
});
process.once('SIGINT', () => {
  for (const worker of workers) worker.send('shutdown');
  void Promise.all(ends).then((codes) => process.exit(Math.max(...codes)));
});
const addresses = await Promise.all(
  workers.map(async (worker) => {
    const [line] = (await once(worker.process.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    return /http:\S+/.exec(line.toString())?.[0];
  }),
);
process.stdout.write(`${[...new Set(addresses)].join()}\n`);
