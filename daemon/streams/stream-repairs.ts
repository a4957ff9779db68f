/**
 * Repairs streams while the daemon serves: the stream waits for its turn and is out of service
 * while it is repaired; all others go on.
 *
 * @module
 */
import { StorageFailedError, StorageFullError } from '../../shared/errors.js';
import type { Committer } from '../commit/committer.js';
import type { Lane } from '../commit/lanes.js';
import type { RepairAction } from '../repair/actions.js';
import type { StreamPlan } from '../repair/plan-streams.js';
import type { Catalog } from '../storage/catalog.js';
import type { CatalogEntry } from '../storage/catalog-format.js';
import type { Layout, StreamName } from '../storage/layout.js';
import type { Hub } from '../subscriptions/hub.js';
import { type Failure, isNoRoom } from '../workers/failure.js';
import type { ScanResult, ScanTask } from '../workers/scan.worker.js';
import type { FileTable } from './file-table.js';
import type { LoadedStream } from './load.js';
import type { Stream } from './stream.js';
import type { StreamTable } from './stream-table.js';

export interface StreamRepairsOptions {
  readonly layout: Layout;
  readonly catalog: Catalog;
  readonly table: StreamTable;
  readonly committer: Committer;
  readonly files: FileTable;
  readonly hub: Hub;
  readonly scanLane: Lane<ScanTask, ScanResult>;
  /** Runs a checkpoint that covers all that is durable. */
  readonly cover: () => Promise<Failure | null>;
  readonly onFatal: (failure: Failure) => void;
  readonly onReport: (message: string, facts: object) => void;
}

/** What is, or was, to be done to a stream. */
export interface StreamRepair {
  readonly actions: readonly RepairAction[];
  readonly applied: boolean;
}

/** The repairs of single streams. */
export class StreamRepairs {
  readonly #options: StreamRepairsOptions;
  /** Repairs that have their turn. */
  #inTurn = 0;
  #settled: (() => void)[] = [];

  constructor(options: StreamRepairsOptions) {
    this.#options = options;
  }

  /**
   * Says what is to be done to a stream, and does it where it is told to.
   *
   * @throws StorageFullError, StorageFailedError
   */
  async repair(name: StreamName, apply: boolean): Promise<StreamRepair> {
    const { table, committer, catalog } = this.#options;
    const stream = table.hold(name);
    try {
      const problem = await table.fresh(stream).catch((error: Error) => error);
      if (problem !== undefined) {
        // What cannot be read takes no appends anyway; the check says why.
        const plan = await this.#plan(name, catalog.get(name));
        if (plan === null || plan.isPossible) throw problem;
        return { actions: plan.actions, applied: false };
      }
      await new Promise<void>((resolve, reject) => {
        const begin = (): void => {
          this.#inTurn += 1;
          resolve();
        };
        committer.enqueue({
          kind: 'repair',
          streams: [stream],
          settle: { resolve: begin, reject },
        });
      });
      return await this.#repairInTurn(stream, apply);
    } finally {
      table.release(stream);
    }
  }

  /** Waits until no repair has its turn. */
  async settled(): Promise<void> {
    if (this.#inTurn > 0) await new Promise<void>((resolve) => this.#settled.push(resolve));
  }

  async #repairInTurn(stream: Stream, apply: boolean): Promise<StreamRepair> {
    const { table, onReport } = this.#options;
    let end: 'untouched' | 'uncertain' | 'repaired' = 'untouched';
    try {
      const plan = await this.#plan(stream.name, stream.entry());
      const actions = plan?.actions ?? [];
      if (plan === null || !plan.isPossible || !apply) return { actions, applied: false };
      await this.#accountForLog(stream);
      end = 'uncertain';
      await this.#take(stream, await this.#carryOut(plan));
      end = 'repaired';
      onReport('a stream was repaired', { stream: stream.key, actions });
      return { actions, applied: true };
    } finally {
      stream.state = { kind: 'ready' };
      if (end === 'uncertain') table.reload(stream);
      table.wake(stream);
      this.#inTurn -= 1;
      if (this.#inTurn === 0) for (const resolve of this.#settled.splice(0)) resolve();
    }
  }

  async #plan(name: StreamName, entry: CatalogEntry | null): Promise<StreamPlan | null> {
    const { layout, scanLane } = this.#options;
    const done = await scanLane.run({ kind: 'plan-repair', layout, name, entry });
    if (done.kind !== 'plan-repair') throw new Error('the scan lane answered another task');
    if (!done.result.ok) throw this.#refusal(done.result.failure, 'not-committed');
    return done.result.value;
  }

  /** No line of the stream may be due from the log: recovery would look for it in the old files. */
  async #accountForLog(stream: Stream): Promise<void> {
    if (stream.files.some(({ unmarkedFrom }) => unmarkedFrom !== null)) {
      const why = 'some of its lines had no room in their file yet';
      throw new StorageFullError(`${stream.key}: ${why}; make room and repair it then`);
    }
    const failure = await this.#options.cover();
    if (failure !== null) throw this.#refusal(failure, 'not-committed');
  }

  async #carryOut(plan: StreamPlan): Promise<LoadedStream> {
    const { layout, scanLane } = this.#options;
    const done = await scanLane.run({ kind: 'repair', layout, plan });
    if (done.kind !== 'repair') throw new Error('the scan lane answered another task');
    if (!done.result.ok) throw this.#refusal(done.result.failure, 'unknown');
    if (done.result.value !== null) return done.result.value;
    const why = 'another program wrote to its files meanwhile; nothing was replaced';
    throw new StorageFailedError(`${why}, repair it again`, 'not-committed');
  }

  /** Once the log knows what the files hold now, the fence is gone for good. */
  async #take(stream: Stream, loaded: LoadedStream): Promise<void> {
    const { table, committer, files, hub } = this.#options;
    const { generation } = stream;
    // Of a stream without a life there is nothing to know.
    if (generation !== 0) {
      await new Promise((resolve, reject) => {
        const settle = { resolve, reject };
        const nothingElse = { ended: null, removedRuns: [] };
        committer.enqueue({
          kind: 'adopt',
          streams: [stream],
          loaded,
          generation,
          ...nothingElse,
          settle,
        });
      });
    }
    for (const file of stream.files) files.forget(file);
    stream.fill(loaded, generation);
    table.changed(stream);
    table.counts.fileSyncs += loaded.syncs.files;
    table.counts.directorySyncs += loaded.syncs.directories;
    hub.reread(stream);
  }

  #refusal(failure: Failure, outcome: 'not-committed' | 'unknown'): Error {
    const { path, message } = failure;
    if (failure.phase === 'sync') this.#options.onFatal(failure);
    return isNoRoom(failure)
      ? new StorageFullError(`no room to repair it: ${message}; make room and repair it again`)
      : new StorageFailedError(
          `${path}: ${message}; mend what is wrong and repair it again`,
          outcome,
        );
  }
}
