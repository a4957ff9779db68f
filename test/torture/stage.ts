/**
 * One act on its stage: a directory, its daemon, the clients and subscribers, and the oracle that
 * is told of everything.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type EventLog } from '../../client/index.js';
import {
  DaemonEndedError,
  type DaemonProcess,
  runDaemonProgram,
  startDaemonProcess,
  startDaemonToBeKilled,
} from '../support/daemon.js';
import type { FollowerPlan } from '../support/follower.process.js';
import { Follower } from '../support/followers.js';
import { offlineCommand } from '../support/offline.js';
import type { Scope } from '../support/scope.js';
import { heldByDaemon, heldByFiles, type Malformed, streamsOf } from './files.js';
import { checkHeld, dueNow } from './held.js';
import { type Answer, HistoryReader, type HistoryRecord, now } from './history.js';
import { Journal } from './journal.js';
import { Ledger } from './ledger.js';
import type { Act, Comeback } from './plan.js';
import { FOREIGN_SESSION } from './streams.js';
import { seeTold, type View } from './views.js';
import { Worker } from './workers.js';

const WINDOW = 6;
const PAUSE_MS = 30;

/** Who follows what; a name is that of its view in findings. */
const FOLLOWERS: readonly (Pick<FollowerPlan, 'what' | 'id'> & Partial<FollowerPlan>)[] = [
  { what: 'all', id: '' },
  { what: 'turns', id: 's0', pauseMs: 2 },
  { what: 'turns', id: FOREIGN_SESSION },
  { what: 'turns', id: 'sd' },
  { what: 'runs', id: 't0', runId: 'r1' },
  { what: 'runs', id: 'td', eventTypes: ['note'], pauseMs: 1 },
];

interface Subscriber {
  readonly follower: Follower;
  readonly view: View;
  /** How much of what it told the oracle has taken in. */
  taken: number;
}

export class Stage {
  readonly act: Act;
  readonly scope: Scope;
  /** The journal directory. */
  readonly dir: string;
  readonly ledger: Ledger = new Ledger();
  readonly journal: Journal;
  readonly workers: Worker[] = [];
  readonly subscribers: Subscriber[] = [];
  /** Lines that were damaged on purpose, and may be malformed. */
  readonly damaged: Malformed[] = [];
  recoveries = 0;
  /** What it does now. */
  doing = '';
  readonly #folder: string;
  readonly #reader: HistoryReader;
  readonly #running = new Set<Promise<void>>();
  #late: Answer[] = [];
  #daemon: DaemonProcess | null = null;
  #log: EventLog | null = null;

  constructor(scope: Scope, folder: string, act: Act) {
    this.scope = scope;
    this.act = act;
    this.#folder = folder;
    this.dir = join(folder, 'd');
    const history = join(folder, 'history');
    mkdirSync(history, { recursive: true });
    this.#reader = new HistoryReader(history);
    this.journal = new Journal(join(history, 'driver.ndjson'), 'driver');
  }

  get daemon(): DaemonProcess {
    if (this.#daemon === null) throw new Error('no daemon is running');
    return this.#daemon;
  }

  /** The driver's own client. */
  get log(): EventLog {
    if (this.#log === null) throw new Error('the driver is not connected');
    return this.#log;
  }

  /** Writes down what the driver does and sees. */
  note(what: string, facts: object = {}): void {
    this.doing = what;
    const line = JSON.stringify({ at: now(), what, ...facts });
    appendFileSync(join(this.#folder, 'driver.log'), `${line}\n`);
  }

  async open(): Promise<void> {
    const { act, scope, dir } = this;
    await this.start();
    this.#log = await connect({ dir, clientName: 'torture' });
    scope.teardown(() => this.#log?.close());
    for (let at = 0; at < act.clients; at += 1) {
      const name = `w${at}`;
      const journal = join(this.#folder, 'history', `${name}.ndjson`);
      const seed = act.seed + at * 104_729;
      const { paddingMax } = act;
      const plan = { dir, name, journal, seed, window: WINDOW, pauseMs: PAUSE_MS, paddingMax };
      this.workers.push(new Worker(scope, plan));
    }
    for (const [at, one] of FOLLOWERS.entries()) {
      const follower = new Follower(scope, { dir, pauseMs: 0, ends: null, ...one });
      const { what, id, runId, eventTypes } = one;
      const view: View = {
        name: `subscriber ${at}`,
        stream: what === 'all' ? null : `${what}/${id}`,
        ...(runId === undefined ? {} : { runId }),
        ...(eventTypes === undefined ? {} : { eventTypes }),
        told: follower.told,
      };
      this.subscribers.push({ follower, view, taken: 0 });
    }
  }

  /** Starts the daemon, which must come to listen. */
  async start(): Promise<void> {
    const { dir, act } = this;
    try {
      this.#daemon = await startDaemonProcess(this.scope, {
        dir,
        args: ['--segment-bytes', act.segmentBytes, '--log-level', 'info'],
      });
    } catch (error) {
      if (!(error instanceof DaemonEndedError)) throw error;
      this.ledger.find('start', `the daemon did not start: ${error.message}`);
      throw error;
    }
    const { daemon } = this;
    this.note('started', { pid: daemon.process.pid });
    this.scope.teardown(() => {
      this.#daemon = null;
    });
    void daemon.ended.then((code) => {
      if (this.#daemon !== daemon) return;
      this.ledger.find('exit', `the daemon ended by itself with ${code}: ${daemon.output()}`);
    });
  }

  /** Ends the daemon and says how that should end. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const daemon = this.daemon;
    this.#daemon = null;
    const code = await daemon.kill(signal);
    const expected = signal === 'SIGTERM' ? 0 : null;
    if (code !== expected)
      this.ledger.find('exit', `the daemon ended with ${code} by ${signal}: ${daemon.output()}`);
    this.note('ended', { signal, code, output: daemon.output() });
  }

  /** Brings the daemon back after it died, and looks at what is there. */
  async comeBack({ how, killedStarts }: Comeback): Promise<void> {
    for (const ms of killedStarts) {
      const starting = startDaemonToBeKilled(this.scope, this.dir);
      await delay(ms);
      await starting.kill();
    }
    if (how === 'recover') await this.recover();
    await this.start();
    await this.look();
    this.recoveries += 1;
  }

  /** Recovers without a daemon, and reads the files as any program does. */
  async recover(): Promise<void> {
    const due = this.dueNow();
    const { code, output } = await runDaemonProgram(['recover', '--dir', this.dir]);
    this.note('recovered', { code, output });
    if (code !== 0) this.ledger.find('recover', `eventlogd recover ended with ${code}: ${output}`);
    this.lookAtFiles(due);
  }

  /** What must be there, whatever is read from now on. */
  dueNow(): ReturnType<typeof dueNow> {
    this.feed();
    return dueNow(this.ledger);
  }

  /** Compares the files with what is known. */
  lookAtFiles(due: ReturnType<typeof dueNow>): void {
    const { held, malformed } = heldByFiles(this.dir);
    this.feed();
    checkHeld(this.ledger, { by: 'the files', held, due, isWhole: true });
    for (const one of malformed) {
      const isDue = this.damaged.some(({ file, raw }) => file === one.file && raw === one.raw);
      if (!isDue) this.ledger.find('malformed', `${one.file}: ${one.raw.slice(0, 200)}`);
    }
    this.ledger.checkOutcomes();
  }

  /** Reads every stream through the daemon, while the clients go on. */
  async look(): Promise<void> {
    const due = this.dueNow();
    const names = await streamsOf(this.log);
    const streams = [...new Set([...names, ...this.#streamsDue(due.there)])];
    const all = await Promise.all(streams.map((stream) => heldByDaemon(this.log, stream)));
    this.feed();
    for (const held of all) {
      checkHeld(this.ledger, { by: 'the daemon', held: [held], due, isWhole: false });
      const isDamaged = this.damaged.some(({ file }) => file.includes(held.stream.slice(5)));
      if (held.malformed > 0 && !isDamaged)
        this.ledger.find('malformed', `the daemon tells of malformed lines in ${held.stream}`);
    }
    this.ledger.checkOutcomes();
  }

  /** Lets something go on while the next faults come; the end waits for it. */
  goOn(running: Promise<void>): void {
    this.#running.add(running);
    const over = (): void => void this.#running.delete(running);
    running.then(over, (error: unknown) => {
      over();
      this.ledger.find('driver', String(error));
    });
  }

  /** Waits for all that goes on. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** Takes in what clients and subscribers have told. */
  feed(): void {
    const told = this.subscribers.map(({ follower }) => follower.told.length);
    const until = now();
    const records: HistoryRecord[] = [...this.#late, ...this.#reader.read()];
    // What was answered later may be about events whose request was not read yet.
    this.#late = records.filter((one) => one.kind === 'answer' && one.at > until) as Answer[];
    this.ledger.take(records.filter((one) => one.kind === 'request' || one.at <= until));
    for (const [at, subscriber] of this.subscribers.entries()) {
      const { follower, view, taken } = subscriber;
      seeTold(this.ledger, view, follower.told.slice(taken, told[at]));
      subscriber.taken = told[at] ?? taken;
    }
    for (const [at, worker] of this.workers.entries()) this.#checkEnd(`client ${at}`, worker);
    for (const { follower, view } of this.subscribers) this.#checkEnd(view.name, follower);
  }

  /** Verifies the directory; of what it finds, what was not done on purpose is a finding. */
  async verify(): Promise<void> {
    const { code, rows, stderr } = await offlineCommand(this.dir, ['verify']);
    this.note('verified', { code, rows });
    if (code !== 0 && code !== 1) this.ledger.find('verify', `it ended with ${code}: ${stderr}`);
    for (const row of rows) {
      const isDamaged = this.damaged.some(({ file }) => file === row['file']);
      if (row['level'] === 'info' || isDamaged) continue;
      this.ledger.find('verify', JSON.stringify(row));
    }
  }

  #streamsDue(ids: readonly string[]): string[] {
    return ids.flatMap((id) => this.ledger.events.get(id)?.wanted.stream ?? []);
  }

  #checkEnd(name: string, { failure }: { readonly failure: string | null }): void {
    if (failure === null) return;
    this.ledger.find('process', `${name} ${failure}`);
    throw new Error(`${name} ${failure}`);
  }
}
