/**
 * The Unix socket: listens under the directory's lock, accepts connections within their limit,
 * and tells clients where it is.
 *
 * @module
 */
import { chmodSync, lstatSync, unlinkSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { CONNECTIONS_MAX, DAEMON_BYTES_MAX, LISTEN_BACKLOG } from '../../shared/limits.js';
import { ByteBudget } from './byte-budget.js';
import { Connection } from './connection.js';
import type { ServerContext } from './context.js';
import { GatheringRoom } from './gathering.js';
import type { SubscriptionCounts } from './subscriptions.js';

export interface ListenerOptions {
  readonly socketPath: string;
  readonly socketMode: number;
  readonly context: ServerContext;
  readonly onProblem: (reason: string) => void;
}

/** The daemon's ear. */
export class Listener {
  readonly #options: ListenerOptions;
  readonly #server: Server;
  readonly #connections: Set<Connection> = new Set();
  readonly #budget: ByteBudget = new ByteBudget(DAEMON_BYTES_MAX);
  readonly #gatheringRoom: GatheringRoom = new GatheringRoom();

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: false }, (socket) => this.#accept(socket));
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** How many subscriptions are in which state. */
  subscriptionStates(): SubscriptionCounts {
    const states = { opening: 0, behind: 0, starved: 0, live: 0 };
    for (const connection of this.#connections) connection.countSubscriptions(states);
    return states;
  }

  /** Request bytes in flight, of all connections. */
  get requestBytes(): number {
    return this.#budget.used;
  }

  /** Replaces a stale socket and listens; the directory's lock must be held. */
  async listen(): Promise<void> {
    const { socketPath, socketMode } = this.#options;
    removeStale(socketPath);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      // The mode is right from the first moment: nobody connects before a chmod.
      const mask = process.umask(0o777 & ~socketMode);
      try {
        this.#server.listen({ path: socketPath, backlog: LISTEN_BACKLOG }, () => {
          this.#server.off('error', reject);
          resolve();
        });
      } finally {
        process.umask(mask);
      }
    });
    chmodSync(socketPath, socketMode);
  }

  /** Stops accepting; connections go on. */
  stopAccepting(): void {
    this.#server.close();
  }

  /** Refuses new calls, waits for the answers of those accepted, and closes the connections. */
  async drain(): Promise<void> {
    await Promise.all([...this.#connections].map((connection) => connection.drain()));
  }

  #accept(socket: Socket): void {
    if (this.#connections.size >= CONNECTIONS_MAX) {
      this.#options.onProblem(`more than ${CONNECTIONS_MAX} connections`);
      socket.destroy();
      return;
    }
    const connection = new Connection(socket, {
      context: this.#options.context,
      budget: this.#budget,
      gatheringRoom: this.#gatheringRoom,
      onClose: () => this.#connections.delete(connection),
      onProblem: this.#options.onProblem,
    });
    this.#connections.add(connection);
  }
}

function removeStale(socketPath: string): void {
  const stat = lstatSync(socketPath, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket())
    throw new Error(
      `${socketPath} exists and is no socket: move it away or choose another --socket`,
    );
  unlinkSync(socketPath);
}
