/**
 * The messages of protocol 1: one msgpack map a frame. `docs/protocol.md` describes them for
 * other languages.
 *
 * Event JSON travels as UTF-8 text in a msgpack bin, both ways. Unknown fields are ignored,
 * unknown types refused. Integers may arrive as integral floats.
 *
 * @module
 */
import type { Journal } from './events.js';

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

/** Says what there is to repair; done again, a repair finds nothing more to do. */
interface Repairing {
  /** Whether to do it. */
  readonly apply?: boolean;
}

/** One step of the repair of a stream. */
export interface WireRepairAction {
  /** `leave` where something stands in the way. */
  readonly action: string;
  /** Relative to the journal directory. */
  readonly file: string;
  readonly detail: string;
}

/** How far a backup has come. */
export interface WireBackupProgress {
  readonly files: number;
  readonly bytes: number;
  /** All that is to be copied, as far as it is known yet. */
  readonly bytesTotal: number;
}

/** A backup that was made. */
export interface WireBackup {
  /** Its path, without links. */
  readonly folder: string;
  readonly files: number;
  /** What the files hold. */
  readonly bytes: number;
  /** Every event up to this position is in it, and none behind. */
  readonly position: number;
  /** How long deletions and repairs had to wait, in milliseconds. */
  readonly heldMs: number;
  readonly tookMs: number;
}

/** What every subscription asks for. */
interface Subscribing {
  /** The client's number of the subscription: every message about it carries it. */
  readonly subscription: number;
  /** What the daemon may send before it is granted more; see `rowCredit`. */
  readonly credit: number;
}

/**
 * Where a subscription begins: behind a cursor, behind a seq of the present life, at the start of
 * the present life (the default), or behind its last event.
 */
export type WireAfter = WireCursor | number | 'start' | 'now';

/** A cursor as it travels. */
export interface WireCursor {
  readonly generation: number;
  readonly seq: number;
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
  'turns.repair': OfSession & Identified & Repairing;
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
  'runs.repair': OfThread & Identified & Repairing;
  'turns.subscribe': OfSession & Subscribing & { readonly after?: WireAfter };
  'runs.subscribe': OfThread &
    Subscribing & {
      readonly after?: WireAfter;
      readonly runId?: string;
      readonly categories?: readonly string[];
      readonly eventTypes?: readonly string[];
      readonly taskId?: string;
    };
  subscribeAll: Subscribing & { readonly afterPosition?: number; readonly journal?: Journal };
  stats: object;
  /** Copies the directory; ends with its connection. */
  backup: { readonly folder: string };
}

export type RequestType = keyof RequestFields;
/** A request: its type, the number that its answers repeat, and its fields. */
export type RequestOf<T extends RequestType> = {
  readonly type: T;
  readonly id: number;
} & RequestFields[T];
export type Request = { [T in RequestType]: RequestOf<T> }[RequestType];

/** Messages of a client that are not answered. */
export type Notice =
  /** The daemon may send so much more to the subscription. */
  | { readonly type: 'credit'; readonly subscription: number; readonly credit: number }
  /** The subscription is over. */
  | { readonly type: 'unsubscribe'; readonly subscription: number }
  | Heartbeat;

/** Either side may send `ping` at any time after hello; the other one answers `pong`. */
export interface Heartbeat {
  readonly type: 'ping' | 'pong';
}

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

/** An event on its way to a subscriber. */
export interface WireEvent {
  readonly seq: number;
  readonly generation: number;
  /** The exact line, without its LF; of a split event the next part of it. */
  readonly text: Uint8Array;
  /** Whether the next event has the same seq, as in old files: a cursor moves behind the last of them. */
  readonly sameSeqFollows?: true;
}

/** A row of `subscribeAll`: an event, or the deletion of a stream or of one run of it. */
export type WireEntry = {
  readonly position: number;
  readonly journal: Journal;
  readonly streamId: string;
} & ({ readonly event: WireEvent } | { readonly deleted: true; readonly runId?: string });

/** What the daemon tells a subscriber. All of one subscription comes in order. */
export type Push =
  /**
   * Events of a stream, or entries of `subscribeAll`. With `split` the text of the last one goes on
   * as that of the first one of the next push.
   */
  | {
      readonly type: 'push';
      readonly subscription: number;
      readonly rows: readonly (WireEvent | WireEntry)[];
      readonly split?: true;
    }
  /**
   * Everything up to here was sent or is not asked for. The first message of each subscription
   * says where it begins. With `caughtUp` it is live from here on.
   */
  | {
      readonly type: 'progress';
      readonly subscription: number;
      readonly cursor?: WireCursor;
      readonly position?: number;
      readonly caughtUp?: true;
    }
  /** Nothing more will come, and why. */
  | { readonly type: 'ended'; readonly subscription: number; readonly error: WireError };

/** What an event or entry costs of a subscription's credit: the bytes of its text, and this. */
const ROW_CREDIT = 64;

/**
 * What a row costs of a subscription's credit. The daemon sends a row while any credit is left,
 * so that one of any size gets through.
 *
 * @param textBytes the length of the whole text; 0 for a deletion
 */
export function rowCredit(textBytes: number): number {
  return textBytes + ROW_CREDIT;
}

/** What the daemon assigned to one appended event; the client composes the record from it. */
export interface WireAck {
  readonly seq: number;
  readonly generation: number;
  readonly position: number;
  /** Microseconds since 1970, where the daemon stamped the event. */
  readonly createdAtUs?: number | undefined;
  /** Where the daemon chose the turn. */
  readonly turnId?: string | undefined;
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
  /** What came before this frame is void. */
  readonly restart?: true;
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
  readonly head?: WireCursor;
  readonly stats?: object;
  /** What there is, or was, to repair. */
  readonly actions?: readonly WireRepairAction[];
  /** Whether it was done. */
  readonly applied?: boolean;
  /** In the frames of a backup before the last one. */
  readonly progress?: WireBackupProgress;
  readonly backup?: WireBackup;
  readonly error?: WireError;
}
