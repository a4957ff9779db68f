/**
 * What the committer needs of the streams.
 *
 * @module
 */
import type { DeletionPlan } from '../streams/deletion-plan.js';
import type { Stream } from '../streams/stream.js';
import type { Failure } from '../workers/failure.js';

export interface StreamSource {
  /** Opens the file for appending, or notes why not, and then calls `kick`. */
  prepareFile(stream: Stream, fileName: string): void;
  /** Reads the stream anew, for its files hold less than they did, or something else. */
  reload(stream: Stream): void;
  /** Takes in what others appended; returns the number of the adoption that will have done so. */
  adopt(stream: Stream): number;
  /** A batch with events of the stream was taken in, or came to nothing. */
  landed(stream: Stream): void;
  /** The stream's state is no longer what the catalog knows. */
  changed(stream: Stream): void;
  /** A deletion is durable in the log: moves the files to the trash. */
  remove(stream: Stream, deletion: StreamDeletion): Promise<Failure | null>;
}

/** A deletion that is durable in the log. */
export interface StreamDeletion extends DeletionPlan {
  readonly position: number;
  /** The run, or null for the whole stream. */
  readonly runId: string | null;
}
