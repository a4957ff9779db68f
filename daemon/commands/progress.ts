/**
 * A progress bar on standard error for scans that may take long, where a person looks on.
 *
 * @module
 */
import { basename } from 'node:path';
import { Presets, SingleBar } from 'cli-progress';
import type { VerifyProgress } from '../verify/verify-directory.js';

/** Below this a bar would only flicker. */
const LONG_SCAN_BYTES = 32 * 1024 * 1024;

export interface ProgressBar extends VerifyProgress {
  stop(): void;
}

/** A bar that shows nothing where standard error is no terminal. */
export function progressBar(): ProgressBar {
  const bar = new SingleBar(
    {
      stream: process.stderr,
      format: 'checking {bar} {percentage}% {name}',
      clearOnComplete: true,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  let isShown = false;
  return {
    start(total) {
      isShown = process.stderr.isTTY === true && total >= LONG_SCAN_BYTES;
      if (isShown) bar.start(total, 0, { name: '' });
    },
    advance(path, bytes) {
      if (!isShown) return;
      bar.increment(bytes, { name: basename(path) });
      // The scan is synchronous: the bar's own timer never fires meanwhile.
      bar.render();
    },
    stop() {
      if (isShown) bar.stop();
      isShown = false;
    },
  };
}
