/**
 * What handlers may use of the daemon.
 *
 * @module
 */
import type { SizeLimits } from '../../shared/limits.js';
import type { Committer } from '../commit/committer.js';
import type { Lane } from '../commit/lanes.js';
import type { Retries } from '../commit/retries.js';
import type { Catalog } from '../storage/catalog.js';
import type { Layout } from '../storage/layout.js';
import type { FileTable } from '../streams/file-table.js';
import type { SessionFiles } from '../streams/session-files.js';
import type { StreamTable } from '../streams/stream-table.js';
import type { ScanResult, ScanTask } from '../workers/scan.worker.js';

export interface ServerContext {
  readonly layout: Layout;
  readonly limits: SizeLimits;
  readonly epoch: number;
  readonly version: string;
  readonly table: StreamTable;
  readonly committer: Committer;
  readonly files: FileTable;
  readonly sessionFiles: SessionFiles;
  readonly catalog: Catalog;
  readonly retries: Retries;
  readonly scanLane: Lane<ScanTask, ScanResult>;
  /** What `stats` answers. */
  readonly stats: () => object;
}
