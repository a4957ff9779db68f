/** The moments of the daemon's work at which a torture run kills it, each by its name. */
import type { Call, Rule } from './rules.js';

/** Files, or folders, of one use. */
export type Place = 'log' | 'spare' | 'catalog' | 'journal' | 'trash' | 'quarantine' | 'directory';

/** Globs of what the daemon writes, for the `paths` of rules. */
export const PATHS: Record<Place, readonly string[]> = {
  log: ['*/.eventlogd/commitlog/*.log'],
  spare: ['*/.eventlogd/commitlog/spare*'],
  catalog: ['*/.eventlogd/checkpoint-*'],
  journal: ['*/_turn_journal/*.jsonl', '*/threads/*/runs/*.jsonl'],
  trash: ['*/.eventlogd/trash/*'],
  quarantine: ['*/.eventlogd/quarantine/*'],
  directory: ['*/'],
};

/** How much of a torn write is done: not the whole of any header, frame or line. */
const TORN_BYTES = 13;

const STEPS = {
  write: ['write'],
  fsync: ['fsync', 'fdatasync'],
  create: ['create'],
  rename: ['rename'],
  unlink: ['unlink'],
  truncate: ['truncate'],
  mkdir: ['mkdir'],
} as const satisfies Record<string, readonly Call[]>;

/** What the daemon does to each place, in whatever order. */
const DONE: Record<Place, readonly (keyof typeof STEPS)[]> = {
  log: ['write', 'fsync', 'truncate', 'rename', 'unlink'],
  spare: ['create', 'write', 'fsync', 'rename'],
  catalog: ['create', 'write', 'fsync', 'rename', 'unlink'],
  journal: ['create', 'write', 'fsync', 'rename'],
  trash: ['mkdir', 'rename', 'unlink'],
  quarantine: ['create', 'write', 'fsync', 'rename'],
  directory: ['mkdir', 'fsync'],
};

/** `before-log-fsync`, `after-catalog-rename`, `torn-journal-write` and so on: all there are. */
export const POINTS: readonly string[] = [...points().keys()];

/**
 * The rule that kills at a point.
 *
 * @param after how often the point is passed before
 */
export function killAt(point: string, after = 0): Rule {
  const made = points().get(point);
  if (made === undefined) throw new RangeError(`no point ${point}`);
  return { ...made, after, times: 1 };
}

function points(): Map<string, Rule> {
  const rules = new Map<string, Rule>();
  for (const [place, steps] of Object.entries(DONE) as [Place, (keyof typeof STEPS)[]][]) {
    for (const step of steps) {
      const met = { calls: STEPS[step], paths: PATHS[place] };
      for (const when of ['before', 'after'] as const) {
        rules.set(`${when}-${place}-${step}`, { ...met, effect: { kind: 'kill', when } });
      }
      if (step !== 'write') continue;
      const torn = { kind: 'kill', when: 'after', bytes: TORN_BYTES } as const;
      rules.set(`torn-${place}-write`, { ...met, effect: torn });
    }
  }
  return rules;
}
