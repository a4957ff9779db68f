/**
 * What recovery found that is not as it should be. Nothing is dropped silently.
 *
 * @module
 */

/** One finding. */
export interface RecoveryNote {
  readonly what: 'torn' | 'quarantined' | 'removed' | 'fenced' | 'adopted' | 'redone' | 'no-room';
  readonly path: string;
  readonly detail: string;
}

/** Collects the findings. */
export class RecoveryReport {
  readonly notes: RecoveryNote[] = [];

  note(what: RecoveryNote['what'], path: string, detail: string): void {
    this.notes.push({ what, path, detail });
  }
}
