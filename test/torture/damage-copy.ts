/**
 * Damage to what was durable. It is done to a copy of the directory, which is thrown away
 * afterwards: what was lost by the damage is no fault of the daemon, to hide it would be.
 */
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { runDaemonProgram } from '../support/daemon.js';
import { copyDirectory, journalPaths } from '../support/journal-files.js';
import { contentsOf, framesOf, offlineCommand } from '../support/offline.js';
import { cut, flipBit, provenFrames, type Span, zero } from './damage.js';
import { heldByFiles } from './files.js';
import type { Of } from './plan.js';
import type { Stage } from './stage.js';

type Damage = Of<'damage'>;

const CORRUPT = 65;

/** Kills the daemon, damages a copy, sees what becomes of it, and goes on with the original. */
export async function damageCopy(stage: Stage, fault: Damage): Promise<'done' | 'skipped'> {
  await stage.daemon.end('SIGKILL');
  const copy = `${stage.dir}-damaged`;
  const due = stage.dueNow().there;
  await copyDirectory(stage.dir, copy);
  const done = await CHECKS[fault.what]({ stage, copy, due, fault });
  rmSync(copy, { recursive: true });
  await stage.comeBack(fault.comeback);
  return done;
}

interface Scene {
  readonly stage: Stage;
  readonly copy: string;
  /** What must be there. */
  readonly due: readonly string[];
  readonly fault: Damage;
}

const CHECKS = { log: damageLog, catalog: damageCatalog, journal: damageJournal } as const;

/** Damage of a frame that was durable is refused, and nothing is changed. */
async function damageLog({ stage, copy, fault }: Scene): Promise<'done' | 'skipped'> {
  const frames = provenFrames(copy);
  const frame = frames[fault.nth % Math.max(1, frames.length)];
  if (frame === undefined) return 'skipped';
  const span = { path: frame.path, from: frame.offset, to: frame.end };
  // Nothing could tell a log that was cut in its last file from one that ends there.
  const isLast = framesOf(copy, 'log').at(-1)?.path === frame.path;
  const how = fault.how === 'cut' && isLast ? 'zeros' : fault.how;
  const what = spoil(span, { ...fault, how });
  if (what === null) return 'skipped';
  stage.note('damaged', { file: relative(copy, frame.path), ...what });
  const before = logOf(copy);
  const { code, output } = await runDaemonProgram(['recover', '--dir', copy]);
  const where = `${JSON.stringify(what)} in ${relative(copy, frame.path)}`;
  if (code !== CORRUPT)
    stage.ledger.find(
      'damage',
      `recover ended with ${code}, not ${CORRUPT}, for ${where}: ${output}`,
    );
  if (logOf(copy) !== before)
    stage.ledger.find('damage', `the damaged log was changed, for ${where}`);
  return 'done';
}

/** Damage of the catalog is refused, or nothing is lost by it. */
async function damageCatalog(scene: Scene): Promise<'done' | 'skipped'> {
  const { stage, copy, fault } = scene;
  const frames = framesOf(copy, 'catalog');
  const frame = frames[fault.nth % Math.max(1, frames.length)];
  if (frame === undefined) return 'skipped';
  const what = spoil({ path: frame.path, from: frame.offset, to: frame.end }, fault);
  if (what === null) return 'skipped';
  stage.note('damaged', { file: relative(copy, frame.path), ...what });
  const { code, output } = await runDaemonProgram(['recover', '--dir', copy]);
  if (code === CORRUPT) return 'done';
  if (code !== 0) {
    stage.ledger.find('damage', `recover of a damaged catalog ended with ${code}: ${output}`);
    return 'done';
  }
  checkKept(scene, new Set(), `after damage of the catalog (${JSON.stringify(what)})`);
  return 'done';
}

/** Damage of a journal file is told of and hides no other line. */
async function damageJournal(scene: Scene): Promise<'done' | 'skipped'> {
  const { stage, copy, fault } = scene;
  const files = journalPaths(copy).filter((file) => statSync(join(copy, file)).size > 0);
  const file = files[fault.nth % Math.max(1, files.length)];
  if (file === undefined) return 'skipped';
  const path = join(copy, file);
  const bytes = readFileSync(path);
  const line = lineAt(bytes, Math.floor((bytes.length - 1) * fault.share));
  const what = spoil(
    { path, ...line },
    { ...fault, how: fault.how === 'cut' ? 'flip' : fault.how },
  );
  if (what === null) return 'skipped';
  stage.note('damaged', { file, ...what });
  const touched = idIn(bytes.subarray(line.from, line.to));
  const { code, output } = await runDaemonProgram(['recover', '--dir', copy]);
  if (code !== 0) stage.ledger.find('damage', `recover of ${file} ended with ${code}: ${output}`);
  const where = `after damage of ${file} (${JSON.stringify(what)})`;
  checkKept(scene, new Set(touched), where);
  const { malformed } = heldByFiles(copy);
  const verified = await offlineCommand(copy, ['verify']);
  const isTold = verified.rows.some((row) => row['file'] === file && row['level'] !== 'info');
  if (malformed.length > 0 && !isTold)
    stage.ledger.find('damage', `verify tells nothing of it ${where}`);
  return 'done';
}

/** All that was acknowledged is in the files, save what was touched. */
function checkKept({ stage, copy, due }: Scene, touched: ReadonlySet<string>, where: string): void {
  const held = new Set(heldByFiles(copy).held.flatMap(({ rows }) => rows.map(({ id }) => id)));
  for (const id of due) {
    const facts = stage.ledger.events.get(id);
    if (facts === undefined || held.has(id) || touched.has(id)) continue;
    if (!stage.ledger.mayBeDeleted(facts))
      stage.ledger.find('damage', `${id} of ${facts.wanted.stream} is lost ${where}`);
  }
}

/** Damages the span; returns what was done to it, or null if it was zeros that became zeros. */
function spoil({ path, from, to }: Span, { how, nth, share }: Damage): object | null {
  const before = readFileSync(path);
  const at = from + Math.floor((to - from) * share);
  if (how === 'flip') flipBit(path, at, nth % 8);
  else if (how === 'zeros') zero({ path, from: at, to });
  else cut(path, at);
  return readFileSync(path).equals(before) ? null : { how, at, from, to };
}

function lineAt(bytes: Buffer, offset: number): { readonly from: number; readonly to: number } {
  const end = bytes.indexOf('\n', offset);
  const from = offset === 0 ? 0 : bytes.lastIndexOf('\n', offset - 1) + 1;
  return { from, to: end === -1 ? bytes.length : end };
}

function idIn(line: Buffer): string[] {
  try {
    return [String((JSON.parse(line.toString()) as { readonly content?: unknown }).content)];
  } catch {
    return [];
  }
}

/** The bytes of the commit log. */
function logOf(dir: string): string {
  return JSON.stringify(contentsOf(join(dir, '.eventlogd', 'commitlog')));
}
