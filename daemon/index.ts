/**
 * The daemon as a library: `import { startDaemon } from 'eventlogd/daemon'`.
 *
 * @module
 */
export type { DaemonConfig } from './config.js';
export { type Daemon, type DaemonEnd, startDaemon } from './daemon.js';
