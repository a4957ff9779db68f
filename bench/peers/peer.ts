/** What appends durably and can be measured beside the others. */
import type { Disk } from '../support/disk.js';

/** The event that everybody appends: what an agent streams. */
export interface BenchEvent {
  readonly event: string;
  readonly turn_id: string;
  readonly content: string;
}

/** One client's way to append; the promise resolves when the event would survive power loss. */
export type Append = (stream: string, event: BenchEvent) => Promise<unknown>;

/** How a stream is followed: by so many subscriptions, from now on. */
export interface Following {
  readonly stream: string;
  readonly subscriptions: number;
  readonly onContent: (content: string) => void;
}

/** What is there to append to, as client processes are told it. */
type PeerName = 'eventlogd' | 'redis' | 'sqlite' | 'old-way' | 'bare';

export interface Target {
  readonly peer: PeerName;
  /** A folder or a socket. */
  readonly at: string;
}

/** A peer that can be appended to. */
export interface Served extends AsyncDisposable {
  readonly target: Target;
  /** The process that does the work; null where clients do it themselves. */
  readonly pid: number | null;
}

type Presence = { readonly version: string } | { readonly missing: string };

export interface Peer {
  readonly name: PeerName;
  readonly title: string;
  /** Environment of client processes, which fsync themselves where there is no server. */
  readonly clientEnvironment: (disk: Disk) => Readonly<Record<string, string>>;
  /** Its version where it is there; else why it is not. */
  readonly presence: () => Promise<Presence>;
  readonly serve: (folder: string, disk: Disk) => Promise<Served>;
}
