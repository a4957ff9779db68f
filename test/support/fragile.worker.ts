/** A lane's worker that gives back what it is asked, throws, or takes its thread with it. */
import { serveTasks, type TaskLine } from '../../daemon/workers/serve-tasks.js';

export type FragileTask = { readonly kind: 'echo' | 'throw' | 'exit'; readonly text: string };

export default (line: TaskLine): void =>
  serveTasks(line, ({ kind, text }: FragileTask): string => {
    if (kind === 'throw') throw new RangeError(text);
    if (kind === 'exit') process.exit(7);
    return text;
  });
