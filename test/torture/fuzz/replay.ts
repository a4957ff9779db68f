/** One conversation again, alone with a daemon of its own. */
import { sizeLimits } from '../../../shared/limits.js';
import { conversationOf } from './conversations.js';
import { Finding } from './finding.js';
import { type FuzzedDaemon, startFuzzedDaemon, withScope } from './fuzzed-daemon.js';
import { memoryOf } from './memory.js';
import { play } from './player.js';

/** Of each message that is shown. */
const SHOWN_MAX = 2_000;

/** A conversation's seed, and what it is played to. */
export interface ReplayOptions extends FuzzedDaemon {
  readonly seed: number;
}

/**
 * Plays a conversation on a daemon of its own.
 *
 * @param show told in lines what is sent, and what the daemon says to it
 * @throws Finding
 */
export async function replay(
  options: ReplayOptions,
  index: number,
  show: (line: string) => void,
): Promise<void> {
  await withScope(async (scope) => {
    const daemon = await startFuzzedDaemon(scope, options);
    const conversation = conversationOf(options.seed, index, sizeLimits(options.segmentBytes));
    show(`conversation ${index}: ${conversation.kind}, ${conversation.ending}`);
    for (const step of conversation.steps) {
      show(`> ${step.kind}${step.kind === 'send' ? ` ${step.as}` : ''}`);
      if (step.kind !== 'send') continue;
      for (const { bytes, due } of step.frames)
        show(`  ${JSON.stringify(due)} ${Buffer.from(bytes).toString('latin1').slice(0, 200)}`);
    }
    const leave = await play(conversation, daemon.socketPath, (message) => {
      show(`< ${JSON.stringify(message).slice(0, SHOWN_MAX)}`);
    });
    leave?.();
    const peak = memoryOf(daemon.process.pid as number)?.peak ?? 'unknown';
    const code = await daemon.stop();
    if (code !== 0) throw new Finding(`the daemon ended with ${code}: ${daemon.output()}`);
    show(`the daemon stopped; it took ${peak} bytes at most`);
  });
}
