/**
 * One act on its stage: a directory with its daemon and those who work with it, and the oracle,
 * which is told of everything and looks at everything.
 */
import { appendFileSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect, type EventLog, StorageFailedError } from '../../client/index.js';
import { runDaemonProgram } from '../support/daemon.js';
import { FaultShim } from '../support/fault-shim/fault-shim.js';
import { killAt } from '../support/fault-shim/named-points.js';
import type { Rule } from '../support/fault-shim/rules.js';
import { copyDirectory } from '../support/journal-files.js';
import { offlineCommand } from '../support/offline.js';
import { PowerDisk } from '../support/power-disk.js';
import type { Scope } from '../support/scope.js';
import { Cast } from './cast.js';
import { heldByDaemon, heldByFiles, type Malformed, streamsOf } from './files.js';
import { checkHeld, dueNow } from './held.js';
import { now } from './history.js';
import { Journal } from './journal.js';
import { Ledger } from './ledger.js';
import type { Act, Comeback } from './plan.js';
import { FOREIGN_SESSION, isRemoved } from './streams.js';
import { type End, TorturedDaemon } from './tortured-daemon.js';

const READS_MAX = 20;
const LOOK_MS = 20;
/** How long clients may take to get on. */
const ANSWERS_MS = 3_000;
const DISK_BYTES = 512 * 1024 * 1024;

interface Place {
  readonly folder: string;
  readonly act: Act;
  readonly shim: FaultShim | null;
  readonly disk: PowerDisk | null;
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
  readonly daemon: TorturedDaemon;
  readonly cast: Cast;
  /** Lines that were damaged on purpose, and may be malformed. */
  readonly damaged: Malformed[] = [];
  recoveries = 0;
  /** What it did last, and when. */
  doing: { readonly what: string; readonly since: number } = { what: '', since: now() };
  readonly #folder: string;
  readonly #socketPath: string;
  readonly #running = new Set<Promise<void>>();
  readonly #writing = new Set<Promise<void>>();
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
    this.journal = new Journal(join(history, 'driver.ndjson'), 'driver');
    const { dir, ledger } = this;
    const socketPath = this.#socketPath;
    const note = this.note.bind(this);
    this.daemon = new TorturedDaemon({ scope, act, dir, socketPath, shim, ledger, note });
    this.cast = new Cast({ act, dir, socketPath, history });
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
    await this.daemon.start();
    this.#log = await connect({ socketPath: this.#socketPath, clientName: 'torture' });
    this.scope.teardown(() => this.#log?.close());
    this.cast.enter(this.scope);
  }

  /** Lets the daemon work until the rule kills it; lifts the rule. */
  async workUntilKilled(rule: Rule, ms: number): Promise<End> {
    const end = await this.daemon.workUnder([rule], ms);
    this.shim?.clear();
    if (end !== 'running') return end;
    // What it killed at the last instant was killed by it: one that is dead answers no more.
    return await this.daemon.endOr(this.log.stats().then(() => 'running' as const));
  }

  /** Takes the power of the disk, and with it the daemon; then it is back. */
  async losePower(disk: PowerDisk): Promise<void> {
    await this.daemon.endBy(() => disk.losePower());
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
      if (typeof killed === 'number') await this.daemon.startAndKill(killed);
      else await this.daemon.startUntil([killAt(killed.point, killed.after)]);
    }
    if (how === 'recover') await this.recover();
    await this.daemon.start();
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
    this.cast.feed(this.ledger);
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

  /** Reads a stream; a page of files that another program removes is to be asked for again. */
  async #read(stream: string): ReturnType<typeof heldByDaemon> {
    for (let tries = 1; ; tries += 1) {
      try {
        return await heldByDaemon(this.log, stream);
      } catch (error) {
        const isVanished = error instanceof StorageFailedError && isRemoved(stream);
        if (!isVanished || tries === READS_MAX) throw error;
      }
    }
  }

  #streamsDue(ids: readonly string[]): string[] {
    return ids.flatMap((id) => this.ledger.events.get(id)?.wanted.stream ?? []);
  }
}
