/**
 * The composition root: builds the daemon from its parts, starts it and stops it.
 *
 * States: starting → serving → draining → stopped. It listens only under the lock and after
 * recovery; it ends cleanly only with no append unanswered and everything in a checkpoint.
 *
 * @module
 */
import cluster from 'node:cluster';
import type { Logger } from 'pino';
import { FormatVersionError, LogCorruptError, StorageFailedError } from '../shared/errors.js';
import { sizeLimits } from '../shared/limits.js';
import { Lane } from './commit/lanes.js';
import { checkConfig, folderMode } from './config.js';
import {
  checkFormat,
  prepareDirectory,
  removeLeftovers,
  usableSocketPath,
  writeEndpoint,
} from './directory.js';
import { type DirectoryLock, lockDirectory } from './directory-lock.js';
import { parseHttpAddress } from './http/address.js';
import { HttpServer } from './http/http-server.js';
import { createLogger } from './logger.js';
import { Exposition } from './metrics/exposition.js';
import { type DaemonState, type DaemonStatus, type Measures, statsOf } from './metrics/measures.js';
import type { Recovered, RecoveryTask } from './recovery/recover.js';
import { Listener } from './server/listener.js';
import type { CheckedConfig, DaemonConfig } from './settings.js';
import { type Layout, layoutOf } from './storage/layout.js';
import { Store } from './store.js';
import { packageVersion } from './version.js';
import type { Failure } from './workers/failure.js';
import type { RecoveryResult } from './workers/recovery.worker.js';

const LOCK_CHECK_MS = 5_000;

/** How a daemon ended. */
export type DaemonEnd =
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly message: string };

/** A daemon that runs. */
export interface Daemon {
  /** The journal directory, absolute. */
  readonly dir: string;
  /** Where it listens. */
  readonly socketPath: string;
  /** Where it serves health and metrics, such as `http://127.0.0.1:9464`; null where it does not. */
  readonly httpUrl: string | null;
  /** What it counted so far and how big things are. */
  measures(): Measures;
  /** Drains and stops it; resolves when it has stopped. */
  close(): Promise<void>;
  /** Resolves when it has ended, by `close` or by a failure after which it must not go on. */
  readonly closed: Promise<DaemonEnd>;
}

/**
 * Starts a daemon on a journal directory.
 *
 * @param config what differs from the defaults
 * @returns the daemon, which listens
 * @throws LockHeldError when another process owns the directory
 * @throws LogCorruptError when what was durable is damaged
 * @throws FormatVersionError when a newer eventlogd wrote the directory
 * @throws InvalidArgumentError when a setting is not of its form
 * @example
 * const daemon = await startDaemon({ dir: './data' });
 * console.log(`listening on ${daemon.socketPath}`);
 * await daemon.close();
 */
export async function startDaemon(config: DaemonConfig = {}): Promise<Daemon> {
  if (cluster.isWorker) {
    throw new Error(
      'eventlogd must not run as a cluster worker: start it in fork mode, one instance',
    );
  }
  const checked = checkConfig(config);
  const layout = layoutOf(checked.dir);
  const logger = createLogger(checked.logLevel);
  prepareDirectory(layout, folderMode(checked.fileMode));
  const lock = lockDirectory(layout.lock);
  let running: RunningDaemon | null = null;
  const http = new HttpServer({
    status: () => running?.status() ?? { state: 'starting', health: 'ok', reason: '' },
    metrics: async () => (await running?.metrics()) ?? null,
    onProblem: (error) => logger.warn({ error }, 'the HTTP port failed'),
  });
  try {
    const address = parseHttpAddress(checked.http);
    const httpUrl = address === null ? null : await http.listen(address);
    checkFormat(layout);
    removeLeftovers(layout);
    const modes = { file: checked.fileMode, folder: folderMode(checked.fileMode) };
    const recovered = await recover({ layout, modes });
    const {
      notes,
      segments,
      catalog: _catalog,
      behind: _behind,
      trash: _trash,
      ...facts
    } = recovered;
    for (const note of notes) logger.warn(note, `recovery: ${note.path}: ${note.detail}`);
    logger.info({ ...facts, segments: segments.length }, 'recovered');
    const options = { config: checked, layout, logger, lock, recovered, http, httpUrl };
    running = new RunningDaemon(options);
    return await running.start();
  } catch (error) {
    await http.close();
    lock.release();
    throw error;
  }
}

/** Recovery on its own thread, which ends with it. */
async function recover(task: RecoveryTask): Promise<Recovered> {
  const lane = new Lane<RecoveryTask, RecoveryResult>('recovery.worker.js', () => undefined);
  try {
    const result = await lane.run(task);
    switch (result.kind) {
      case 'recovered':
        return result.recovered;
      case 'corrupt':
        throw new LogCorruptError(result.file, result.offset, result.message);
      case 'format':
        throw new FormatVersionError(result.message);
      case 'failed':
        throw new StorageFailedError(
          `recovery failed: ${result.failure.path}: ${result.failure.message}`,
          'not-committed',
        );
      default:
        return result satisfies never;
    }
  } finally {
    await lane.close();
  }
}

interface RunningOptions {
  readonly config: CheckedConfig;
  readonly layout: Layout;
  readonly logger: Logger;
  readonly lock: DirectoryLock;
  readonly recovered: Recovered;
  readonly http: HttpServer;
  readonly httpUrl: string | null;
}

class RunningDaemon implements Daemon {
  readonly dir: string;
  readonly socketPath: string;
  readonly httpUrl: string | null;
  readonly closed: Promise<DaemonEnd>;
  readonly #options: RunningOptions;
  readonly #store: Store;
  readonly #listener: Listener;
  readonly #refusals: Map<string, number> = new Map();
  readonly #exposition: Exposition;
  #state: DaemonState = 'starting';
  #end: (end: DaemonEnd) => void = () => undefined;
  #stopping: Promise<void> | null = null;
  #lockCheck: NodeJS.Timeout | undefined;

  constructor(options: RunningOptions) {
    this.#options = options;
    const { config, layout, logger, recovered } = options;
    this.dir = layout.dir;
    this.socketPath = usableSocketPath(config.socketPath, layout.dir);
    this.httpUrl = options.httpUrl;
    this.#exposition = new Exposition(layout.dir, () => this.measures());
    this.closed = new Promise((resolve) => {
      this.#end = resolve;
    });
    const limits = sizeLimits(config.segmentBytes, config.eventBytesMax);
    this.#store = new Store({
      config,
      layout,
      limits,
      logger,
      recovered,
      onFatal: (failure) => this.#fatal(failure),
    });
    this.#listener = new Listener({
      socketPath: this.socketPath,
      socketMode: config.socketMode,
      context: {
        layout,
        limits,
        store: this.#store,
        epoch: recovered.epoch,
        version: packageVersion(),
        refusals: this.#refusals,
        stats: () => this.#stats(),
      },
      onProblem: (reason) => logger.warn({ reason }, 'connection problem'),
    });
  }

  async start(): Promise<this> {
    try {
      await this.#store.start();
      await this.#listener.listen();
      writeEndpoint(this.#options.layout, this.socketPath);
    } catch (error) {
      // Its threads would keep the process alive.
      await this.#store.close();
      throw error;
    }
    this.#lockCheck = setInterval(() => this.#checkLock(), LOCK_CHECK_MS).unref();
    this.#state = 'serving';
    const { socketPath, httpUrl } = this;
    this.#options.logger.info({ socketPath, httpUrl }, 'serving');
    return this;
  }

  status(): DaemonStatus {
    const { health, healthReason: reason } = this.#store.committer;
    return { state: this.#state, health, reason };
  }

  measures(): Measures {
    return {
      store: this.#store.measures(),
      open: this.#store.streamTotals(),
      status: this.status(),
      connections: this.#listener.connections,
      requestBytes: this.#listener.requestBytes,
      subscriptions: this.#listener.subscriptionStates(),
      refusals: this.#refusals,
      version: packageVersion(),
    };
  }

  #stats(): object {
    const [store, status] = [this.#store.measures(), this.status()];
    return statsOf({ store, status, connections: this.#listener.connections });
  }

  async metrics(): Promise<{ readonly type: string; readonly text: string }> {
    return { type: this.#exposition.contentType, text: await this.#exposition.text() };
  }

  close(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#state = 'draining';
    this.#options.logger.info({ connections: this.#listener.connections }, 'draining');
    this.#listener.stopAccepting();
    await Promise.all([this.#store.backups.close(), this.#listener.drain()]);
    // What failed meanwhile must not end in a checkpoint.
    if (!this.#isDraining()) return;
    const problem = await this.#store.stop();
    await this.#cease(
      problem === null ? { kind: 'stopped' } : { kind: 'failed', message: problem },
    );
  }

  #isDraining(): boolean {
    return this.#state === 'draining';
  }

  /** Nothing is certain any more: nothing more is acknowledged, the rest is recovery's. */
  #fatal(failure: Failure): void {
    if (this.#state === 'stopped' || this.#state === 'failing') return;
    this.#options.logger.fatal({ failure }, 'storage failed; stopping without a checkpoint');
    this.#state = 'failing';
    this.#listener.stopAccepting();
    this.#store.committer.failNow(failure);
    void this.#store.backups.close();
    const message = `${failure.path}: ${failure.message}`;
    this.#stopping = this.#listener.drain().then(() => this.#cease({ kind: 'failed', message }));
  }

  /** Without its lock file another daemon could start: this one must not go on. */
  #checkLock(): void {
    const { lock, layout } = this.#options;
    if (lock.isIntact()) return;
    const message = 'the lock file was removed or replaced';
    this.#fatal({ phase: 'sync', code: 'LOCK', path: layout.lock, message });
  }

  async #cease(end: DaemonEnd): Promise<void> {
    if (this.#state === 'stopped') return;
    this.#state = 'stopped';
    clearInterval(this.#lockCheck);
    await this.#store.close();
    await this.#options.http.close();
    this.#options.lock.release();
    if (end.kind === 'stopped') this.#options.logger.info('stopped');
    this.#end(end);
  }
}
