/**
 * The daemon's log: one JSON line per event that matters, none per append. Written at once, so
 * that a crash loses none.
 *
 * @module
 */
import { destination, type Logger, pino, stdSerializers } from 'pino';
import type { CheckedConfig } from './settings.js';

export function createLogger(level: CheckedConfig['logLevel']): Logger {
  const options = { level, base: { pid: process.pid }, serializers: { error: stdSerializers.err } };
  return pino(options, destination({ fd: 1, sync: true }));
}
