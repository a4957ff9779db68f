/**
 * Which files each session has: its own, and the shards that newer old libraries made. A folder
 * of all sessions is read as a whole, and only again when it changed.
 *
 * @module
 */
import { readdir, stat } from 'node:fs/promises';
import { sessionOfFile } from '../storage/layout.js';
import { byCodeUnit } from './load.js';

/** Changes of a folder within this time of reading it may leave its time stamp as it is. */
const TIMESTAMP_GRAIN_NS = 20_000_000n;

/** What the folder held when it was read. */
interface Listing {
  readonly files: ReadonlyMap<string, readonly string[]>;
  readonly changedNs: bigint;
  readonly certain: boolean;
}

/** The files of all sessions. */
export class SessionFiles {
  readonly #folder: string;
  #listing: Listing | null = null;
  #reading: Promise<Listing> | null = null;
  #next: Promise<Listing> | null = null;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The names of a session's files. */
  async of(sessionId: string): Promise<readonly string[]> {
    return (await this.#current()).files.get(sessionId) ?? [];
  }

  /** The files of every session, by its id. */
  async all(): Promise<ReadonlyMap<string, readonly string[]>> {
    return (await this.#current()).files;
  }

  /** Every session with a file, in the order of code units. */
  async sessionIds(): Promise<string[]> {
    return [...(await this.#current()).files.keys()].sort(byCodeUnit);
  }

  async #current(): Promise<Listing> {
    const known = this.#listing;
    if (known?.certain === true && (await changeTime(this.#folder)) === known.changedNs)
      return known;
    // A listing that began before this call may have missed what happened before it.
    if (this.#reading === null) return this.#read();
    this.#next ??= this.#reading.then(() => {
      this.#next = null;
      return this.#read();
    });
    return this.#next;
  }

  #read(): Promise<Listing> {
    this.#reading = listFolder(this.#folder)
      .then((listing) => {
        this.#listing = listing;
        return listing;
      })
      .finally(() => {
        this.#reading = null;
      });
    return this.#reading;
  }
}

async function listFolder(folder: string): Promise<Listing> {
  const changedNs = await changeTime(folder);
  const files = new Map<string, string[]>();
  for (const name of await namesIn(folder)) {
    const session = sessionOfFile(name);
    if (session === null) continue;
    const list = files.get(session.id);
    if (list === undefined) files.set(session.id, [name]);
    else list.push(name);
  }
  const certain = BigInt(Date.now()) * 1_000_000n - changedNs > TIMESTAMP_GRAIN_NS;
  return { files, changedNs, certain };
}

async function changeTime(folder: string): Promise<bigint> {
  try {
    return (await stat(folder, { bigint: true })).mtimeNs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0n;
    throw error;
  }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
