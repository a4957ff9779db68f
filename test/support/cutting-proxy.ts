/** A socket between client and daemon that cuts the connection at a given byte. */
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { makeFolder } from './daemon.js';

/** Which way the bytes go that are counted. */
export type Side = 'request' | 'answer';

/** A cut that is due, and what has come of it. */
interface Cut {
  readonly side: Side;
  room: number;
  /** Bytes that had come and were not passed on; null while it is still due. */
  withheld: number | null;
  readonly done: () => void;
}

/** Passes on what it gets, over one connection at a time, until it is told to cut it. */
export class CuttingProxy {
  readonly socketPath: string;
  readonly #daemonPath: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut: Cut | null = null;

  constructor(socketPath: string, daemonPath: string) {
    this.socketPath = socketPath;
    this.#daemonPath = daemonPath;
    this.#server = createServer((client) => this.#connect(client));
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(this.socketPath, resolve));
  }

  /**
   * Cuts the connection, both ways, when exactly so many more bytes have gone to that side;
   * resolves then.
   */
  cutAfter(side: Side, bytes: number): Promise<void> {
    return new Promise((resolve) => {
      this.#cut = { side, room: bytes, withheld: null, done: resolve };
    });
  }

  /** Cuts no more; returns how many bytes a cut kept back, or null if there was none. */
  takeCut(): number | null {
    const withheld = this.#cut?.withheld ?? null;
    this.#cut = null;
    return withheld;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #connect(client: Socket): void {
    const daemon = createConnection({ path: this.#daemonPath });
    for (const socket of [client, daemon]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        client.destroySoon();
        daemon.destroySoon();
      });
    }
    client.on('data', (chunk: Buffer) => this.#pass('request', chunk, [daemon, client]));
    daemon.on('data', (chunk: Buffer) => this.#pass('answer', chunk, [client, daemon]));
  }

  #pass(side: Side, chunk: Buffer, [to, from]: readonly [Socket, Socket]): void {
    const cut = this.#cut;
    if (cut === null || cut.side !== side || cut.withheld !== null) {
      to.write(chunk);
      return;
    }
    to.write(chunk.subarray(0, cut.room));
    cut.room -= chunk.length;
    if (cut.room > 0) return;
    cut.withheld = -cut.room;
    to.destroySoon();
    from.removeAllListeners('data').destroy();
    cut.done();
  }
}

/** A proxy in front of a daemon, gone after the test. */
export async function startCuttingProxy(
  t: ExecutionContext,
  daemonPath: string,
): Promise<CuttingProxy> {
  const proxy = new CuttingProxy(join(await makeFolder(t), 's'), daemonPath);
  await proxy.listen();
  t.teardown(() => proxy.close());
  return proxy;
}
