/**
 * Whether appends are taken, and if not, why. While a write waits for room, somebody looks for
 * some again and again.
 *
 * @module
 */
import { type CommitHealth, type RoomHealth, type WriteHealth, worseOf } from './health-table.js';

const PROBE_MS = 200;

/**
 * The committer's health: what writing met, and what was measured of the disk's room; the worse
 * of both is told. `failed` is never left.
 */
export class Health {
  readonly #onChange: (health: CommitHealth, reason: string) => void;
  readonly #probe: () => void;
  #writes: { readonly health: WriteHealth; readonly reason: string } = { health: 'ok', reason: '' };
  #room: { readonly health: RoomHealth; readonly reason: string } = { health: 'ok', reason: '' };
  #health: CommitHealth = 'ok';
  #timer: NodeJS.Timeout | null = null;

  /** @param probe looks for room */
  constructor(onChange: (health: CommitHealth, reason: string) => void, probe: () => void) {
    this.#onChange = onChange;
    this.#probe = probe;
  }

  get health(): CommitHealth {
    return this.#health;
  }

  /** What writing met, whatever was measured. */
  get writes(): WriteHealth {
    return this.#writes.health;
  }

  get reason(): string {
    return this.#health === this.#room.health ? this.#room.reason : this.#writes.reason;
  }

  /** Writing met this. */
  set(health: WriteHealth, reason: string): void {
    if (this.#writes.health === 'failed') return;
    this.#writes = { health, reason };
    this.#tell();
    if (health === 'log-full' || health === 'files-behind') this.#schedule();
  }

  /** This was measured of the disk's room. */
  measured(health: RoomHealth, reason: string): void {
    this.#room = { health, reason };
    this.#tell();
  }

  /** Stops looking for room. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #tell(): void {
    const health = worseOf(this.#writes.health, this.#room.health);
    if (health === this.#health) return;
    this.#health = health;
    this.#onChange(health, this.reason);
  }

  #schedule(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#probe();
      if (this.writes !== 'ok' && this.writes !== 'failed') this.#schedule();
    }, PROBE_MS);
  }
}
