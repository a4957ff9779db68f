/**
 * Health and metrics over HTTP, for probes and scrapers: it listens from the moment the directory
 * is locked, so a long recovery can be told from a daemon that hangs.
 *
 * @module
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  HTTP_CONNECTIONS_MAX,
  HTTP_HEAD_BYTES_MAX,
  HTTP_IDLE_TIMEOUT_MS,
  HTTP_REQUEST_TIMEOUT_MS,
} from '../../shared/limits.js';
import { takesAppends } from '../commit/health-table.js';
import type { DaemonStatus } from '../metrics/measures.js';
import type { HttpAddress } from './address.js';

/** What is answered. */
interface Page {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

/** What the server asks the daemon. */
export interface HttpSources {
  readonly status: () => DaemonStatus;
  /** The metrics, or null while there are none yet. */
  readonly metrics: () => Promise<{ readonly type: string; readonly text: string } | null>;
  readonly onProblem: (error: unknown) => void;
}

/** Serves `/healthz`, `/readyz` and `/metrics`. */
export class HttpServer {
  readonly #sources: HttpSources;
  readonly #server: Server;

  constructor(sources: HttpSources) {
    this.#sources = sources;
    this.#server = createServer(
      {
        maxHeaderSize: HTTP_HEAD_BYTES_MAX,
        headersTimeout: HTTP_REQUEST_TIMEOUT_MS,
        requestTimeout: HTTP_REQUEST_TIMEOUT_MS,
        connectionsCheckingInterval: HTTP_REQUEST_TIMEOUT_MS,
        keepAliveTimeout: HTTP_IDLE_TIMEOUT_MS,
      },
      (request, response) => void this.#answer(request, response),
    );
    this.#server.maxConnections = HTTP_CONNECTIONS_MAX;
  }

  /**
   * Listens.
   *
   * @returns the root of its addresses
   */
  async listen({ host, port }: HttpAddress): Promise<string> {
    this.#server.listen({ host, port });
    await once(this.#server, 'listening');
    this.#server.on('error', this.#sources.onProblem);
    const { address, family, port: taken } = this.#server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${taken}`;
  }

  /** Ends it with all its connections. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // What a request carries beside its head is of no use here.
    request.resume();
    try {
      const { status, type, body } = await this.#pageOf(request);
      const length = Buffer.byteLength(body);
      response.writeHead(status, {
        'content-type': type,
        'content-length': length,
        'cache-control': 'no-store',
      });
      response.end(request.method === 'HEAD' ? undefined : body);
    } catch (error) {
      this.#sources.onProblem(error);
      response.writeHead(500).end();
    }
  }

  async #pageOf({ method, url = '' }: IncomingMessage): Promise<Page> {
    if (method !== 'GET' && method !== 'HEAD') return text(405, 'only GET and HEAD\n');
    const [path = ''] = url.split('?');
    switch (path) {
      case '/healthz':
        return healthPage(this.#sources.status());
      case '/readyz':
        return readyPage(this.#sources.status());
      case '/metrics':
        return await this.#metricsPage();
      default:
        return text(404, 'there are /healthz, /readyz and /metrics\n');
    }
  }

  async #metricsPage(): Promise<Page> {
    const metrics = await this.#sources.metrics();
    if (metrics === null) return text(503, 'the daemon recovers; there are no metrics yet\n');
    return { status: 200, type: metrics.type, body: metrics.text };
  }
}

/** Whether the process is one to keep: it is not, once it must not go on. */
function healthPage(status: DaemonStatus): Page {
  return json(status.state === 'failing' || status.health === 'failed' ? 503 : 200, status);
}

/** Whether appends are taken now. */
function readyPage(status: DaemonStatus): Page {
  return json(status.state === 'serving' && takesAppends(status.health) ? 200 : 503, status);
}

function json(status: number, { state, health, reason }: DaemonStatus): Page {
  const body = `${JSON.stringify({ state, health, ...(reason === '' ? {} : { reason }) })}\n`;
  return { status, type: 'application/json', body };
}

function text(status: number, body: string): Page {
  return { status, type: 'text/plain; charset=utf-8', body };
}
