/** What client processes and their parent tell each other. */

/** Append for so long, round-robin over so many streams, with so many calls in flight. */
export interface LoadOrder {
  readonly seconds: number;
  readonly inFlight: number;
  readonly firstStream: number;
  readonly streams: number;
  /** Where in them to begin, so that processes do not walk in step. */
  readonly offset: number;
  /** Length of each event's content. */
  readonly contentBytes: number;
}

export interface LoadDone {
  readonly kind: 'done';
  /** From call to acknowledgement, of each append. */
  readonly latenciesMs: Float64Array;
  /** When each was acknowledged, on the clock that all processes share. */
  readonly endsMs: Float64Array;
  readonly seconds: number;
  readonly cpuSeconds: number;
}

export interface Ready {
  readonly kind: 'ready';
}

/** What a follower got, when each of its subscriptions has as many events as it was asked for. */
export interface Followed {
  readonly kind: 'followed';
  /** From each event's append to its arrival. */
  readonly delaysMs: Float64Array;
}
