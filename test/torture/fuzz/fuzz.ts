/** Hostile clients against a real daemon, while good clients work that must not notice. */
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../../../client/index.js';
import { type SizeLimits, sizeLimits } from '../../../shared/limits.js';
import type { DaemonProcess } from '../../support/daemon.js';
import { offlineCommand } from '../../support/offline.js';
import { type Conversation, conversationOf, framesIn, probeOf } from './conversations.js';
import { Finding, PATIENCE_MS } from './finding.js';
import { startFuzzedDaemon, withScope } from './fuzzed-daemon.js';
import { type GoodClients, startGoodClients } from './good-clients.js';
import type { GoodReport } from './good-clients.process.js';
import { memoryBound, memoryOf } from './memory.js';
import { play } from './player.js';

export interface FuzzOptions {
  readonly seed: number;
  /** Conversations begin until so many frames were sent. */
  readonly frames: number;
  /** Conversations at the same time. */
  readonly connections: number;
  readonly segmentBytes: number;
  readonly onProgress: (line: string) => void;
}

/** How a run went. */
export interface FuzzReport {
  readonly seed: number;
  readonly frames: number;
  readonly conversations: number;
  readonly kinds: Readonly<Record<string, number>>;
  readonly seconds: number;
  readonly peakBytes: number | null;
  readonly boundBytes: number;
  readonly good: GoodReport;
}

/** Connections that are left open, the oldest torn off first. */
const LEFT_MAX = 24;
/** Of the good clients, the probe, and whoever asks for the stats. */
const OTHER_CONNECTIONS = 5;
const PROBE_MS = 500;
const SAMPLE_MS = 50;
const PROGRESS_MS = 5_000;
/** Subscriptions that the good clients keep open at most: see there. */
const GOOD_SUBSCRIPTIONS = 3;

/**
 * Lets hostile clients loose on a daemon.
 *
 * @throws Finding for anything that must not be
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  return await withScope(async (scope) => {
    const daemon = await startFuzzedDaemon(scope, options.segmentBytes);
    const good = startGoodClients(scope, { dir: daemon.dir, seed: options.seed });
    return await new Fuzz(options, daemon, good).run();
  });
}

class Fuzz {
  readonly #options: FuzzOptions;
  readonly #daemon: DaemonProcess;
  readonly #good: GoodClients;
  readonly #limits: SizeLimits;
  readonly #pid: number;
  readonly #boundBytes: number;
  readonly #running: Map<number, Conversation> = new Map();
  readonly #left: (() => void)[] = [];
  readonly #kinds: Record<string, number> = {};
  readonly #stop = new AbortController();
  #next = 0;
  #frames = 0;
  #finding: Finding | null = null;

  constructor(options: FuzzOptions, daemon: DaemonProcess, good: GoodClients) {
    this.#options = options;
    this.#daemon = daemon;
    this.#good = good;
    this.#limits = sizeLimits(options.segmentBytes);
    this.#pid = daemon.process.pid as number;
    const idle = memoryOf(this.#pid)?.now ?? 0;
    const connections = options.connections + LEFT_MAX + OTHER_CONNECTIONS;
    this.#boundBytes = memoryBound(idle, connections, this.#limits);
  }

  async run(): Promise<FuzzReport> {
    const began = performance.now();
    void this.#daemon.ended.then((code) => {
      this.#found(
        new Finding(`the daemon ended with ${code}: ${this.#daemon.output().slice(-4000)}`),
      );
    });
    void this.#good.told.then(({ finding }) => {
      if (finding !== null) this.#found(new Finding(finding));
    });
    const aside = [this.#probe(), this.#sample(), this.#progress()];
    await Promise.all(Array.from({ length: this.#options.connections }, () => this.#talk()));
    for (const leave of this.#left.splice(0)) leave();
    if (this.#finding === null) await this.#attempt(() => this.#settled());
    this.#stop.abort();
    await Promise.all(aside);
    const peak = memoryOf(this.#pid)?.peak ?? null;
    if (peak !== null) this.#checkMemory(peak);
    const good = await this.#ended();
    if (this.#finding !== null) throw this.#finding;
    return {
      seed: this.#options.seed,
      frames: this.#frames,
      conversations: this.#next,
      kinds: this.#kinds,
      seconds: Math.round((performance.now() - began) / 100) / 10,
      peakBytes: peak,
      boundBytes: this.#boundBytes,
      good,
    };
  }

  /** One conversation after the other. */
  async #talk(): Promise<void> {
    while (this.#finding === null && this.#frames < this.#options.frames) {
      const conversation = conversationOf(this.#options.seed, this.#next, this.#limits);
      this.#next += 1;
      this.#frames += framesIn(conversation);
      this.#kinds[conversation.kind] = (this.#kinds[conversation.kind] ?? 0) + 1;
      this.#running.set(conversation.index, conversation);
      await this.#attempt(async () => {
        const leave = await play(conversation, this.#daemon.socketPath);
        if (leave !== null) this.#left.push(leave);
      });
      this.#running.delete(conversation.index);
      while (this.#left.length > LEFT_MAX) this.#left.shift()?.();
    }
  }

  async #attempt(step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      this.#found(error instanceof Finding ? error : new Finding(String(error)));
    }
  }

  /** The first finding counts; what follows may come of it. */
  #found(finding: Finding): void {
    if (this.#stop.signal.aborted) return;
    const suspects =
      finding.conversations.length > 0 ? finding.conversations : [...this.#running.values()];
    this.#finding ??= new Finding(finding.message, suspects);
  }

  /** Somebody is served in time, all the while. */
  async #probe(): Promise<void> {
    await this.#every(PROBE_MS, () => play(probeOf(this.#limits), this.#daemon.socketPath));
  }

  async #sample(): Promise<void> {
    await this.#every(SAMPLE_MS, async () => {
      const memory = memoryOf(this.#pid);
      if (memory !== null) this.#checkMemory(memory.now);
    });
  }

  async #progress(): Promise<void> {
    await this.#every(PROGRESS_MS, async () => {
      const mib = Math.round((memoryOf(this.#pid)?.now ?? 0) / 2 ** 20);
      this.#options.onProgress(
        `${this.#frames} frames, ${this.#next} conversations, the daemon takes ${mib} MiB`,
      );
    });
  }

  async #every(ms: number, step: () => Promise<unknown>): Promise<void> {
    while (!this.#stop.signal.aborted && this.#finding === null) {
      await this.#attempt(async () => {
        await step();
      });
      await delay(ms, null, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  #checkMemory(bytes: number): void {
    if (bytes <= this.#boundBytes) return;
    const mib = (of: number): number => Math.round(of / 2 ** 20);
    this.#found(
      new Finding(`the daemon takes ${mib(bytes)} MiB, its limits allow ${mib(this.#boundBytes)}`),
    );
  }

  /** With the hostile clients gone, nothing of them is left. */
  async #settled(): Promise<void> {
    const log = await connect({ dir: this.#daemon.dir, timeoutMs: PATIENCE_MS });
    try {
      const deadline = performance.now() + PATIENCE_MS;
      for (;;) {
        const { connections, subscriptions, queued, health } = await log.stats();
        const isOver =
          connections <= OTHER_CONNECTIONS && subscriptions <= GOOD_SUBSCRIPTIONS + 2 + 1;
        if (isOver && queued === 0 && health === 'ok') return;
        if (performance.now() > deadline) {
          const what = JSON.stringify({ connections, subscriptions, queued, health });
          throw new Finding(`the hostile clients are gone, and not what was theirs: ${what}`);
        }
        await delay(SAMPLE_MS);
      }
    } finally {
      await log.close();
    }
  }

  /** Ends the good clients and the daemon, and looks at what is on disk. */
  async #ended(): Promise<GoodReport> {
    if (this.#finding !== null) {
      await this.#daemon.kill('SIGKILL');
      return await this.#good.finish();
    }
    const good = await this.#good.finish();
    if (good.finding !== null) throw new Finding(good.finding);
    const code = await this.#daemon.stop();
    if (code !== 0) throw new Finding(`the daemon stopped with ${code}: ${this.#daemon.output()}`);
    const verified = await offlineCommand(this.#daemon.dir, ['verify']);
    if (verified.code !== 0)
      throw new Finding(`verify: ${JSON.stringify(verified.rows.slice(0, 20))} ${verified.stderr}`);
    return good;
  }
}
