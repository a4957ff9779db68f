/**
 * Listening to the signals of many calls: one listener on each signal, however many calls share
 * it, since Node warns of a leak past ten.
 *
 * @module
 */

interface Listening {
  readonly callbacks: Set<() => void>;
  readonly stop: () => void;
}

const listenings = new WeakMap<AbortSignal, Listening>();

/**
 * Calls back once when the signal is aborted.
 *
 * @param callback a function of its own for each call
 * @returns a function that ends the listening
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  const listening = listenings.get(signal) ?? listen(signal);
  listening.callbacks.add(callback);
  return () => {
    if (listening.callbacks.delete(callback) && listening.callbacks.size === 0) listening.stop();
  };
}

function listen(signal: AbortSignal): Listening {
  const callbacks = new Set<() => void>();
  const abort = (): void => {
    listenings.delete(signal);
    // Each callback removes itself; a set allows that under iteration.
    for (const callback of callbacks) callback();
  };
  const stop = (): void => {
    signal.removeEventListener('abort', abort);
    listenings.delete(signal);
  };
  signal.addEventListener('abort', abort, { once: true });
  const listening = { callbacks, stop };
  listenings.set(signal, listening);
  return listening;
}
