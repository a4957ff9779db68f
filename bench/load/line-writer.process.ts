/** Appends 10,000 lines a second to files that a watcher looks at, for as long as it lives. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';

/** What the process is told, as JSON in its first argument. */
export interface LineWriterPlan {
  readonly folder: string;
  readonly files: number;
}

const TICK_MS = 20;
const FILES_A_TICK = 10;
const LINES = `{"content":"${'x'.repeat(100)}"}\n`.repeat(20);

const { folder, files } = JSON.parse(process.argv[2] ?? '') as LineWriterPlan;
let next = 0;
setInterval(() => {
  for (let count = 0; count < FILES_A_TICK; count += 1) {
    appendFileSync(join(folder, `s${next}.jsonl`), LINES);
    next = (next + 1) % files;
  }
}, TICK_MS);
process.on('disconnect', () => process.exit());
process.send?.({ kind: 'ready' });
