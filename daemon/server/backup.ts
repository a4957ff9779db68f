/**
 * Handles a backup, which goes on as long as there is a client that waits for it.
 *
 * @module
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BACKUP_PROGRESS_MS } from '../../shared/limits.js';
import type { RequestOf } from '../../shared/protocol.js';
import type { AnswerWriter } from './answer-writer.js';
import type { ServerContext } from './context.js';

/** Answers how far it has come now and then, and at the end what there is. */
export async function sendBackup(
  context: ServerContext,
  { folder }: RequestOf<'backup'>,
  answer: AnswerWriter,
): Promise<void> {
  const backup = context.store.backups.begin(folder);
  void answer.left.then(() => backup.cancel());
  for (;;) {
    const done = await Promise.race([backup.done, sleep(BACKUP_PROGRESS_MS, null)]);
    if (done !== null) return answer.end({ backup: done });
    const { progress } = backup;
    // Before there is anything to copy it may still be refused.
    if (progress.bytesTotal > 0) await answer.part({ progress });
  }
}
