/**
 * The daemon as a library: `import { startDaemon } from 'eventlogd/daemon'`.
 *
 * @module
 */
export { type Daemon, type DaemonEnd, startDaemon } from './daemon.js';
export type { DaemonConfig } from './settings.js';
