/** Interleaving: contestants take turns, so that what else the machine does meets all alike. */
import { Contestant, type ContestantPlan, type Slice } from './load/contestant.js';
import type { Bench } from './measure.js';

/** Something that is measured by turns. */
interface Turn<Result> {
  readonly title: string;
  readonly take: () => Promise<Result>;
}

/**
 * Lets each take its turn, as often as the scale says. Every repetition begins with another one,
 * so none always comes after the same neighbour.
 *
 * @returns the results of each, by title, in the order of the repetitions
 */
export async function interleave<Result>(
  bench: Bench,
  turns: readonly Turn<Result>[],
  repetitions: number = bench.scale.repetitions,
): Promise<ReadonlyMap<string, readonly Result[]>> {
  const results = new Map<string, Result[]>(turns.map(({ title }) => [title, []]));
  for (let repetition = 0; repetition < repetitions; repetition += 1) {
    for (let at = 0; at < turns.length; at += 1) {
      const turn = turns[(at + repetition) % turns.length];
      if (turn === undefined) continue;
      bench.say(`${repetition + 1}/${repetitions} ${turn.title}`);
      results.get(turn.title)?.push(await turn.take());
    }
  }
  return results;
}

/** Starts contestants, warms each up and lets them append by turns. Absent ones are left out. */
export async function race(
  bench: Bench,
  plans: readonly ContestantPlan[],
  streams: number,
): Promise<ReadonlyMap<string, readonly Slice[]>> {
  const { sliceSeconds, warmUpSeconds } = bench.scale;
  const contestants: Contestant[] = [];
  try {
    for (const plan of await present(bench, plans)) {
      contestants.push(await Contestant.start(plan, await bench.newFolder()));
    }
    for (const contestant of contestants)
      await contestant.slice({ seconds: warmUpSeconds, streams });
    return await interleave(
      bench,
      contestants.map((contestant) => ({
        title: contestant.title,
        take: () => contestant.slice({ seconds: sliceSeconds, streams }),
      })),
    );
  } finally {
    for (const contestant of contestants) await contestant[Symbol.asyncDispose]();
  }
}

async function present(bench: Bench, plans: readonly ContestantPlan[]): Promise<ContestantPlan[]> {
  const there: ContestantPlan[] = [];
  for (const plan of plans) {
    const presence = await plan.peer.presence();
    if ('missing' in presence) bench.skip(plan.title, presence.missing);
    else there.push(plan);
  }
  return there;
}
