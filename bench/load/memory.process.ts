/**
 * A daemon in a process of which every byte is known: it opens some streams, then others, and
 * tells by how much the heap has grown through these.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { connect } from '../../client/index.js';
import { startDaemon } from '../../daemon/index.js';

/** What the process is told, as JSON in its first argument. */
export interface MemoryPlan {
  readonly dir: string;
  /** Opened before the first look, so that code and caches are there. */
  readonly before: Streams;
  readonly measured: Streams;
}

interface Streams {
  readonly threads?: readonly string[];
  readonly sessions?: readonly string[];
}

export interface HeapGrowth {
  readonly bytes: number;
}

const TIMEOUT_MS = 120_000;
const CALLS = 64;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const plan = JSON.parse(process.argv[2] ?? '') as MemoryPlan;
process.on('message', () => void growth().then((bytes) => process.send?.({ bytes })));
process.on('disconnect', () => process.exit());
process.send?.({ kind: 'ready' });

async function growth(): Promise<number> {
  const daemon = await startDaemon({ dir: plan.dir, logLevel: 'silent' });
  await open(plan.before);
  const before = await heapBytes();
  await open(plan.measured);
  const after = await heapBytes();
  await daemon.close();
  return after - before;
}

/** Reads the streams through a client that goes again, so that only the daemon's side stays. */
async function open({ threads = [], sessions = [] }: Streams): Promise<void> {
  const log = await connect({ dir: plan.dir, timeoutMs: TIMEOUT_MS });
  for (const threadId of threads) await log.runs.listMessages(threadId, { limit: 1 });
  for (let from = 0; from < sessions.length; from += CALLS) {
    const some = sessions.slice(from, from + CALLS);
    await Promise.all(some.map((id) => log.turns.read(id, { limit: 1 })));
  }
  await log.close();
}

async function heapBytes(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    // What was just closed lets go of its memory in a later turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
