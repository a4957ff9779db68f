/** All that is measured. */
import { bare } from './bare.js';
import { eventlogd } from './eventlogd.js';
import { oldWay } from './old-way.js';
import type { Peer } from './peer.js';
import { redis } from './redis.js';
import { sqlite } from './sqlite.js';

export const PEERS: readonly Peer[] = [eventlogd, bare, redis, sqlite, oldWay];
