/**
 * The daemon's log: one JSON line per event that matters, none per append. Written at once, so
 * that a crash loses none.
 *
 * @module
 */
import { destination, type Logger, pino } from 'pino';
import type { CheckedConfig } from './settings.js';

export function createLogger(level: CheckedConfig['logLevel']): Logger {
  return pino({ level, base: { pid: process.pid } }, destination({ fd: 1, sync: true }));
}
