/**
 * What verify finds, and how bad it is.
 *
 * @module
 */
import type { Journal } from '../../shared/events.js';

/**
 * How bad a finding is. `info`: as it should be, or explained by what the daemon knows; `finding`:
 * wrong, but nothing that was promised is lost; `corrupt`: the daemon refuses to start on it.
 */
export type Level = 'info' | 'finding' | 'corrupt';

export type FindingKind =
  | 'malformed'
  | 'torn'
  | 'seq-gap'
  | 'seq-repeat'
  | 'seq-order'
  | 'seq-clash'
  | 'file-changed'
  | 'file-removed'
  | 'fenced'
  | 'ignored-name'
  | 'unreadable'
  | 'log-damaged'
  | 'log-torn'
  | 'log-format'
  | 'positions-lost'
  | 'catalog-damaged'
  | 'catalog-torn'
  | 'not-recovered'
  | 'repair-unfinished'
  | 'quarantined';

/** One finding. */
export interface Finding {
  readonly level: Level;
  readonly kind: FindingKind;
  readonly journal?: Journal;
  readonly stream?: string;
  /** Relative to the journal directory. */
  readonly file: string;
  /** 1-based. */
  readonly line?: number;
  /** In bytes. */
  readonly offset?: number;
  /** A malformed line as text, bad bytes as U+FFFD, and its true length where it is cut. */
  readonly raw?: string;
  readonly rawBytes?: number;
  readonly detail: string;
}

export type OnFinding = (finding: Finding) => void;
