/** The daemon's watcher alone, over streams that are open; tells the share of a core it takes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Stream } from '../../daemon/streams/stream.js';
import { Watcher } from '../../daemon/watch/watcher.js';
import { WATCHED_FILES_MAX } from '../../shared/limits.js';
import { WATCHED_FILE_BYTES } from '../support/watched-files.js';

/** What the process is told, as JSON in its first argument. */
export interface WatcherPlan {
  readonly folder: string;
  /** Streams s0, s1 …, each with a file in the folder. */
  readonly streams: number;
  /** So many of them are open at a time, and every half second others. */
  readonly open: number;
}

export interface WatcherShare {
  /** In percent of a core. */
  readonly percent: number;
}

const SETTLE_MS = 2_000;
const PASS_MS = 500;

const { folder, streams, open } = JSON.parse(process.argv[2] ?? '') as WatcherPlan;
const all = Array.from({ length: streams }, (_, at) => openStream(at));
let from = 0;
if (open < streams) {
  setInterval(() => {
    from = (from + open) % streams;
  }, PASS_MS);
}
const watcher = new Watcher({
  inUse: () => all.slice(from, from + open),
  // The daemon knows what it wrote; here each write is taken for known.
  suspect: (_stream, files) => {
    for (const file of files) file.size = file.scanned = Number.MAX_SAFE_INTEGER;
  },
  pathsMax: WATCHED_FILES_MAX,
  onProblem: console.error,
});
watcher.start();
await sleep(SETTLE_MS);
process.on('message', (seconds: number) => void share(seconds));
process.on('disconnect', () => process.exit());
process.send?.({ kind: 'ready' });

async function share(seconds: number): Promise<void> {
  const before = process.cpuUsage();
  await sleep(seconds * 1000);
  const { user, system } = process.cpuUsage(before);
  const told: WatcherShare = { percent: ((user + system) / 1e6 / seconds) * 100 };
  process.send?.(told);
}

function openStream(at: number): Stream {
  const stream = new Stream({ journal: 'turns', id: `s${at}` }, [folder]);
  const file = stream.fileNamed(`s${at}.jsonl`);
  file.size = file.scanned = WATCHED_FILE_BYTES;
  stream.generation = 1;
  stream.state = { kind: 'ready' };
  return stream;
}
