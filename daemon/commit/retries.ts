/**
 * The results that an append or deletion is answered with when it is sent again: by a client's
 * own number for it, and by idempotency key. Bounded; the oldest are forgotten first.
 *
 * @module
 */
import {
  CLIENT_RESULTS_AGE_MS,
  CLIENTS_REMEMBERED_MAX,
  IDEMPOTENCY_KEY_AGE_MS,
  IDEMPOTENCY_KEYS_MAX,
  IDEMPOTENCY_KEYS_MIN,
  RESULTS_REMEMBERED_MAX,
} from '../../shared/limits.js';
import type {
  RememberedClient,
  RememberedKey,
  RememberedResult,
} from '../storage/catalog-format.js';
import { type StreamName, streamKey } from '../storage/layout.js';
import type { Identity } from '../storage/log-records.js';

interface Client {
  lowest: number;
  atMs: number;
  readonly results: Map<number, RememberedResult>;
}

/** What changed since it was last asked. */
export interface RetryChanges {
  readonly keys: readonly RememberedKey[];
  readonly clients: readonly RememberedClient[];
  readonly forgottenClients: readonly string[];
}

/** A durable result, and what it can be asked by when its append is sent again. */
export interface Remembered {
  readonly asked: {
    readonly stream: StreamName;
    readonly identity: Identity | null;
    readonly key: string | null;
  };
  readonly result: RememberedResult;
}

/** All results that are remembered. */
export class Retries {
  /** In the order of their age. */
  readonly #keys: Map<string, RememberedKey> = new Map();
  readonly #clients: Map<string, Client> = new Map();
  #newKeys: RememberedKey[] = [];
  readonly #changedClients: Set<string> = new Set();
  readonly #forgottenClients: Set<string> = new Set();

  /** Whether results of this client are held. */
  knows(clientId: string): boolean {
    return this.#clients.has(clientId);
  }

  /** A client that is known came or leaves: its results are kept for their whole time from here on. */
  touch(clientId: string, nowMs: number): void {
    const client = this.#clients.get(clientId);
    if (client !== undefined) this.#setClient(clientId, { ...client, atMs: nowMs });
  }

  /**
   * Whether the client has said that it awaits no answer to this number any more. Its frame came
   * late, from a connection that the client has given up.
   */
  isPast({ clientId, number }: Identity): boolean {
    return number < (this.#clients.get(clientId)?.lowest ?? 0);
  }

  /**
   * Whether a later call of the client on the stream was done. Calls on one stream are done in
   * their order, so this one had its turn; as it left no result, it changed nothing.
   */
  isOvertaken({ clientId, number }: Identity, { journal, id }: StreamName): boolean {
    for (const [later, { runs }] of this.#clients.get(clientId)?.results ?? []) {
      const isOfStream = runs.some((run) => run.journal === journal && run.id === id);
      if (later > number && isOfStream) return true;
    }
    return false;
  }

  byKey(stream: StreamName, key: string): RememberedResult | undefined {
    return this.#keys.get(keyOf(stream, key))?.result;
  }

  byIdentity(identity: Identity): RememberedResult | undefined {
    return this.#clients.get(identity.clientId)?.results.get(identity.number);
  }

  /** Remembers a durable result under whatever it can be asked by. */
  remember(asked: Remembered['asked'], result: RememberedResult): void {
    if (asked.key !== null) {
      const { journal, id } = asked.stream;
      this.#setKey({ journal, id, key: asked.key, result });
    }
    if (asked.identity !== null) this.#setIdentity(asked.identity, result);
  }

  /** Takes over what a catalog frame remembers. */
  restore(changes: RetryChanges): void {
    for (const key of changes.keys) this.#setKey(key);
    for (const { clientId, lowest, atMs, results } of changes.clients) {
      this.#setClient(clientId, { lowest, atMs, results: new Map(results) });
    }
    for (const clientId of changes.forgottenClients) this.#clients.delete(clientId);
    this.takeChanges();
  }

  /** What changed since the last call; the caller makes it durable. */
  takeChanges(): RetryChanges {
    const changes = {
      keys: this.#newKeys,
      clients: [...this.#changedClients].flatMap((clientId) => this.#clientRecord(clientId)),
      forgottenClients: [...this.#forgottenClients],
    };
    this.#newKeys = [];
    this.#changedClients.clear();
    this.#forgottenClients.clear();
    return changes;
  }

  /** Changes that could not be made durable after all. */
  giveBack(changes: RetryChanges): void {
    this.#newKeys = [...changes.keys, ...this.#newKeys];
    for (const { clientId } of changes.clients) this.#changedClients.add(clientId);
    for (const clientId of changes.forgottenClients) this.#forgottenClients.add(clientId);
  }

  /** Everything, for a catalog that begins anew. */
  all(): RetryChanges {
    return {
      keys: [...this.#keys.values()],
      clients: [...this.#clients.keys()].flatMap((clientId) => this.#clientRecord(clientId)),
      forgottenClients: [],
    };
  }

  /** Forgets what is older than is promised. */
  forgetOld(nowMs: number): void {
    for (const [key, { result }] of this.#keys) {
      const old =
        nowMs - result.atMs > IDEMPOTENCY_KEY_AGE_MS && this.#keys.size > IDEMPOTENCY_KEYS_MIN;
      if (!old && this.#keys.size <= IDEMPOTENCY_KEYS_MAX) break;
      this.#keys.delete(key);
    }
    let held = 0;
    for (const { results } of this.#clients.values()) held += sizeOf(results);
    for (const [clientId, { atMs, results }] of this.#clients) {
      const old = nowMs - atMs > CLIENT_RESULTS_AGE_MS;
      const isRoom = this.#clients.size <= CLIENTS_REMEMBERED_MAX && held <= RESULTS_REMEMBERED_MAX;
      if (!old && isRoom) break;
      held -= sizeOf(results);
      this.#clients.delete(clientId);
      this.#changedClients.delete(clientId);
      this.#forgottenClients.add(clientId);
    }
  }

  #setKey(remembered: RememberedKey): void {
    const key = keyOf(remembered, remembered.key);
    this.#keys.delete(key);
    this.#keys.set(key, remembered);
    this.#newKeys.push(remembered);
  }

  #setIdentity(identity: Identity, result: RememberedResult): void {
    const { clientId, number, lowest } = identity;
    const client = this.#clients.get(clientId) ?? { lowest: 0, atMs: 0, results: new Map() };
    client.results.set(number, result);
    client.atMs = result.atMs;
    if (lowest > client.lowest) {
      client.lowest = lowest;
      for (const known of client.results.keys()) if (known < lowest) client.results.delete(known);
    }
    this.#setClient(clientId, client);
  }

  /** The clients stand in the order of their last word. */
  #setClient(clientId: string, client: Client): void {
    this.#clients.delete(clientId);
    this.#clients.set(clientId, client);
    this.#forgottenClients.delete(clientId);
    this.#changedClients.add(clientId);
  }

  #clientRecord(clientId: string): RememberedClient[] {
    const client = this.#clients.get(clientId);
    if (client === undefined) return [];
    return [{ clientId, lowest: client.lowest, atMs: client.atMs, results: [...client.results] }];
  }
}

/** What a client's results take, counted in results of one stream. */
function sizeOf(results: Client['results']): number {
  let size = 0;
  for (const { runs } of results.values()) size += Math.max(1, runs.length);
  return size;
}

function keyOf(stream: StreamName, key: string): string {
  return `${streamKey(stream)}\n${key}`;
}
