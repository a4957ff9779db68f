/**
 * A peer with its client processes, kept up over all repetitions of a measure, so that each turn
 * meets warm code and only one contestant works at a time.
 */
import { fileURLToPath } from 'node:url';
import type { Peer, Served } from '../peers/peer.js';
import { sortedFrom } from '../statistics.js';
import type { Disk } from '../support/disk.js';
import { cpuSeconds, type Running } from '../support/processes.js';
import { ask, startClient } from './children.js';
import type { LoadDone, LoadOrder } from './load-messages.js';

const PROGRAM = fileURLToPath(new URL('./load.process.js', import.meta.url));
const CONTENT_BYTES = 200;

/** What came of one turn. */
export interface Slice {
  readonly appends: number;
  readonly appendsPerSecond: number;
  /** Of all clients, ascending. */
  readonly latenciesMs: Float64Array;
  readonly parts: readonly LoadDone[];
  /** CPU of the server and of all clients, in seconds; null where unknown. */
  readonly serverCpuSeconds: number | null;
  readonly clientCpuSeconds: number;
}

export interface ContestantPlan {
  readonly peer: Peer;
  /** Its name in figures; peers may take part in several ways. */
  readonly title: string;
  readonly clients: number;
  readonly inFlight: number;
  readonly disk: Disk;
}

/** What of a turn differs from the usual: one stream, events of usual size. */
export type SliceOrder = Pick<LoadOrder, 'seconds'> &
  Partial<Pick<LoadOrder, 'firstStream' | 'streams' | 'contentBytes'>>;

export class Contestant implements AsyncDisposable {
  readonly title: string;
  readonly served: Served;
  readonly #clients: readonly Running[];
  readonly #inFlight: number;

  private constructor(plan: ContestantPlan, served: Served, clients: readonly Running[]) {
    this.title = plan.title;
    this.served = served;
    this.#clients = clients;
    this.#inFlight = plan.inFlight;
  }

  static async start(plan: ContestantPlan, folder: string): Promise<Contestant> {
    const { peer, disk } = plan;
    const served = await peer.serve(folder, disk);
    const clients = Array.from({ length: plan.clients }, () =>
      startClient(PROGRAM, served.target, peer.clientEnvironment(disk)),
    );
    return new Contestant(plan, served, await Promise.all(clients));
  }

  /** All clients append for so long. */
  async slice({ seconds, ...rest }: SliceOrder): Promise<Slice> {
    const { firstStream = 0, streams = 1, contentBytes = CONTENT_BYTES } = rest;
    const inFlight = this.#inFlight;
    const cpuBefore = this.#serverCpu();
    const parts = await Promise.all(
      this.#clients.map(async (client, at) => {
        const offset = Math.floor((at * streams) / this.#clients.length);
        const order = { seconds, inFlight, firstStream, streams, offset, contentBytes };
        return await ask<LoadDone>(client, order satisfies LoadOrder);
      }),
    );
    const cpuAfter = this.#serverCpu();
    const latenciesMs = sortedFrom(parts.map((part) => part.latenciesMs));
    return {
      appends: latenciesMs.length,
      appendsPerSecond: parts.reduce((sum, part) => sum + part.endsMs.length / part.seconds, 0),
      latenciesMs,
      parts,
      serverCpuSeconds: cpuBefore === null || cpuAfter === null ? null : cpuAfter - cpuBefore,
      clientCpuSeconds: parts.reduce((sum, part) => sum + part.cpuSeconds, 0),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end('SIGTERM')));
    await this.served[Symbol.asyncDispose]();
  }

  #serverCpu(): number | null {
    const { pid } = this.served;
    return pid === null ? null : cpuSeconds(pid);
  }
}
