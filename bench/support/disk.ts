/** The disk as it is, and as slow as most people's. */

/** How a process meets the disk. */
export interface Disk {
  /** Distinguishes names of comparisons; empty for the disk as it is. */
  readonly suffix: '' | '-slow-disk';
  readonly title: string;
  /** Environment of a process whose fsyncs are to go to this disk. */
  readonly environment: Readonly<Record<string, string>>;
}

export const DISK_AS_IT_IS: Disk = { suffix: '', title: '', environment: {} };
