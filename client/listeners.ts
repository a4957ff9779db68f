/**
 * Who listens to a client's connection.
 *
 * @module
 */
import { InvalidArgumentError } from '../shared/errors.js';
import type { ConnectionListeners } from './types.js';

/** Listeners by what they listen to, called in the order they were added. */
export class ListenerTable implements ConnectionListeners {
  readonly #disconnect = new Set<{ readonly call: ConnectionListeners['disconnect'] }>();
  readonly #reconnect = new Set<{ readonly call: ConnectionListeners['reconnect'] }>();

  /** Adds a listener; the result removes it. */
  add<Name extends keyof ConnectionListeners>(
    name: Name,
    listener: ConnectionListeners[Name],
  ): () => void {
    if (typeof listener !== 'function') {
      throw new InvalidArgumentError('listener', 'listener must be a function');
    }
    const entry = { call: listener };
    const entries = this.#entries(name) as Set<{ readonly call: ConnectionListeners[Name] }>;
    entries.add(entry);
    return () => void entries.delete(entry);
  }

  readonly disconnect = (error: Error): void => {
    for (const { call } of Array.from(this.#disconnect)) guarded(() => call(error));
  };

  readonly reconnect = (): void => {
    for (const { call } of Array.from(this.#reconnect)) guarded(() => call());
  };

  #entries(name: keyof ConnectionListeners): Set<object> {
    switch (name) {
      case 'disconnect':
        return this.#disconnect;
      case 'reconnect':
        return this.#reconnect;
      default:
        throw new InvalidArgumentError(
          'name',
          `there is nothing to listen to by the name ${JSON.stringify(name)}`,
        );
    }
  }
}

/** An error of a listener is its owner's, uncaught as in any event handler, never the connection's. */
function guarded(call: () => void): void {
  try {
    call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
