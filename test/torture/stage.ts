/**
 * One act on its stage: a directory, its daemon, the clients and subscribers, and the oracle that
 * is told of everything.
 */
import { appendFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type EventLog, StorageFailedError } from '../../client/index.js';
import {
  DaemonEndedError,
  type DaemonProcess,
  runDaemonProgram,
  startDaemonProcess,
  startDaemonToBeKilled,
} from '../support/daemon.js';
import { FaultShim } from '../support/fault-shim/fault-shim.js';
import { killAt } from '../support/fault-shim/named-points.js';
import type { Rule } from '../support/fault-shim/rules.js';
import type { FollowerPlan } from '../support/follower.process.js';
import { Follower } from '../support/followers.js';
import { copyDirectory } from '../support/journal-files.js';
import { offlineCommand } from '../support/offline.js';
import { PowerDisk } from '../support/power-disk.js';
import type { Scope } from '../support/scope.js';
import { heldByDaemon, heldByFiles, type Malformed, streamsOf } from './files.js';
import { checkHeld, dueNow } from './held.js';
import { type Answer, HistoryReader, type HistoryRecord, now } from './history.js';
import { Journal } from './journal.js';
import { Ledger } from './ledger.js';
import type { Act, Comeback } from './plan.js';
import { FOREIGN_SESSION, mayVanish } from './streams.js';
import { seeTold, type View } from './views.js';
import { Worker } from './workers.js';

const WINDOW = 6;
const PAUSE_MS = 30;
const READS_MAX = 20;
const LOOK_MS = 20;
/** How long clients may take to get on. */
const ANSWERS_MS = 3_000;
const DISK_BYTES = 512 * 1024 * 1024;

/** Who follows what; a name is that of its view in findings. */
const FOLLOWERS: readonly (Pick<FollowerPlan, 'what' | 'id'> & Partial<FollowerPlan>)[] = [
  { what: 'all', id: '' },
  { what: 'turns', id: 's0', pauseMs: 2 },
  { what: 'turns', id: FOREIGN_SESSION },
  { what: 'turns', id: 'sd' },
  { what: 'runs', id: 't0', runId: 'r1' },
  { what: 'runs', id: 'td', eventTypes: ['note'], pauseMs: 1 },
];

/** How the daemon ended: its exit code, or null after a kill; or that it runs. */
export type End = number | null | 'running';

interface Place {
  readonly folder: string;
  readonly act: Act;
  readonly shim: FaultShim | null;
  readonly disk: PowerDisk | null;
}

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
  /** What makes the daemon's disk and clock misbehave; null where it cannot be built. */
  readonly shim: FaultShim | null;
  /** The disk of the directory, if it can lose its power. */
  readonly disk: PowerDisk | null;
  readonly ledger: Ledger = new Ledger();
  readonly journal: Journal;
  readonly workers: Worker[] = [];
  readonly subscribers: Subscriber[] = [];
  /** Lines that were damaged on purpose, and may be malformed. */
  readonly damaged: Malformed[] = [];
  recoveries = 0;
  /** What it did last, and when. */
  doing: { readonly what: string; readonly since: number } = { what: '', since: now() };
  readonly #folder: string;
  readonly #socketPath: string;
  readonly #reader: HistoryReader;
  readonly #running = new Set<Promise<void>>();
  readonly #writing = new Set<Promise<void>>();
  #late: Answer[] = [];
  #daemon: DaemonProcess | null = null;
  /** Whether the daemon may end by itself now. */
  #mayEnd = false;
  #hasLostPower = false;
  #log: EventLog | null = null;

  private constructor(scope: Scope, place: Place) {
    const { folder, act, shim, disk } = place;
    this.scope = scope;
    this.act = act;
    this.shim = shim;
    this.disk = disk;
    this.#folder = folder;
    this.#socketPath = join(folder, 'socket');
    this.dir = join(disk?.folder ?? folder, 'd');
    const history = join(folder, 'history');
    mkdirSync(history, { recursive: true });
    this.#reader = new HistoryReader(history);
    this.journal = new Journal(join(history, 'driver.ndjson'), 'driver');
  }

  /** @param folder where everything of the act goes */
  static async make(scope: Scope, folder: string, act: Act): Promise<Stage> {
    const shim = FaultShim.absence() === null ? await FaultShim.make(folder) : null;
    scope.teardown(() => shim?.close());
    const hasDisk = act.isOnPowerDisk && PowerDisk.absence() === null;
    const disk = hasDisk ? await PowerDisk.make(folder, DISK_BYTES) : null;
    const stage = new Stage(scope, { folder, act, shim, disk });
    if (disk !== null) {
      scope.teardown(async () => {
        const isWanted = stage.ledger.findings.length > 0 && existsSync(stage.dir);
        if (isWanted) await copyDirectory(stage.dir, join(folder, 'd'));
        await disk.remove();
      });
    }
    return stage;
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
    this.doing = { what, since: now() };
    const line = JSON.stringify({ at: now(), what, ...facts });
    appendFileSync(join(this.#folder, 'driver.log'), `${line}\n`);
  }

  async open(): Promise<void> {
    const { act, scope, dir } = this;
    const socketPath = this.#socketPath;
    await this.start();
    this.#log = await connect({ socketPath, clientName: 'torture' });
    scope.teardown(() => this.#log?.close());
    for (let at = 0; at < act.clients; at += 1) {
      const name = `w${at}`;
      const journal = join(this.#folder, 'history', `${name}.ndjson`);
      const seed = act.seed + at * 104_729;
      const { paddingMax } = act;
      const plan = {
        socketPath,
        name,
        journal,
        seed,
        window: WINDOW,
        pauseMs: PAUSE_MS,
        paddingMax,
      };
      this.workers.push(new Worker(scope, plan));
    }
    for (const [at, one] of FOLLOWERS.entries()) {
      const follower = new Follower(scope, { dir, socketPath, pauseMs: 0, ends: null, ...one });
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
    try {
      this.#daemon = await this.#startDaemon();
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
      if (this.#daemon !== daemon || this.#mayEnd) return;
      this.ledger.find('exit', `the daemon ended by itself with ${code}: ${daemon.output()}`);
    });
  }

  /** Ends the daemon, which must end as it should. */
  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const { daemon } = this;
    const code = await this.endSomehow(signal);
    const expected = signal === 'SIGTERM' ? 0 : null;
    if (code !== expected)
      this.ledger.find('exit', `the daemon ended with ${code} by ${signal}: ${daemon.output()}`);
  }

  /** Ends the daemon; returns its exit code, null after a kill. */
  async endSomehow(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
    const { daemon } = this;
    this.#daemon = null;
    const code = await daemon.kill(signal);
    this.note('ended', { signal, code, output: daemon.output() });
    return code;
  }

  /**
   * Lets the daemon work under these rules for a while, or until it ends.
   *
   * @returns its exit code, null if it was killed, or that it still runs; the rules still hold
   */
  async workUnder(rules: readonly Rule[], ms: number): Promise<End> {
    this.shim?.set(rules);
    const over = new AbortController();
    const waiting = delay(ms, 'running' as const, { signal: over.signal });
    waiting.catch(() => undefined);
    const end = await this.#endOr(waiting);
    over.abort();
    return end;
  }

  /** Waits for a daemon that is to end by itself. */
  async endWithin(ms: number): Promise<End> {
    return await this.#endOr(delay(ms, 'running' as const));
  }

  /** As `workUnder`, and lifts the rule; what it killed at the last instant was killed by it. */
  async workUntilKilled(rule: Rule, ms: number): Promise<End> {
    const end = await this.workUnder([rule], ms);
    this.shim?.clear();
    if (end !== 'running') return end;
    // One that is dead answers no more.
    return await this.#endOr(this.log.stats().then(() => 'running' as const));
  }

  /** How the daemon ends, which it may now; or what comes first. */
  async #endOr(other: Promise<'running'>): Promise<End> {
    const { daemon } = this;
    this.#mayEnd = true;
    const end = await Promise.race([daemon.ended, other]);
    if (end !== 'running') {
      this.#daemon = null;
      this.note('ended by itself', { code: end, output: daemon.output() });
    }
    this.#mayEnd = false;
    return end;
  }

  /** Takes the power of the disk, and with it the daemon; then it is back. */
  async losePower(disk: PowerDisk): Promise<void> {
    const daemon = this.#daemon;
    this.#daemon = null;
    await disk.losePower();
    await daemon?.kill('SIGKILL');
    this.#hasLostPower = true;
    this.shim?.clear();
    await this.written();
    await disk.restorePower();
    // What other programs wrote and nobody synced may be gone.
    this.feed();
    this.ledger.powerLost();
    this.note('power lost');
  }

  /** Brings the daemon back after it died, and looks at what is there. */
  async comeBack({ how, killedStarts }: Comeback): Promise<void> {
    this.shim?.clear();
    for (const killed of killedStarts) {
      if (typeof killed === 'number') await this.#startAndKill(killed);
      else await this.#startUntil([killAt(killed.point, killed.after)]);
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
      const isDue =
        this.damaged.some(({ file, raw }) => file === one.file && raw === one.raw) ||
        (this.#hasLostPower && one.file.endsWith(`/${FOREIGN_SESSION}.jsonl`));
      if (!isDue) this.ledger.find('malformed', `${one.file}: ${one.raw.slice(0, 200)}`);
    }
    this.ledger.checkOutcomes();
  }

  /** Reads every stream through the daemon, while the clients go on. */
  async look(): Promise<void> {
    const due = this.dueNow();
    const names = await streamsOf(this.log);
    const streams = [...new Set([...names, ...this.#streamsDue(due.there)])];
    const all = await Promise.all(streams.map((stream) => this.#read(stream)));
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

  /** As `goOn`, for another program that writes to the directory. */
  write(writing: Promise<void>): void {
    this.#writing.add(writing);
    this.goOn(writing.finally(() => this.#writing.delete(writing)));
  }

  /** Waits for the other programs. */
  async written(): Promise<void> {
    await Promise.allSettled(this.#writing);
  }

  /** Waits for all that goes on. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** Waits until so many more calls were answered; not for ever, if they are slow. */
  async answers(count: number): Promise<void> {
    const deadline = performance.now() + ANSWERS_MS;
    this.feed();
    const enough = this.ledger.answered + count;
    while (this.ledger.answered < enough && performance.now() < deadline) {
      await delay(LOOK_MS);
      this.feed();
    }
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

  /** Reads a stream; a page of files that go meanwhile is to be asked for again. */
  async #read(stream: string): ReturnType<typeof heldByDaemon> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await heldByDaemon(this.log, stream);
      } catch (error) {
        const isVanished = error instanceof StorageFailedError && mayVanish(stream);
        if (!isVanished || tries === READS_MAX) throw error;
      }
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

  async #startDaemon(): Promise<DaemonProcess> {
    const { dir, act, scope, shim } = this;
    const { segmentBytes, logRetentionBytes } = act;
    const sizes = ['--segment-bytes', segmentBytes, '--log-retention-bytes', logRetentionBytes];
    const args = [...sizes, '--socket', this.#socketPath];
    return await startDaemonProcess(scope, { dir, args, env: shim?.env ?? {} });
  }

  /** A start that is killed after that time, before or after it listens. */
  async #startAndKill(ms: number): Promise<void> {
    const starting = startDaemonToBeKilled(this.scope, this.dir);
    await delay(ms);
    await starting.kill();
  }

  /** A start under rules that kill it; if it comes to listen it is killed then. */
  async #startUntil(rules: readonly Rule[]): Promise<void> {
    if (this.shim === null) return;
    this.shim.set(rules);
    try {
      const daemon = await this.#startDaemon();
      await daemon.kill('SIGKILL');
    } catch (error) {
      if (!(error instanceof DaemonEndedError)) throw error;
      if (error.code !== null) this.ledger.find('start', error.message);
    } finally {
      this.shim.clear();
    }
  }
}
