/**
 * Every limit of eventlogd, in one place, with its unit in its name.
 *
 * @module
 */

const KIB = 1024;
const MIB = 1024 * KIB;

/** Largest JSON text of one event, in bytes, unless configured otherwise. */
export const EVENT_BYTES_DEFAULT: number = 16 * MIB;
/** Smallest value that the event limit can be configured to, in bytes. */
export const EVENT_BYTES_FLOOR: number = 1 * KIB;
/** Largest value that the event limit can be configured to, in bytes. */
export const EVENT_BYTES_CEILING: number = 64 * MIB;
/** Most events in one batch. */
export const BATCH_EVENTS_MAX = 10_000;
/** Largest sum of the texts of one batch, in bytes; never under the event's limit. */
const BATCH_BYTES_DEFAULT: number = 32 * MIB;
/** What a wire frame may hold beyond the texts of its batch, in bytes. */
export const FRAME_OVERHEAD_BYTES: number = 1 * MIB;
/** Most msgpack items in one wire frame, counted before it is decoded. */
export const FRAME_ITEMS_MAX = 262_144;
/** Deepest nesting of one wire frame. */
export const FRAME_DEPTH_MAX = 16;
/** Deepest nesting of an event's JSON: readers in other languages recurse. */
export const JSON_DEPTH_MAX = 512;
/** Most members of an event's top-level object. */
export const JSON_MEMBERS_MAX = 10_000;
/** Largest group commit, in bytes of its texts. */
const COMMIT_BYTES_DEFAULT: number = 64 * MIB;
/** Segment sizes that can be configured, in bytes. */
export const SEGMENT_BYTES_MIN: number = 256 * KIB;
export const SEGMENT_BYTES_MAX: number = 128 * MIB;
/** A segment holds at least this many of the largest commits. */
const SEGMENT_COMMITS_MIN = 2;
/** Segments are zero-filled ahead of the writer in steps of this size, in bytes. */
export const SEGMENT_FILL_BYTES: number = 1 * MIB;
/** Zero-filled room of the log that only deletions may use, in bytes. */
export const DELETE_RESERVE_BYTES: number = 16 * KIB;
/** The least that the log is filled ahead, where the disk has little room, in bytes. */
export const SEGMENT_FILL_BYTES_MIN: number = 4 * DELETE_RESERVE_BYTES;
/** Room of the disk that appends leave free, in bytes, unless configured otherwise … */
export const DISK_RESERVE_BYTES_DEFAULT: number = 64 * MIB;
/** … and never more than one part of so many of the file system. */
const DISK_RESERVE_PARTS = 20;
/** How often the room of the disk is measured, in milliseconds. */
export const ROOM_CHECK_MS = 1_000;
/** Log that stays on disk for readers of old positions, in bytes, unless configured otherwise. */
export const LOG_RETENTION_BYTES_DEFAULT: number = 1024 * MIB;
/** Log written since the last checkpoint that starts the next one, in bytes. */
export const CHECKPOINT_LOG_BYTES: number = 64 * MIB;
/** Age of the first dirty write that starts a checkpoint, in milliseconds. */
export const CHECKPOINT_AGE_MS = 30_000;
/** A sync that takes longer than this is reported, in milliseconds. */
export const SLOW_SYNC_MS = 1_000;
/** Dirty journal files that start a checkpoint. */
export const DIRTY_FILES_MAX = 4_096;
/** Journal files that are kept open without being dirty. */
export const IDLE_FILES_MAX = 1_024;
/** Descriptors that sockets, the log and everything else may need beside journal files. */
export const DESCRIPTORS_RESERVED = 256;
/** Streams whose state and index are kept in memory. */
export const OPEN_STREAMS_MAX = 20_000;
/** Memory of all stream indexes together, in bytes. */
export const INDEX_BYTES_MAX: number = 512 * MIB;
/** Adopted ranges of one stream; beyond it the stream is fenced. */
export const ADOPTED_RANGES_MAX = 100_000;
/** Rows of equal seq that one page may hold beyond its limit; beyond it the stream is fenced. */
export const EQUAL_SEQ_ROWS_MAX = 1_000;
/** Bytes of a malformed line that are reported. */
export const MALFORMED_RAW_BYTES_MAX: number = 64 * KIB;
/** Texts larger than this are validated off the main thread, in bytes. */
export const INLINE_VALIDATION_BYTES_MAX: number = 1 * MIB;
/** Calls in flight on one connection. */
export const CONNECTION_CALLS_MAX = 1_024;
/** Reads of one connection that have lines in memory; more wait. */
export const CONNECTION_READS_MAX = 8;
/** How often a read begins anew because the stream was deleted or changed under it. */
export const READ_REPEATS_MAX = 100;
/** Request bytes in flight on one connection. */
export const CONNECTION_BYTES_MAX: number = 64 * MIB;
/** Request bytes in flight in the whole daemon. */
export const DAEMON_BYTES_MAX: number = 256 * MIB;
/** Frames up to this length need no room while they come in, in bytes … */
export const GATHERED_BYTES_FREE: number = 64 * KIB;
/** … and all longer ones of the daemon have so much together. */
export const DAEMON_GATHERED_BYTES_MAX: number = 128 * MIB;
/** A frame that others wait for is given up after so many periods … */
export const GATHERING_TICKS_MAX = 3;
/** … of this length, in milliseconds. */
export const GATHERING_TICK_MS = 1_000;
/** Connections of one daemon. */
export const CONNECTIONS_MAX = 4_096;
/** Pending connections that the kernel queues for the daemon. */
export const LISTEN_BACKLOG = 4_096;
/** Connections to the HTTP port; more are closed. */
export const HTTP_CONNECTIONS_MAX = 64;
/** Largest head of an HTTP request, in bytes; no request has a body that is read. */
export const HTTP_HEAD_BYTES_MAX: number = 8 * KIB;
/** Time that an HTTP request may take to arrive, in milliseconds … */
export const HTTP_REQUEST_TIMEOUT_MS = 5_000;
/** … and time that a connection is kept for the next one. */
export const HTTP_IDLE_TIMEOUT_MS = 15_000;
/** Time that a connection may take to say hello, in milliseconds. */
export const HELLO_TIMEOUT_MS = 10_000;
/** Time that a client may take to end a connection which a drain has ended, in milliseconds. */
export const CLOSE_LINGER_MS = 2_000;
/** Rows of an answer are gathered into frames of about this size, in bytes. */
export const ANSWER_FRAME_BYTES: number = 256 * KIB;
/** Unsent answer bytes of one connection past which the daemon stops producing more. */
export const CONNECTION_UNSENT_BYTES_MAX: number = 1 * MIB;
/** Unsent bytes of one connection, of any kind, past which it takes no more from that client. */
export const CONNECTION_UNREAD_BYTES_MAX: number = 4 * MIB;
/** Subscriptions of one daemon. */
export const SUBSCRIPTIONS_MAX = 100_000;
/** What the filters of all of them may have, in characters. */
export const FILTERS_LENGTH_MAX: number = 16 * MIB;
/** What a subscription may be sent before its consumer takes any of it; see `rowCredit`. */
export const SUBSCRIPTION_CREDIT: number = 256 * KIB;
/** The least of it, where a client has very many subscriptions. */
export const SUBSCRIPTION_CREDIT_MIN: number = 4 * KIB;
/** What all subscriptions of one client may be sent ahead of their consumers. */
export const CLIENT_SUBSCRIPTIONS_CREDIT: number = 64 * MIB;
/** Subscriptions that a client asks for at the same time, so that its calls find room beside them. */
export const CLIENT_SUBSCRIBES_MAX = 256;
/** Pages that the daemon reads for subscriptions at the same time. */
export const CATCH_UP_PAGES_MAX = 16;
/** Silence of a daemon after which a client pings it, in milliseconds … */
export const CLIENT_HEARTBEAT_MS = 5_000;
/** … and of a client after which a daemon does. */
export const DAEMON_HEARTBEAT_MS = 10_000;
/** Unanswered periods of silence after which the other side is taken for dead. */
export const HEARTBEATS_MISSED_MAX = 3;
/** How often the files of open streams are looked at for other programs' changes, in milliseconds. */
export const WATCH_INTERVAL_MS = 500;
/** Journal files that are watched; changes of others are met when they are next touched. */
export const WATCHED_FILES_MAX = 8_192;
/** How much of other programs' content one step of an adoption takes, in bytes … */
export const ADOPTION_BYTES_MAX: number = 1 * MIB;
/** … and over how many files; what is more is taken in by reading the stream anew. */
export const ADOPTION_FILES_MAX = 64;
/** How long a write waits for the rest of a line that another program began, in milliseconds. */
export const TORN_WAIT_MS = 20;
/** Calls and bytes that a client queues beyond the window that the daemon announces. */
export const CLIENT_QUEUE_CALLS_MAX = 10_000;
export const CLIENT_QUEUE_BYTES_MAX: number = 64 * MIB;
/** Most event types that one query can ask for. */
export const EVENT_TYPES_MAX = 10_000;
/** Longest idempotency key, in bytes. */
export const IDEMPOTENCY_KEY_BYTES_MAX = 128;
/** Idempotency keys are remembered for at least this long, in milliseconds … */
export const IDEMPOTENCY_KEY_AGE_MS: number = 24 * 60 * 60 * 1000;
/** … and the newest ones longer than that, up to this many … */
export const IDEMPOTENCY_KEYS_MIN = 100_000;
/** … but never more than this many, oldest forgotten first. */
export const IDEMPOTENCY_KEYS_MAX = 1_000_000;
/** Clients whose results are kept, oldest forgotten first. */
export const CLIENTS_REMEMBERED_MAX = 16_384;
/** How far a client's number may lie above its lowest one that is awaited: so many results are kept. */
export const CLIENT_RESULTS_MAX = 16_384;
/** Results of all clients together, those of a batch counted by thread; oldest client forgotten first. */
export const RESULTS_REMEMBERED_MAX = 1_000_000;
/** A client's results are kept for at least this long after it left, in milliseconds. */
export const CLIENT_RESULTS_AGE_MS: number = 15 * 60 * 1000;
/** A backup's files are copied in pieces of this size, in bytes. */
export const BACKUP_CHUNK_BYTES: number = 1 * MIB;
/** A backup copies what has changed again until a pass finds no more than this, in bytes … */
export const BACKUP_LAST_PASS_BYTES: number = 64 * MIB;
/** … but fails after so many passes: the journals grow faster than they are copied. */
export const BACKUP_PASSES_MAX = 8;
/** How long deletions and repairs wait for the last pass at most, in milliseconds. */
export const BACKUP_HOLD_MS_MAX = 30_000;
/** How long a stop waits for a backup whose disk hangs, in milliseconds. */
export const BACKUP_CLOSE_MS_MAX = 5_000;
/** How often a client is told how far its backup has come, in milliseconds. */
export const BACKUP_PROGRESS_MS = 250;
/** Longest path that a backup can be asked for, in characters. */
export const BACKUP_PATH_LENGTH_MAX = 4_096;
/** Longest path of a Unix socket, in bytes: longer ones are cut silently by the system. */
export const SOCKET_PATH_BYTES_MAX = 107;
/** Longest new ids, in characters. */
export const SESSION_ID_LENGTH_MAX = 200;
export const THREAD_ID_LENGTH_MAX = 64;
export const RUN_ID_LENGTH_MAX = 128;
/** Longest name of a journal file that exists already, in characters (its ending included). */
export const FILE_NAME_LENGTH_MAX = 255;
/** How far a stream's last `created_at` may be ahead of the wall clock and still be repeated. */
export const CREATED_AT_AHEAD_US: number = 60 * 60 * 1_000_000;

/** Where the states of a disk with little room begin and end, by what is free. All in bytes. */
export interface RoomLimits {
  /** The reserve: with less, appends are refused … */
  readonly fullBelowBytes: number;
  /** … until there is so much. */
  readonly fullUntilBytes: number;
  /** With less there is a warning … */
  readonly lowBelowBytes: number;
  /** … until there is so much. */
  readonly lowUntilBytes: number;
}

/**
 * Derives the limits on a disk's room, so that full < its end ≤ low < its end, and a small file
 * system has a small reserve. Without a reserve all are 0, and nothing is less.
 *
 * @param sizeBytes size of the file system
 * @param reserveBytes the reserve asked for
 */
export function roomLimits(sizeBytes: number, reserveBytes: number): RoomLimits {
  const reserve = Math.min(reserveBytes, Math.floor(sizeBytes / DISK_RESERVE_PARTS));
  return {
    fullBelowBytes: reserve,
    fullUntilBytes: 2 * reserve,
    lowBelowBytes: 4 * reserve,
    lowUntilBytes: 6 * reserve,
  };
}

/** The limits that depend on configuration. All in bytes. */
export interface SizeLimits {
  readonly eventBytesMax: number;
  readonly batchBytesMax: number;
  readonly commitBytesMax: number;
  readonly frameBytesMax: number;
  readonly segmentBytes: number;
}

/**
 * Derives the limits on sizes from the two that can be configured, so that event ≤ batch ≤ commit,
 * two commits fit a segment, and a wire frame holds a batch.
 *
 * @param segmentBytes size of a commit-log segment
 * @param eventBytes largest event asked for
 * @throws RangeError when a value lies outside its allowed range
 */
export function sizeLimits(
  segmentBytes: number = SEGMENT_BYTES_MAX,
  eventBytes: number = EVENT_BYTES_DEFAULT,
): SizeLimits {
  if (segmentBytes < SEGMENT_BYTES_MIN || segmentBytes > SEGMENT_BYTES_MAX) {
    throw new RangeError(
      `segment bytes must be from ${SEGMENT_BYTES_MIN} to ${SEGMENT_BYTES_MAX}, got ${segmentBytes}`,
    );
  }
  if (eventBytes < EVENT_BYTES_FLOOR || eventBytes > EVENT_BYTES_CEILING) {
    throw new RangeError(
      `event bytes must be from ${EVENT_BYTES_FLOOR} to ${EVENT_BYTES_CEILING}, got ${eventBytes}`,
    );
  }
  const commitBytesMax = Math.min(COMMIT_BYTES_DEFAULT, segmentBytes / SEGMENT_COMMITS_MIN);
  const eventBytesMax = Math.min(eventBytes, commitBytesMax);
  const batchBytesMax = Math.min(Math.max(BATCH_BYTES_DEFAULT, eventBytesMax), commitBytesMax);
  return {
    eventBytesMax,
    batchBytesMax,
    commitBytesMax,
    frameBytesMax: batchBytesMax + FRAME_OVERHEAD_BYTES,
    segmentBytes,
  };
}
