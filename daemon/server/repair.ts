/**
 * Handles the repair of a stream.
 *
 * @module
 */
import type { StreamName } from '../storage/layout.js';
import type { AnswerWriter } from './answer-writer.js';
import type { ServerContext } from './context.js';

/** Answers what there is to repair, once it is done where that was asked for. */
export async function sendRepair(
  context: ServerContext,
  name: StreamName,
  request: { readonly apply?: boolean },
  answer: AnswerWriter,
): Promise<void> {
  const { actions, applied } = await context.store.repairs.repair(name, request.apply === true);
  // A stream has a handful of actions, so that they fit one frame.
  answer.end({
    actions: actions.map(({ action, file, detail }) => ({ action, file, detail })),
    applied,
  });
}
