/** The clients and subscribers of an act: who they are, and what they have told. */
import { join } from 'node:path';
import type { FollowerPlan } from '../support/follower.process.js';
import { Follower } from '../support/followers.js';
import type { Scope } from '../support/scope.js';
import { type Answer, HistoryReader, type HistoryRecord, now } from './history.js';
import type { Ledger } from './ledger.js';
import type { Act } from './plan.js';
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

/** Whom clients and subscribers talk to, and where clients write what they ask and are told. */
export interface CastPlan {
  readonly act: Act;
  readonly dir: string;
  readonly socketPath: string;
  readonly history: string;
}

/** Everybody who works with the daemon of an act. */
export class Cast {
  readonly workers: Worker[] = [];
  readonly subscribers: Subscriber[] = [];
  readonly #plan: CastPlan;
  readonly #reader: HistoryReader;
  #late: Answer[] = [];

  constructor(plan: CastPlan) {
    this.#plan = plan;
    this.#reader = new HistoryReader(plan.history);
  }

  /** Starts them all. */
  enter(scope: Scope): void {
    const { act, dir, socketPath, history } = this.#plan;
    const { paddingMax } = act;
    for (let at = 0; at < act.clients; at += 1) {
      const name = `w${at}`;
      const journal = join(history, `${name}.ndjson`);
      const seed = act.seed + at * 104_729;
      const sizes = { window: WINDOW, pauseMs: PAUSE_MS, paddingMax };
      this.workers.push(new Worker(scope, { socketPath, name, journal, seed, ...sizes }));
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

  /** Gives the oracle what they have told since; none of them may have ended by itself. */
  feed(ledger: Ledger): void {
    const told = this.subscribers.map(({ follower }) => follower.told.length);
    const until = now();
    const records: HistoryRecord[] = [...this.#late, ...this.#reader.read()];
    // What was answered later may be about events whose request was not read yet.
    this.#late = records.filter((one) => one.kind === 'answer' && one.at > until) as Answer[];
    ledger.take(records.filter((one) => one.kind === 'request' || one.at <= until));
    for (const [at, subscriber] of this.subscribers.entries()) {
      const { follower, view, taken } = subscriber;
      seeTold(ledger, view, follower.told.slice(taken, told[at]));
      subscriber.taken = told[at] ?? taken;
    }
    for (const [at, worker] of this.workers.entries()) checkEnd(ledger, `client ${at}`, worker);
    for (const { follower, view } of this.subscribers) checkEnd(ledger, view.name, follower);
  }
}

function checkEnd(
  ledger: Ledger,
  name: string,
  { failure }: { readonly failure: string | null },
): void {
  if (failure === null) return;
  ledger.find('process', `${name} ${failure}`);
  throw new Error(`${name} ${failure}`);
}
