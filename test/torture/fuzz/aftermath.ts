/** What must hold when the hostile clients are gone. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../../../client/index.js';
import type { SizeLimits } from '../../../shared/limits.js';
import type { DaemonProcess } from '../../support/daemon.js';
import { journalPaths } from '../../support/journal-files.js';
import { offlineCommand } from '../../support/offline.js';
import { Finding, PATIENCE_MS } from './finding.js';
import { GOOD_CONNECTIONS, GOOD_SUBSCRIPTIONS, type GoodClients } from './good-clients.js';
import type { GoodReport } from './good-clients.process.js';

/** Of the probe, and of who asks. */
const OTHER_CONNECTIONS = 2;
const RETRY_MS = 50;
/** What a line has beside its event's text: ids, a stamp, a seq. */
const LINE_OVERHEAD_BYTES = 1_024;

/**
 * With the hostile clients gone, nothing is left of them in the daemon.
 *
 * @throws Finding
 */
export async function checkSettled(dir: string): Promise<void> {
  const log = await connect({ dir, timeoutMs: PATIENCE_MS });
  try {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const { connections, subscriptions, queued, health } = await log.stats();
      const isOver =
        connections <= GOOD_CONNECTIONS + OTHER_CONNECTIONS &&
        subscriptions <= GOOD_SUBSCRIPTIONS + 1;
      if (isOver && queued === 0 && health === 'ok') return;
      if (performance.now() > deadline) {
        const what = JSON.stringify({ connections, subscriptions, queued, health });
        throw new Finding(`the hostile clients are gone, and not all that was theirs: ${what}`);
      }
      await delay(RETRY_MS);
    }
  } finally {
    await log.close();
  }
}

/**
 * The good clients got what is theirs, the daemon stops, and what it leaves is whole.
 *
 * @throws Finding
 */
export async function checkAfterwards(
  daemon: DaemonProcess,
  goodClients: GoodClients,
  limits: SizeLimits,
): Promise<GoodReport> {
  const good = await goodClients.finish();
  if (good.finding !== null) throw new Finding(good.finding);
  const code = await daemon.stop();
  if (code !== 0) throw new Finding(`the daemon stopped with ${code}: ${daemon.output()}`);
  for (const path of journalPaths(daemon.dir)) checkLines(daemon.dir, path, limits);
  const verified = await offlineCommand(daemon.dir, ['verify']);
  if (verified.code !== 0) {
    const found = JSON.stringify(verified.rows.slice(0, 20));
    throw new Finding(`verify ended with ${verified.code}: ${found} ${verified.stderr}`);
  }
  return good;
}

function checkLines(dir: string, path: string, { eventBytesMax }: SizeLimits): void {
  const bytes = readFileSync(join(dir, path));
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf(0x0a, at);
    const length = (end === -1 ? bytes.length : end) - at;
    if (length > eventBytesMax + LINE_OVERHEAD_BYTES)
      throw new Finding(`${path}: a line of ${length} bytes, the limit is ${eventBytesMax}`);
    at += length + 1;
  }
}
