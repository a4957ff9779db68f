/** Hostile clients against a real daemon, while good clients work that must not notice. */
import { setTimeout as delay } from 'node:timers/promises';
import { type SizeLimits, sizeLimits } from '../../../shared/limits.js';
import type { DaemonProcess } from '../../support/daemon.js';
import { checkAfterwards, checkSettled } from './aftermath.js';
import { type Conversation, conversationOf, framesIn, probeOf } from './conversations.js';
import { findCulprit } from './culprit.js';
import { Finding } from './finding.js';
import { type FuzzedDaemon, startFuzzedDaemon, withScope } from './fuzzed-daemon.js';
import { type GoodClients, startGoodClients } from './good-clients.js';
import type { GoodReport } from './good-clients.process.js';
import { memoryBound, memoryOf } from './memory.js';
import { play } from './player.js';

export interface FuzzOptions extends FuzzedDaemon {
  readonly seed: number;
  /** Conversations begin until so many frames were sent. */
  readonly frames: number;
  /** Conversations at the same time. */
  readonly connections: number;
  readonly onProgress: (line: string) => void;
}

/** How a run went that has no finding. */
export interface FuzzReport {
  readonly seed: number;
  readonly frames: number;
  readonly conversations: number;
  /** How many of each kind. */
  readonly kinds: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** The most memory that the daemon took, where the system tells. */
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
/** Within which the end of a process is told. */
const DEATH_MS = 1_000;
const PROGRESS_MS = 5_000;

/**
 * Lets hostile clients loose on a daemon.
 *
 * @throws Finding for anything that must not be
 */
export async function fuzz(options: FuzzOptions): Promise<FuzzReport> {
  try {
    return await withScope(async (scope) => {
      const daemon = await startFuzzedDaemon(scope, options);
      const good = startGoodClients(scope, { dir: daemon.dir, seed: options.seed });
      return await new Fuzz(options, daemon, good).run();
    });
  } catch (error) {
    if (!(error instanceof Finding) || !error.isDeath) throw error;
    const culprit = await findCulprit(error.conversations, options);
    throw culprit === null ? error : new Finding(error.message, [culprit]);
  }
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
  readonly #over = new AbortController();
  #next = 0;
  #frames = 0;
  #finding: Finding | null = null;

  constructor(options: FuzzOptions, daemon: DaemonProcess, good: GoodClients) {
    this.#options = options;
    this.#daemon = daemon;
    this.#good = good;
    this.#limits = sizeLimits(options.segmentBytes);
    this.#pid = daemon.process.pid as number;
    const connections = options.connections + LEFT_MAX + OTHER_CONNECTIONS;
    const idleBytes = memoryOf(this.#pid)?.now ?? 0;
    this.#boundBytes = memoryBound({ idleBytes, connections, limits: this.#limits });
  }

  async run(): Promise<FuzzReport> {
    const began = performance.now();
    void this.#daemon.ended.then((code) => this.#died(code));
    void this.#good.told.then(({ finding }) => {
      if (finding !== null) void this.#foundUnlessDead(new Finding(finding));
    });
    const aside = [this.#probe(), this.#sample(), this.#progress()];
    await Promise.all(Array.from({ length: this.#options.connections }, () => this.#talk()));
    for (const leave of this.#left.splice(0)) leave();
    if (this.#finding === null) await this.#attempt(() => checkSettled(this.#daemon.dir));
    this.#over.abort();
    await Promise.all(aside);
    const peakBytes = memoryOf(this.#pid)?.peak ?? null;
    if (this.#finding !== null) throw this.#finding;
    const good = await checkAfterwards(this.#daemon, this.#good, this.#limits);
    return {
      seed: this.#options.seed,
      frames: this.#frames,
      conversations: this.#next,
      kinds: this.#kinds,
      seconds: Math.round((performance.now() - began) / 100) / 10,
      peakBytes,
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

  async #attempt(step: () => Promise<unknown>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (!(error instanceof Finding)) throw error;
      await this.#foundUnlessDead(error);
    }
  }

  /** That connections end says less than the daemon's own end, which may be about to be told. */
  async #foundUnlessDead(finding: Finding): Promise<void> {
    await Promise.race([this.#daemon.ended, delay(DEATH_MS)]);
    this.#found(finding);
  }

  /** The first finding counts: what follows may come of it. */
  #found({ message, conversations, isDeath }: Finding): void {
    if (this.#over.signal.aborted) return;
    const suspects = conversations.length > 0 ? conversations : [...this.#running.values()];
    this.#finding ??= new Finding(message, suspects, isDeath);
  }

  #died(code: number | null): void {
    const output = this.#daemon.output().slice(-4_000);
    this.#found(new Finding(`the daemon ended with ${code}: ${output}`, [], true));
  }

  /** Somebody who does nothing wrong is served in time, all the while. */
  async #probe(): Promise<void> {
    await this.#every(PROBE_MS, () => play(probeOf(this.#limits), this.#daemon.socketPath));
  }

  async #sample(): Promise<void> {
    await this.#every(SAMPLE_MS, async () => {
      const memory = memoryOf(this.#pid);
      if (memory === null || memory.peak <= this.#boundBytes) return;
      const [peak, bound] = [memory.peak, this.#boundBytes].map(inMib);
      this.#found(new Finding(`the daemon takes ${peak} MiB, its limits allow ${bound}`));
    });
  }

  async #progress(): Promise<void> {
    await this.#every(PROGRESS_MS, async () => {
      const mib = inMib(memoryOf(this.#pid)?.now ?? 0);
      this.#options.onProgress(
        `${this.#frames} frames, ${this.#next} conversations, the daemon takes ${mib} MiB`,
      );
    });
  }

  async #every(ms: number, step: () => Promise<unknown>): Promise<void> {
    while (!this.#over.signal.aborted && this.#finding === null) {
      await this.#attempt(step);
      await delay(ms, null, { signal: this.#over.signal }).catch(() => undefined);
    }
  }
}

function inMib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
