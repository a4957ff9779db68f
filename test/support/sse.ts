/** Browsers that follow server-sent events over real HTTP, and the server that they ask. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ExecutionContext } from 'ava';
import { EventSource } from 'eventsource';
import { eventually } from './faults.js';

/** A server whose answers the test makes; ends with the test. */
export async function startHttpServer(
  t: ExecutionContext,
  answer: (request: IncomingMessage, response: ServerResponse) => Promise<unknown>,
): Promise<string> {
  const server = createServer((asked, response) => {
    answer(asked, response).catch((error: unknown) => {
      response.destroy();
      t.fail(`the answer failed: ${String(error)}`);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** What a browser was told. */
export interface Told {
  readonly type: string;
  readonly id: string;
  readonly data: string;
}

/** An `EventSource` that keeps what it is told, and connects again by itself as browsers do. */
export class Browser {
  readonly told: Told[] = [];
  /** How often it has connected. */
  opened = 0;
  readonly #source: EventSource;

  constructor(t: ExecutionContext, url: string) {
    this.#source = new EventSource(url);
    t.teardown(() => this.#source.close());
    this.#source.addEventListener('open', () => {
      this.opened += 1;
    });
    for (const type of ['message', 'caught-up', 'deleted', 'expired']) {
      this.#source.addEventListener(type, ({ lastEventId, data }) => {
        this.told.push({ type, id: lastEventId, data: String(data) });
      });
    }
  }

  /** The messages, without what else it is told. */
  get messages(): Told[] {
    return this.told.filter(({ type }) => type === 'message');
  }

  /** Waits until it was told so many messages. */
  async messagesReach(count: number): Promise<Told[]> {
    return await eventually(
      () => this.messages,
      (messages) => messages.length >= count,
    );
  }

  /** Waits until it was told an event of this type; returns the first. */
  async toldOf(type: string): Promise<Told> {
    const told = await eventually(
      () => this.told.filter((one) => one.type === type),
      ({ length }) => length > 0,
    );
    return told[0] as Told;
  }

  leave(): void {
    this.#source.close();
  }
}

/** A response as its bytes come, for what an `EventSource` does not show. */
export interface RawResponse {
  readonly response: IncomingMessage;
  /** All that came so far. */
  readonly text: () => string;
  readonly leave: () => void;
}

/** Asks without being a browser. */
export async function askRaw(
  t: ExecutionContext,
  url: string,
  headers: Record<string, string> = {},
): Promise<RawResponse> {
  const asked = request(url, { headers, agent: false }).end();
  t.teardown(() => asked.destroy());
  const [response] = (await once(asked, 'response')) as [IncomingMessage];
  let text = '';
  response.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  response.on('error', () => undefined);
  return { response, text: () => text, leave: () => asked.destroy() };
}
