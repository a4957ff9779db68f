/** A whole torture: acts of a seed's plan until the time is over. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Scope } from '../support/scope.js';
import { doFault } from './faults.js';
import { finish } from './finale.js';
import { now } from './history.js';
import type { Finding } from './ledger.js';
import { type Act, planOf } from './plan.js';
import type { RunReport } from './report.js';
import { Stage } from './stage.js';

/** The end of an act takes this at least, and on a busy machine about as long as two steps. */
const FINALE_MS = 3_000;
const FINALE_STEPS = 2;
/** What ends by itself may take so long. */
const END_MS = 4_000;
/** Nothing that is done takes so long, on a busy machine either. */
const HANG_MS = 15_000;
/** Past the end by so much a run is stopped where it is. */
const OVERTIME_MS = 4_000;

export interface RunOptions {
  readonly seed: number;
  readonly minutes: number;
  /** Keeps the directory also of a run without findings. */
  readonly keep: boolean;
}

/** Ends what it was told of, the last first. */
class Ends implements Scope {
  readonly #ends: (() => unknown)[] = [];
  #isClosed = false;

  /** What begins after the end is ended at once. */
  teardown(end: () => unknown): void {
    if (this.#isClosed) void end();
    else this.#ends.push(end);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const end of this.#ends.splice(0).reverse()) {
      const ending = (async () => await end())();
      // What one leaves behind must not keep the others; a client waits for a dead daemon.
      await Promise.race([ending.catch(() => undefined), delay(END_MS)]);
    }
  }
}

export class Run {
  readonly #options: RunOptions;
  readonly #folder: string;
  readonly #began = performance.now();
  readonly #deadline: number;
  readonly #findings: Finding[] = [];
  #ends = new Ends();
  /** How long a step takes, by those before, the last of which count most. */
  #stepMs = 0;
  readonly #faults: Record<string, number> = {};
  readonly #skipped: Record<string, number> = {};
  #sums = { acts: 0, requests: 0, acknowledged: 0, refused: 0, unknown: 0, recoveries: 0 };

  constructor(options: RunOptions) {
    this.#options = options;
    this.#deadline = this.#began + options.minutes * 60_000;
    this.#folder = mkdtempSync(join(tmpdir(), `el-torture-${options.seed}-`));
  }

  /** Ends all processes and disks of the act that is played. */
  async abort(): Promise<void> {
    await this.#ends.close();
  }

  /** Does as many acts as the time allows, until one has findings. */
  async run(): Promise<RunReport> {
    const { seed, keep } = this.#options;
    for (const act of planOf(seed)) {
      if (this.#sums.acts > 0 && !this.#hasTimeFor(0)) break;
      await this.#perform(act);
      if (this.#findings.length > 0) break;
    }
    const isKept = keep || this.#findings.length > 0;
    if (!isKept) rmSync(this.#folder, { recursive: true });
    return {
      seeds: [seed],
      seconds: (performance.now() - this.#began) / 1000,
      ...this.#sums,
      faults: this.#faults,
      skipped: this.#skipped,
      findings: this.#findings,
      folders: isKept ? [this.#folder] : [],
    };
  }

  async #perform(act: Act): Promise<void> {
    const folder = join(this.#folder, `act-${act.number}`);
    mkdirSync(folder);
    const ends = new Ends();
    this.#ends = ends;
    const stage = await Stage.make(ends, folder, act);
    const watch = new AbortController();
    const overtime = delay(this.#left() + OVERTIME_MS, undefined, { signal: watch.signal }).then(
      () => this.#breakOff(stage),
      () => undefined,
    );
    try {
      await Promise.race([this.#play(stage), overtime]);
    } catch (error) {
      stage.note('failed', { error: String((error as Error).stack ?? error) });
      if (stage.ledger.findings.length === 0) stage.ledger.find('driver', String(error));
    } finally {
      watch.abort();
      await ends.close();
    }
    this.#count(stage);
    if (stage.ledger.findings.length === 0 && !this.#options.keep)
      rmSync(folder, { recursive: true });
  }

  async #play(stage: Stage): Promise<void> {
    await this.#timed(() => stage.open());
    for (const { answers, fault } of stage.act.steps) {
      const pauseMs = 'ms' in fault ? fault.ms : 0;
      if (!this.#hasTimeFor(pauseMs)) break;
      await stage.answers(answers);
      stage.note('fault', fault);
      const done = await this.#timed(() => doFault(stage, fault), pauseMs);
      const counts = done === 'done' ? this.#faults : this.#skipped;
      counts[fault.kind] = (counts[fault.kind] ?? 0) + 1;
      if (stage.ledger.findings.length > 0) return;
    }
    await finish(stage);
  }

  #count({ ledger, recoveries }: Stage): void {
    const { requests, acknowledged, refused, unknown } = ledger.counts;
    this.#sums = {
      acts: this.#sums.acts + 1,
      requests: this.#sums.requests + requests,
      acknowledged: this.#sums.acknowledged + acknowledged,
      refused: this.#sums.refused + refused,
      unknown: this.#sums.unknown + unknown,
      recoveries: this.#sums.recoveries + recoveries,
    };
    this.#findings.push(...ledger.findings);
  }

  /** A machine that is too busy cannot come to the end in time; what hangs never would. */
  #breakOff({ doing, ledger }: Stage): void {
    const ms = Math.round((now() - doing.since) / 1000);
    if (ms > HANG_MS) ledger.find('time', `nothing has happened for ${ms} ms after: ${doing.what}`);
    else this.#skipped['end'] = (this.#skipped['end'] ?? 0) + 1;
  }

  /** Whether another step can be begun, with time left for the end. */
  #hasTimeFor(waitMs: number): boolean {
    const finaleMs = Math.max(FINALE_MS, FINALE_STEPS * this.#stepMs);
    return this.#left() > waitMs + this.#stepMs + finaleMs;
  }

  /** @param pauseMs how much of the step is waiting */
  async #timed<T>(step: () => Promise<T>, pauseMs = 0): Promise<T> {
    const began = performance.now();
    try {
      return await step();
    } finally {
      const ms = performance.now() - began - pauseMs;
      this.#stepMs = (this.#stepMs + ms) / 2;
    }
  }

  #left(): number {
    return this.#deadline - performance.now();
  }
}
