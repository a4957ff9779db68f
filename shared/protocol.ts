/**
 * The messages of protocol 1: one msgpack map a frame. `docs/protocol.md` describes them for
 * other languages.
 *
 * Event JSON travels as UTF-8 text in a msgpack bin, both ways. Unknown fields are ignored,
 * unknown types refused. Integers may arrive as integral floats.
 *
 * @module
 */
/** The only protocol version so far. */
export const PROTOCOL_VERSION = 1;

/** The first message of a client. */
export interface Hello {
  readonly type: 'hello';
  readonly protocolMin: number;
  readonly protocolMax: number;
  /** 32 hexadecimal digits, drawn by the client when it starts. */
  readonly clientId: string;
  readonly clientName?: string;
}

/** Identifies an append or deletion, so that sending it again is recognised. */
interface Identified {
  /** The client's number of it, counted from 1. */
  readonly number?: number;
  /** The lowest number whose answer the client still awaits. */
  readonly lowest?: number;
}

interface AppendOptions extends Identified {
  readonly expectedSeq?: number;
  readonly idempotencyKey?: string;
}

interface PageOptions {
  readonly beforeSeq?: number;
  readonly afterSeq?: number;
  readonly limit: number;
}

interface OfSession {
  readonly sessionId: string;
}

interface OfThread {
  readonly threadId: string;
}

interface OfRun extends OfThread {
  readonly runId: string;
}

/** The fields of every request beside `type` and `id`, by type. */
interface RequestFields {
  'turns.append': OfSession &
    AppendOptions & {
      readonly text: Uint8Array;
      readonly streamId?: string;
      readonly unlessTerminal?: boolean;
    };
  'turns.read': OfSession & { readonly afterSeq?: number; readonly limit?: number };
  'turns.states': OfSession;
  'turns.pending': { readonly sessionId?: string; readonly limit?: number };
  'turns.sessionIds': object;
  'turns.head': OfSession;
  'turns.delete': OfSession & Identified;
  'runs.put': AppendOptions & {
    readonly texts: readonly Uint8Array[];
    readonly ifAbsent?: boolean;
  };
  'runs.listMessages': OfThread & PageOptions;
  'runs.listEvents': OfRun & {
    readonly eventTypes?: readonly string[];
    readonly taskId?: string;
    readonly afterSeq?: number;
    readonly limit: number;
  };
  'runs.listMessagesByRun': OfRun & PageOptions;
  'runs.countMessages': OfThread;
  'runs.threadIds': object;
  'runs.head': OfThread;
  'runs.deleteByThread': OfThread & Identified;
  'runs.deleteByRun': OfRun & Identified;
  stats: object;
}

export type RequestType = keyof RequestFields;
/** A request: its type, the number that its answers repeat, and its fields. */
export type RequestOf<T extends RequestType> = {
  readonly type: T;
  readonly id: number;
} & RequestFields[T];
export type Request = { [T in RequestType]: RequestOf<T> }[RequestType];

/** What the daemon tells a client that it accepts, in the answer to `hello`. */
export interface AnnouncedLimits {
  readonly eventBytesMax: number;
  readonly batchBytesMax: number;
  readonly batchEventsMax: number;
  readonly frameBytesMax: number;
  readonly callsInFlightMax: number;
  readonly bytesInFlightMax: number;
}

/** The daemon's answer to `hello`. */
export interface Welcome {
  readonly type: 'hello';
  readonly protocol: number;
  /** The daemon's package version. */
  readonly version: string;
  readonly capabilities: readonly string[];
  readonly epoch: number;
  readonly limits: AnnouncedLimits;
  /** Whether the daemon still holds results of this client id. */
  readonly known: boolean;
}

/** An error on the wire: `code`, `message`, `outcome`, and the facts of that code. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  readonly outcome: string;
  readonly [fact: string]: unknown;
}

/**
 * A row of an answer. `text` is the exact line, absent where the event was deleted since.
 * `label` says what the row is where an answer holds several kinds.
 */
export interface WireRow {
  readonly text: Uint8Array | null;
  readonly seq: number;
  readonly generation: number;
  readonly label?: 'state' | 'collision' | 'submitted' | 'latest';
  readonly turnId?: string;
  readonly sessionId?: string;
}

/** What the daemon assigned to one appended event; the client composes the record from it. */
export interface WireAck {
  readonly seq: number;
  readonly generation: number;
  readonly position: number;
  /** Microseconds since 1970, where the daemon stamped the event. */
  readonly createdAtUs?: number;
  /** Where the daemon chose the turn. */
  readonly turnId?: string;
  /** The exact line, of a duplicate or of a `putIfAbsent` that found its event; `null` if deleted since. */
  readonly text?: Uint8Array | null;
}

/**
 * An answer frame. An answer may span several: all but the last have `more`. Where `split` is
 * set, the text of the frame's last row goes on as that of the next frame's first row.
 */
export interface Answer {
  readonly id: number;
  readonly more?: true;
  readonly split?: true;
  readonly rows?: readonly WireRow[];
  readonly malformed?: readonly {
    readonly line: number;
    readonly raw: string;
    readonly rawBytes?: number;
    readonly shard?: string;
  }[];
  readonly ids?: readonly string[];
  readonly acks?: readonly WireAck[];
  readonly duplicate?: boolean;
  readonly created?: boolean;
  readonly count?: number;
  readonly head?: { readonly generation: number; readonly seq: number };
  readonly stats?: object;
  readonly error?: WireError;
}
