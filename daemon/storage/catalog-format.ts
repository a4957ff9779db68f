/**
 * What the catalog keeps of each stream and of what clients may send again, and its bytes.
 *
 * A catalog file is a file header and frames: the first holds everything, each later one what
 * changed. A frame's positions say how far it covers the commit log.
 *
 * @module
 */
import { Packr, Unpackr } from 'msgpackr';
import type { StreamName } from './layout.js';
import type { FileMark, NumberedRange } from './log-records.js';

/** Where a line lies, for the turns that are still open. */
export interface LineRef {
  readonly fileName: string;
  readonly offset: number;
  readonly length: number;
  readonly seq: number;
}

/** A turn without a terminal event. */
export interface OpenTurn {
  readonly turnId: string;
  readonly submitted: LineRef | null;
  readonly latest: LineRef;
}

/** What the catalog keeps of a stream that lives. */
export interface CatalogEntry extends StreamName {
  readonly generation: number;
  /** The greatest seq ever assigned in this life: the next one is above it. */
  readonly lastSeq: number;
  /** The stamp of the last event, in microseconds since 1970. */
  readonly lastCreatedAtUs: number;
  readonly files: readonly FileMark[];
  readonly ranges: readonly NumberedRange[];
  readonly openTurns: readonly OpenTurn[];
  /** Why appends are refused, or null. */
  readonly fence: string | null;
  /** Files whose lines from a position on are committed but not covered by their marks. */
  readonly behind: readonly { readonly fileName: string; readonly from: number }[];
}

/** The places of events that one append made, contiguous ones together. */
export interface AckRun extends StreamName {
  readonly generation: number;
  readonly firstSeq: number;
  readonly firstPosition: number;
  readonly count: number;
}

/** What an append or deletion is answered with when it is sent again. */
export interface RememberedResult {
  readonly runs: readonly AckRun[];
  /** A deletion's number of events. */
  readonly count: number;
  readonly fingerprint: Uint8Array | null;
  readonly atMs: number;
}

/** An idempotency key and its first result. */
export interface RememberedKey extends StreamName {
  readonly key: string;
  readonly result: RememberedResult;
}

/** A client and the results that it may still ask for. */
export interface RememberedClient {
  readonly clientId: string;
  readonly lowest: number;
  readonly atMs: number;
  readonly results: readonly (readonly [number, RememberedResult])[];
}

/** A stream's name, its entry, to be unpacked when it is needed, and the first position that one of its files is behind from. */
export type PackedEntry = readonly [StreamName['journal'], string, Uint8Array, number | null];

/** What one catalog frame says. */
export interface CatalogFrame {
  /** Whether the daemon stopped after it, with nothing left to recover. */
  readonly cleanStop: boolean;
  readonly entries: readonly PackedEntry[];
  readonly removed: readonly StreamName[];
  readonly keys: readonly RememberedKey[];
  readonly clients: readonly RememberedClient[];
  readonly forgottenClients: readonly string[];
}

const packr = new Packr({ useRecords: false, variableMapSize: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true });

/** The payload of a catalog frame. */
export function encodeCatalogFrame(frame: CatalogFrame): Uint8Array {
  return Uint8Array.from(packr.pack(frame));
}

export function decodeCatalogFrame(payload: Uint8Array): CatalogFrame {
  return unpackr.unpack(payload) as CatalogFrame;
}

export function encodeEntry(entry: CatalogEntry): Uint8Array {
  return Uint8Array.from(packr.pack(entry));
}

export function decodeEntry(bytes: Uint8Array): CatalogEntry {
  return unpackr.unpack(bytes) as CatalogEntry;
}

/** The first position that one of an entry's files is behind from, or null. */
export function behindFrom(entry: CatalogEntry): number | null {
  return entry.behind.length === 0 ? null : Math.min(...entry.behind.map(({ from }) => from));
}
