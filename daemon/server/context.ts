/**
 * What handlers may use of the daemon.
 *
 * @module
 */
import type { SizeLimits } from '../../shared/limits.js';
import type { Layout } from '../storage/layout.js';
import type { Store } from '../store.js';

export interface ServerContext {
  readonly layout: Layout;
  readonly limits: SizeLimits;
  readonly store: Store;
  readonly epoch: number;
  readonly version: string;
  /** How often calls were refused, by the code of the error. */
  readonly refusals: Map<string, number>;
  /** What `stats` answers. */
  readonly stats: () => object;
}
