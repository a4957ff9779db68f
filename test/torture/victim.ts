/** A daemon to which something is done, and what the oracle says of it afterwards. */
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, type EventLog } from '../../client/index.js';
import { FILE_HEADER_BYTES, frameAt } from '../../daemon/storage/frame-format.js';
import { type DaemonProcess, startDaemonProcess } from '../support/daemon.js';
import { FaultShim } from '../support/fault-shim/fault-shim.js';
import { eventually } from '../support/faults.js';
import type { PowerDisk } from '../support/power-disk.js';
import type { Scope } from '../support/scope.js';
import { send } from './calls.js';
import { heldByDaemon } from './files.js';
import { checkHeld, dueNow } from './held.js';
import { type Answer, HistoryReader, type Wanted } from './history.js';
import { Journal } from './journal.js';
import { type Finding, Ledger } from './ledger.js';

const STREAM = 'turns/s';
const ROUND_TRIPS = 5;

/** Where a victim lives. */
export interface Place {
  readonly scope: Scope;
  readonly disk: PowerDisk;
  /** The daemon of another build. */
  readonly program?: string;
}

/** A client, and the journal of what it asks and is answered. */
export interface Caller {
  readonly log: EventLog;
  readonly journal: Journal;
}

interface AppendOptions {
  /** Ends the turn, of which all events are. */
  readonly ends?: boolean;
  readonly unlessTerminal?: boolean;
  readonly signal?: AbortSignal;
}

/** A daemon whose disk loses power and refuses calls, and those who append to one session of it. */
export class Victim {
  readonly dir: string;
  readonly shim: FaultShim;
  readonly #place: Place;
  readonly #history: string;
  readonly #asked: Promise<Answer>[] = [];
  #callers = 0;
  #daemon: DaemonProcess | undefined;

  private constructor(place: Place, shim: FaultShim) {
    this.dir = join(place.disk.folder, 'd');
    this.shim = shim;
    this.#place = place;
    this.#history = join(place.disk.folder, '..', 'history');
    mkdirSync(this.#history);
  }

  static async start(place: Place): Promise<Victim> {
    const shim = await FaultShim.make(join(place.disk.folder, '..'));
    place.scope.teardown(() => shim.close());
    const victim = new Victim(place, shim);
    await victim.startAgain();
    return victim;
  }

  async startAgain(): Promise<void> {
    const { scope, program } = this.#place;
    const options = { dir: this.dir, env: this.shim.env };
    this.#daemon = await startDaemonProcess(
      scope,
      program === undefined ? options : { ...options, program },
    );
  }

  async caller(): Promise<Caller> {
    const log = await connect({ dir: this.dir, timeoutMs: 60_000 });
    this.#place.scope.teardown(() => log.close());
    const name = `c${this.#callers}`;
    this.#callers += 1;
    return { log, journal: new Journal(join(this.#history, `${name}.ndjson`), name) };
  }

  /** Appends an event with that content, and keeps what is answered. */
  append({ log, journal }: Caller, id: string, options: AppendOptions = {}): Promise<Answer> {
    const { ends, ...asked } = options;
    const type = ends === true ? 'completed' : 'token';
    const wanted: Wanted = { id, stream: STREAM, run: null, type, padding: 0, turn: 'turn' };
    const request = { operation: 'append', events: [wanted] } as const;
    const answer = journal.ask(request, () => send(log, request, asked));
    this.#asked.push(answer);
    return answer;
  }

  /** Waits until the only rule was met. */
  async isMet(): Promise<void> {
    await eventually(
      async () => this.shim.hits()[0],
      (hits) => hits === 1,
    );
  }

  /** The daemon ends with the power, without time for anything; then it is back, without rules. */
  async losePower(): Promise<void> {
    this.#daemon?.process.kill('SIGSTOP');
    await this.#place.disk.losePower();
    await this.kill();
    await this.#place.disk.restorePower();
  }

  async kill(): Promise<void> {
    await this.#daemon?.kill('SIGKILL');
    this.shim.clear();
  }

  /** The first frame of the log, and the whole of the file in which it stands. */
  firstFrame(): { readonly path: string; readonly bytes: Buffer; readonly payload: Uint8Array } {
    const folder = join(this.dir, '.eventlogd', 'commitlog');
    const [name = ''] = readdirSync(folder).filter((file) => file.endsWith('.log'));
    const path = join(folder, name);
    const bytes = readFileSync(path);
    const first = frameAt(bytes, FILE_HEADER_BYTES);
    if (first.kind !== 'frame') throw new Error(`${path} begins with no frame`);
    return { path, bytes, payload: first.payload };
  }

  /** What the oracle of the torture finds once everything is answered. */
  async findings(): Promise<readonly Finding[]> {
    await Promise.all(this.#asked);
    const ledger = new Ledger();
    ledger.hasDiskFaults = true;
    ledger.take(new HistoryReader(this.#history).read());
    const due = dueNow(ledger);
    const { log } = await this.caller();
    const held = [await heldByDaemon(log, STREAM)];
    checkHeld(ledger, { by: 'the daemon', held, due, isWhole: true });
    ledger.checkOutcomes();
    return ledger.findings;
  }
}

/** Whatever the daemon had to say before is said: it answers in order. */
export async function hasSpoken({ log }: Caller): Promise<void> {
  for (let at = 0; at < ROUND_TRIPS; at += 1) await log.stats();
}
