/** Client processes under way, and whether what they were told is what the journals hold. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ExecutionContext } from 'ava';
import type { Outcome } from './appending.js';
import type { WriterPlan } from './writer.process.js';

const PROGRAM = fileURLToPath(new URL('./writer.process.js', import.meta.url));

/** Client processes that append to one thread and one session. */
export class Writers {
  /** What came of their appends, as far as they have told. */
  readonly outcomes: Outcome[] = [];
  readonly #ended: Promise<number | null>[] = [];
  readonly #children: ChildProcess[] = [];
  #errors = '';
  #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  constructor(t: ExecutionContext, count: number, plan: Omit<WriterPlan, 'writer'>) {
    for (let at = 0; at < count; at += 1) this.#start({ ...plan, writer: `w${at}` });
    t.teardown(() => {
      for (const child of this.#children) child.kill('SIGKILL');
    });
  }

  /** The number of appends that were acknowledged. */
  get acked(): number {
    return this.outcomes.filter(({ outcome }) => outcome === 'acked').length;
  }

  /** Waits until so many more appends were answered. */
  async answers(more: number): Promise<void> {
    const count = this.outcomes.length + more;
    await new Promise<void>((resolve) => {
      this.#waiting.push({ count, resolve });
    });
  }

  /** Lets each append so many times more. */
  grant(count: number): void {
    for (const { stdin } of this.#children) stdin?.write(`${count}\n`);
  }

  /** Lets them finish what they were granted; throws unless all ended well. */
  async stop(): Promise<void> {
    for (const { stdin } of this.#children) stdin?.end();
    await this.ended();
  }

  /** Waits for their end; throws unless all ended well. */
  async ended(): Promise<void> {
    const codes = await Promise.all(this.#ended);
    if (codes.some((code) => code !== 0)) throw new Error(`${codes.join()}: ${this.#errors}`);
  }

  #start(plan: WriterPlan): void {
    const child = spawn(process.execPath, [PROGRAM, JSON.stringify(plan)], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stderr.on('data', (chunk: Buffer) => {
      this.#errors += chunk.toString();
    });
    child.stdin.on('error', () => undefined);
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.outcomes.push(JSON.parse(line) as Outcome);
      const reached = this.#waiting.filter(({ count }) => count <= this.outcomes.length);
      this.#waiting = this.#waiting.filter((one) => !reached.includes(one));
      for (const { resolve } of reached) resolve();
    });
    this.#children.push(child);
    this.#ended.push(once(child, 'close').then(([code]) => code as number | null));
  }
}

/** An event as a check needs it; the writers' contents are texts. */
export interface Held {
  readonly seq: number;
  readonly content?: unknown;
}

/**
 * Checks a stream against what the writers were told: seqs are 1..n; every acknowledged event is
 * there once, at its seq; nothing that was called not-committed is there; batches are whole; each
 * writer's order is kept.
 */
export function checkStream(
  t: ExecutionContext,
  events: readonly Held[],
  outcomes: readonly Outcome[],
): void {
  const inOrder = [...events].sort((a, b) => a.seq - b.seq);
  const wrong = inOrder.findIndex(({ seq }, at) => seq !== at + 1);
  if (wrong !== -1) t.fail(`seq ${inOrder[wrong]?.seq} where ${wrong + 1} is due`);
  const byContent = new Map(inOrder.map(({ content, seq }) => [content, seq]));
  t.is(byContent.size, inOrder.length, 'an event is there twice');
  for (const { writer, number, size, outcome, seqs, journal } of outcomes) {
    const found = Array.from({ length: size }, (_, index) =>
      byContent.get(`${writer}-${number}-${index}`),
    );
    const there = found.filter((seq) => seq !== undefined);
    const name = `${journal} ${writer}-${number} (${outcome})`;
    if (there.length !== 0 && there.length !== size)
      t.fail(`${name}: half a batch: ${found.join()}`);
    if (outcome === 'acked' && found.join() !== seqs.join())
      t.fail(`${name}: acknowledged at ${seqs.join()}, found at ${found.join()}`);
    if (outcome === 'not-committed' && there.length > 0)
      t.fail(`${name}: found at ${found.join()}`);
  }
  checkOrder(t, inOrder);
}

function checkOrder(t: ExecutionContext, inOrder: readonly Held[]): void {
  const last = new Map<string, readonly [number, number]>();
  for (const { content } of inOrder) {
    const parts = String(content).split('-');
    const [writer, number, index] = [parts[0] ?? '', Number(parts[1]), Number(parts[2])];
    const [beforeNumber, beforeIndex] = last.get(writer) ?? [0, 0];
    const follows = number > beforeNumber || (number === beforeNumber && index === beforeIndex + 1);
    if (!follows) t.fail(`${String(content)} comes after ${writer}-${beforeNumber}-${beforeIndex}`);
    last.set(writer, [number, index]);
  }
}
