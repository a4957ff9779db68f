/** One of several processes that try the same thing at the same time; speaks JSON by IPC. */
import { connect, type EventLog, EventLogError } from '../../client/index.js';

const [dir = '', what = ''] = process.argv.slice(2);

async function attempt(log: EventLog, round: number): Promise<unknown> {
  const id = `race${round}`;
  switch (what) {
    case 'putIfAbsent': {
      const { event, created } = await log.runs.putIfAbsent({
        thread_id: id,
        run_id: 'r',
        event_type: 'delivery',
        category: 'outputs',
        content: process.pid,
      });
      return { created, seq: event.seq, content: event.content };
    }
    case 'appendForStream':
      return (await log.turns.appendForStream(id, 'stream', { event: 'note' })).turn_id;
    case 'expectedSeq':
      return (await log.turns.append(id, { event: 'note' }, { expectedSeq: 0 })).seq;
    default:
      throw new Error(`no such race: ${what}`);
  }
}

const log = await connect({ dir });
process.on('message', (round: number) => {
  attempt(log, round)
    .catch((error: unknown) => (error instanceof EventLogError ? error.code : String(error)))
    .then((result) => process.send?.({ result }))
    .catch(() => process.exit(1));
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
