/** The thread that several measures read: as large as the scale says, and known to the daemon. */
import type { Bench } from '../measure.js';
import { makeKnown, writeThread } from '../support/data-sets.js';

export const LARGE = 'large';
export const SMALL = 'small';
export const SMALL_EVENTS = 1_000;

export async function largeThread(bench: Bench): Promise<string> {
  const { largeThreadEvents } = bench.scale;
  return await bench.dataSet('large-thread', async (folder) => {
    bench.say(`writing a thread of ${largeThreadEvents} events`);
    writeThread(folder, LARGE, largeThreadEvents);
    writeThread(folder, SMALL, SMALL_EVENTS);
    await makeKnown(folder, async (log) => {
      await log.runs.listMessages(SMALL);
      await log.runs.listMessages(LARGE);
    });
  });
}
