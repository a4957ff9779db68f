/** What the figures were measured on: without it they say nothing. */
import { closeSync, fdatasyncSync, openSync, statfsSync, writeSync } from 'node:fs';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { PEERS } from './peers/peers.js';
import { percentile } from './statistics.js';

const SYNCS = 500;
const SYNC_BYTES = 256;
/** From linux/magic.h. */
const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  0xef53: 'ext4',
  0x01021994: 'tmpfs',
  0x794c7630: 'overlay',
  0x58465342: 'XFS',
  0x9123683e: 'Btrfs',
};

export interface Machine {
  readonly cpus: string;
  readonly memoryGiB: number;
  readonly system: string;
  readonly node: string;
  readonly fileSystem: string;
  /** Of a write of 256 bytes at the end of a file and its fdatasync. */
  readonly fsyncMs: { readonly p50: number; readonly p99: number };
  /** Processes that wanted a core when the run began and when it ended; more than cores: noise. */
  readonly load: { readonly before: number; after: number };
  /** What took part, with its version, or why it did not. */
  readonly peers: Readonly<Record<string, string>>;
}

/** Looks at the machine; the folder is on the disk that is measured. */
export async function lookAtMachine(folder: string): Promise<Machine> {
  const [cpu] = cpus();
  const peers: Record<string, string> = {};
  for (const peer of PEERS) {
    const presence = await peer.presence();
    peers[peer.title] =
      'version' in presence ? presence.version : `not measured: ${presence.missing}`;
  }
  const { type } = statfsSync(folder);
  const load = loadavg()[0] ?? Number.NaN;
  return {
    cpus: `${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}`,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()} ${process.arch}`,
    node: process.version,
    fileSystem: FILE_SYSTEMS[type] ?? `0x${type.toString(16)}`,
    fsyncMs: fsyncCost(folder),
    load: { before: load, after: load },
    peers,
  };
}

function fsyncCost(folder: string): Machine['fsyncMs'] {
  const fd = openSync(join(folder, 'fsync-cost'), 'a', 0o600);
  const bytes = Buffer.alloc(SYNC_BYTES, 'x');
  const costs = Float64Array.from({ length: SYNCS }, () => {
    const began = performance.now();
    writeSync(fd, bytes);
    fdatasyncSync(fd);
    return performance.now() - began;
  }).sort();
  closeSync(fd);
  return { p50: percentile(costs, 0.5), p99: percentile(costs, 0.99) };
}
