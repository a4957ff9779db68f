/**
 * The shapes of the public surface that are neither records nor errors.
 *
 * @module
 */
import type { Cursor } from '../shared/cursor.js';
import type { Journal, MalformedLine, RunEvent, TurnEvent } from '../shared/events.js';

/** Where the daemon is and how long to wait for it. */
export interface ConnectOptions {
  /** The daemon's directory; its endpoint file names the socket. Read at each connection. */
  readonly dir?: string | undefined;
  /** The daemon's socket itself; wins over `dir`. */
  readonly socketPath?: string | undefined;
  /** How long to wait for a daemon that is not there yet, in milliseconds. Default 30,000. */
  readonly waitMs?: number | undefined;
  /**
   * How long each call may take, in milliseconds. Default 30,000. Until then lost connections and
   * restarts of the daemon are not seen: what is unanswered is sent again, and done once.
   */
  readonly timeoutMs?: number | undefined;
  /** A name for the daemon's log, at most 200 characters. */
  readonly clientName?: string | undefined;
  /** Gives up connecting. Has no effect once connected. */
  readonly signal?: AbortSignal | undefined;
}

/** What every call takes. */
export interface CallOptions {
  /** How long the call may take, in milliseconds; else that of `connect`. */
  readonly timeoutMs?: number | undefined;
  /**
   * Gives the call up: `not-committed` if it was never sent, `unknown` for an append or a
   * deletion that was.
   */
  readonly signal?: AbortSignal | undefined;
}

/** What every append takes. */
export interface AppendOptions extends CallOptions {
  /** Refuse the append unless this is the seq of the stream's last event; 0 means that it has none. */
  readonly expectedSeq?: number | undefined;
  /**
   * An append with the same key on the same stream returns the first result, whichever process
   * made it. At most 128 bytes.
   */
  readonly idempotencyKey?: string | undefined;
}

/** What an append to a session takes. */
export interface TurnAppendOptions extends AppendOptions {
  /** Refuse the append if its turn has a terminal event already. */
  readonly unlessTerminal?: boolean | undefined;
}

/** Which events of a session to read. */
export interface TurnReadOptions extends CallOptions {
  /** Only events after this seq. */
  readonly afterSeq?: number | undefined;
  /** At most so many; without it all. */
  readonly limit?: number | undefined;
}

/** Which pending turns to list. */
export interface PendingOptions extends CallOptions {
  /** Only those of this session. */
  readonly sessionId?: string | undefined;
  /** At most so many; without it all. */
  readonly limit?: number | undefined;
}

/** Which messages to list. */
export interface MessageListOptions extends CallOptions {
  /** At most so many. Default 50. */
  readonly limit?: number | undefined;
  /** Only messages below this seq. */
  readonly beforeSeq?: number | undefined;
  /** Only messages above this seq. */
  readonly afterSeq?: number | undefined;
}

/** Which events of a run to list. */
export interface EventListOptions extends CallOptions {
  /** Only events of these types; an empty array gives none. */
  readonly eventTypes?: readonly string[] | undefined;
  /** Only events whose `metadata.task_id` is this. */
  readonly taskId?: string | undefined;
  /** At most so many. Default 500. */
  readonly limit?: number | undefined;
  /** Only events above this seq. */
  readonly afterSeq?: number | undefined;
}

/** Events of a session, in seq order. */
export interface TurnPage {
  readonly sessionId: string;
  /** The life of the session that the events belong to; 0 if it has none. */
  readonly generation: number;
  readonly events: TurnEvent[];
  /** The lines in the page's part of the file that are no events. */
  readonly malformed: MalformedLine[];
}

/** A turn that has more than one terminal event. */
export interface TurnCollision {
  readonly turnId: string;
  /** Its terminal events by `created_at`. */
  readonly events: TurnEvent[];
}

/** The state of a session's turns. */
export interface TurnStates {
  /** The latest event of each turn. Has no prototype, so any turn id is safe to look up. */
  readonly states: Record<string, TurnEvent>;
  readonly collisions: TurnCollision[];
}

/** A turn without a terminal event. */
export interface PendingTurn {
  readonly sessionId: string;
  readonly turnId: string;
  /** Its `submitted` event, if it has one. */
  readonly submitted: TurnEvent | null;
  /** Its latest event. */
  readonly latest: TurnEvent;
}

/** What `putIfAbsent` found or made. */
export interface PutIfAbsentResult {
  readonly event: RunEvent;
  /** Whether the event is new; else it is the one that was there. */
  readonly created: boolean;
}

/** What is known of an event beside its record. */
export interface EventDetails {
  /** The place after the event in its stream. */
  readonly cursor: Cursor;
  /** The daemon-wide position, of events that this client appended. */
  readonly position?: number;
  /**
   * Whether the append had been done before: under the same idempotency key, or by the same call,
   * whose answer a lost connection took along. The event is that of the first time.
   */
  readonly duplicate: boolean;
  /** The exact line on disk, without its LF; null if the event was deleted since. */
  readonly text: string | null;
}

/**
 * Where a subscription begins: behind a cursor, behind a seq of the stream's present life, at the
 * start of that life, or behind its last event.
 */
export type SubscribeAfter = Cursor | number | 'start' | 'now';

/** Which events of a session to follow. */
export interface TurnSubscribeOptions {
  /** Where to begin. Default `'start'`. A stream that does not exist yet is waited for. */
  readonly after?: SubscribeAfter | undefined;
  /** Ends the subscription: the iteration throws `AbortedError`. */
  readonly signal?: AbortSignal | undefined;
}

/** Which events of a thread to follow: those that pass every filter. */
export interface RunSubscribeOptions extends TurnSubscribeOptions {
  /** Only events of this run. */
  readonly runId?: string | undefined;
  /** Only events of these categories; an empty array gives none. */
  readonly categories?: readonly string[] | undefined;
  /** Only events of these types; an empty array gives none. */
  readonly eventTypes?: readonly string[] | undefined;
  /** Only events whose `metadata.task_id` is this. */
  readonly taskId?: string | undefined;
}

/** What of everything to follow. */
export interface SubscribeAllOptions {
  /** Only what comes after this position; without it, what comes from now on. */
  readonly afterPosition?: number | undefined;
  /** Only this journal. */
  readonly journal?: Journal | undefined;
  /** Ends the subscription: the iteration throws `AbortedError`. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The state of a subscription: `connecting` while the daemon does not know of it, also after a
 * lost connection; `catching-up` until it has come to the present; `live` from there on; `ended`
 * when the last event was handed out.
 */
export type SubscriptionState = 'connecting' | 'catching-up' | 'live' | 'ended';

/** What `subscribeAll` tells: an event, or that a stream, or one run of a thread, was deleted. */
export type LogEntry = {
  readonly position: number;
  /** The session or thread. */
  readonly streamId: string;
} & (
  | { readonly journal: 'turns'; readonly event: TurnEvent; readonly deleted?: never }
  | { readonly journal: 'runs'; readonly event: RunEvent; readonly deleted?: never }
  | {
      readonly journal: Journal;
      readonly deleted: true;
      /** The run, if only that was deleted. */
      readonly runId?: string;
      readonly event?: never;
    }
);

/** Counters and state of the daemon. Newer daemons may tell more. */
export interface DaemonStats {
  readonly appends: number;
  readonly events: number;
  readonly commits: number;
  readonly fsyncs: { readonly log: number; readonly files: number; readonly directories: number };
  readonly connections: number;
  readonly subscriptions: number;
  readonly openStreams: number;
  /** `ok`, or what stands in the way of appends or soon will: docs/operations.md has them all. */
  readonly health: string;
  /** Why the health is not `ok`. */
  readonly healthReason?: string;
  /** The room of the directory's file system, and what appends leave free of it. */
  readonly disk?: {
    readonly freeBytes: number;
    readonly sizeBytes: number;
    readonly reserveBytes: number;
  };
  readonly [name: string]: unknown;
}

/**
 * The state of a client's connection: `connecting` and `handshaking` until the first hello is
 * answered; `ready`; `draining` while the daemon stops and answers what it has; `reconnecting`
 * (and `handshaking` again) after the connection ended; `closed` for good.
 */
export type ConnectionState =
  | 'connecting'
  | 'handshaking'
  | 'ready'
  | 'draining'
  | 'reconnecting'
  | 'closed';

/** What `log.on` listens to. */
export interface ConnectionListeners {
  /** The connection ended; the client reconnects by itself, and no call fails for it. */
  readonly disconnect: (error: Error) => void;
  /** The client is connected again. */
  readonly reconnect: () => void;
}
