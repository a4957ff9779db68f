/** The journal of one client: each request before it is sent, each answer when it came. */
import { openSync, writeSync } from 'node:fs';
import { EventLogError, TurnTerminalError } from '../../client/index.js';
import { type Answer, type HistoryRecord, now, type Request, type Row } from './history.js';

/** What a call came to, if it did not fail. */
export type Result = Partial<Answer>;

export class Journal {
  readonly client: string;
  readonly #fd: number;
  #lastNumber = 0;

  constructor(path: string, client: string) {
    this.client = client;
    this.#fd = openSync(path, 'a');
  }

  /** The number of the next request. */
  get nextNumber(): number {
    return this.#lastNumber + 1;
  }

  /** Writes the request, makes the call in the same turn, writes what came of it. */
  async ask(
    request: Omit<Request, 'kind' | 'client' | 'number' | 'at'>,
    call: () => Promise<Result>,
  ): Promise<Answer> {
    const { client, nextNumber: number } = this;
    this.#lastNumber = number;
    this.#write({ kind: 'request', client, number, at: now(), ...request });
    let result: Result;
    try {
      result = { outcome: 'acknowledged', ...(await call()) };
    } catch (error) {
      if (!(error instanceof EventLogError)) throw error;
      const { outcome, code, message } = error;
      result = { outcome, code, message, ...namedBy(error) };
    }
    const answer = { kind: 'answer', client, number, at: now(), ...result } as Answer;
    this.#write(answer);
    return answer;
  }

  #write(record: HistoryRecord): void {
    const line = Buffer.from(`${JSON.stringify(record)}\n`);
    if (writeSync(this.#fd, line) !== line.length) throw new Error('the journal has no room');
  }
}

/** The event because of which a call was refused, as far as the refusal says. */
function namedBy(error: EventLogError): { readonly rows?: readonly Row[] } {
  if (!(error instanceof TurnTerminalError)) return {};
  const { content, seq } = error.event;
  const row = { id: String(content), seq: Number(seq), generation: 0, position: 0, checksum: null };
  return { rows: [row] };
}
