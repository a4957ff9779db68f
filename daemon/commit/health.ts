/**
 * Whether appends are taken, and if not, why. While there is no room, somebody looks for some
 * again and again.
 *
 * @module
 */

const PROBE_MS = 200;

/** What may stand in the way of appends. */
export const HEALTHS = ['ok', 'log-full', 'files-behind', 'failed'] as const;

/** What stands in the way of appends. */
export type CommitHealth = (typeof HEALTHS)[number];

/** The committer's health. `failed` is never left. */
export class Health {
  readonly #onChange: (health: CommitHealth, reason: string) => void;
  readonly #probe: () => void;
  #health: CommitHealth = 'ok';
  #reason = '';
  #timer: NodeJS.Timeout | null = null;

  /** @param probe looks for room */
  constructor(onChange: (health: CommitHealth, reason: string) => void, probe: () => void) {
    this.#onChange = onChange;
    this.#probe = probe;
  }

  get health(): CommitHealth {
    return this.#health;
  }

  get reason(): string {
    return this.#reason;
  }

  set(health: CommitHealth, reason: string): void {
    if (this.#health === 'failed') return;
    this.#reason = reason;
    if (this.#health !== health) {
      this.#health = health;
      this.#onChange(health, reason);
    }
    if (health === 'log-full' || health === 'files-behind') this.#schedule();
  }

  /** Stops looking for room. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#probe();
      if (this.#health !== 'ok' && this.#health !== 'failed') this.#schedule();
    }, PROBE_MS);
  }
}
