/**
 * A peer with its client processes, kept up over all repetitions of a measure, so that each turn
 * meets warm code and only one contestant works at a time.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Peer, Served } from '../peers/peer.js';
import { sortedFrom } from '../statistics.js';
import type { Disk } from '../support/disk.js';
import { cpuSeconds, type Running, running } from '../support/processes.js';
import type { LoadDone, LoadOrder, LoadReply } from './load-messages.js';

const PROGRAM = fileURLToPath(new URL('./load.process.js', import.meta.url));

/** What came of one turn. */
export interface Slice {
  readonly appends: number;
  readonly appendsPerSecond: number;
  /** Of all clients, ascending. */
  readonly latenciesMs: Float64Array;
  readonly parts: readonly LoadDone[];
  /** CPU of the server and of all clients, in microseconds an append; null where unknown. */
  readonly serverCpuUs: number | null;
  readonly clientCpuUs: number;
}

export interface ContestantPlan {
  readonly peer: Peer;
  /** Its name in figures; peers may take part in several ways. */
  readonly title: string;
  readonly clients: number;
  readonly inFlight: number;
  readonly disk: Disk;
}

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
      running(
        fork(PROGRAM, [JSON.stringify(served.target)], {
          serialization: 'advanced',
          env: { ...process.env, ...peer.clientEnvironment(disk) },
          stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
        }),
      ),
    );
    await Promise.all(clients.map(({ child }) => replyOf(child)));
    return new Contestant(plan, served, clients);
  }

  /** All clients append for so long. */
  async slice(seconds: number, streams: number): Promise<Slice> {
    const { pid } = this.served;
    const cpuBefore = pid === null ? null : cpuSeconds(pid);
    const parts = await Promise.all(
      this.#clients.map(async ({ child }, at) => {
        const offset = Math.floor((at * streams) / this.#clients.length);
        const order: LoadOrder = { seconds, inFlight: this.#inFlight, streams, offset };
        child.send(order);
        const reply = await replyOf(child);
        if (reply.kind !== 'done') throw new Error(`unexpected ${reply.kind}`);
        return reply;
      }),
    );
    const cpuAfter = pid === null ? null : cpuSeconds(pid);
    const latenciesMs = sortedFrom(parts.map((part) => part.latenciesMs));
    const appends = latenciesMs.length;
    const clientCpu = parts.reduce((sum, part) => sum + part.cpuSeconds, 0);
    return {
      appends,
      appendsPerSecond: parts.reduce((sum, part) => sum + part.endsMs.length / part.seconds, 0),
      latenciesMs,
      parts,
      serverCpuUs:
        cpuBefore === null || cpuAfter === null ? null : ((cpuAfter - cpuBefore) / appends) * 1e6,
      clientCpuUs: (clientCpu / appends) * 1e6,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end('SIGTERM')));
    await this.served[Symbol.asyncDispose]();
  }
}

async function replyOf(child: ChildProcess): Promise<LoadReply> {
  return await new Promise((resolve, reject) => {
    const onExit = (code: number | null): void => reject(new Error(`a client ended with ${code}`));
    child.once('exit', onExit);
    child.once('message', (message) => {
      child.off('exit', onExit);
      resolve(message as LoadReply);
    });
  });
}
