/** What a client process and its parent tell each other. */

/** Append for so long, with so many calls in flight, round-robin over so many streams. */
export interface LoadOrder {
  readonly seconds: number;
  readonly inFlight: number;
  readonly streams: number;
  /** The first stream, so that processes do not walk in step. */
  readonly offset: number;
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

export type LoadReply = { readonly kind: 'ready' } | LoadDone;
