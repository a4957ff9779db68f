/** Which of several conversations a daemon died of. */
import { sizeLimits } from '../../../shared/limits.js';
import { type Conversation, probeOf } from './conversations.js';
import { Finding } from './finding.js';
import { type FuzzedDaemon, startFuzzedDaemon, withScope } from './fuzzed-daemon.js';
import { play } from './player.js';

/** The first conversation that a daemon of its own dies of; null where each is survived alone. */
export async function findCulprit(
  suspects: readonly Conversation[],
  options: FuzzedDaemon,
): Promise<Conversation | null> {
  for (const suspect of suspects) if (await isDeadly(suspect, options)) return suspect;
  return null;
}

async function isDeadly(suspect: Conversation, options: FuzzedDaemon): Promise<boolean> {
  return await withScope(async (scope) => {
    const daemon = await startFuzzedDaemon(scope, options);
    try {
      const leave = await play(suspect, daemon.socketPath);
      leave?.();
      await play(probeOf(sizeLimits(options.segmentBytes)), daemon.socketPath);
    } catch (error) {
      if (!(error instanceof Finding)) throw error;
    }
    return (await daemon.stop()) !== 0;
  });
}
