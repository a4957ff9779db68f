/**
 * What is to be done to the commit log and the catalog so that a daemon starts on them again.
 * Pure: from a survey to a plan.
 *
 * @module
 */
import { relative } from 'node:path';
import type { PositionRange, SurveyedSegment } from '../recovery/survey-log.js';
import type { StorageSurvey } from '../recovery/survey-storage.js';
import { type Layout, segmentNumber, segmentPath } from '../storage/layout.js';
import type { RepairAction } from './actions.js';

/** What is to be done below `.eventlogd`. */
export interface StoragePlan {
  /** Segments to be written anew: what is whole of them, and where positions are lost. */
  readonly rewrites: readonly SurveyedSegment[];
  /** Segments of which nothing is whole. */
  readonly drops: readonly string[];
  /** The segment that the log begins with where none is left, or null. */
  readonly begin: { readonly number: number; readonly path: string } | null;
  readonly mendCatalog: boolean;
  /** The last position that the mended catalog covers. */
  readonly covered: number;
  /** Whether there is something that recovery puts right. */
  readonly recover: boolean;
  readonly actions: readonly RepairAction[];
}

/** Plans the mending of log and catalog. */
export function planStorage(layout: Layout, survey: StorageSurvey): StoragePlan {
  const { log, catalogFile } = survey;
  const rewrites = log.segments.filter(({ isDamaged }) => isDamaged);
  const covered = Math.max(catalogFile.covered, log.follows ?? 0);
  const begin =
    log.segments.length === 0 && covered > 0 ? firstSegment(layout, log.hopeless) : null;
  const drops = log.hopeless.filter((path) => path !== begin?.path);
  const mendCatalog = catalogFile.isDamaged || covered > catalogFile.covered;
  const isTorn = [...log.problems, ...catalogFile.problems].some(({ kind }) => kind === 'torn');
  const isMended = rewrites.length > 0 || drops.length > 0 || begin !== null || mendCatalog;
  const plan = { rewrites, drops, begin, mendCatalog, covered, recover: isTorn || isMended };
  return { ...plan, actions: describe(layout, survey, plan) };
}

/** The name of a segment that is lost, so that numbers never go back. */
function firstSegment(
  layout: Layout,
  hopeless: readonly string[],
): { readonly number: number; readonly path: string } {
  const last = hopeless.at(-1);
  const number = last === undefined ? 1 : (segmentNumber(relative(layout.log, last)) ?? 1);
  return { number, path: segmentPath(layout, number) };
}

function describe(
  layout: Layout,
  survey: StorageSurvey,
  plan: Omit<StoragePlan, 'actions'>,
): RepairAction[] {
  const at = (path: string): string => relative(layout.dir, path);
  const actions: RepairAction[] = [];
  for (const { path, pieces } of plan.rewrites) {
    const lost = pieces.flatMap((piece) => (piece.kind === 'lost' ? [rangeOf(piece)] : []));
    const detail = `keep the segment in quarantine, write it anew with its whole frames; ${describeLost(lost, plan.covered)}`;
    actions.push({ action: 'mend-log', file: at(path), lost, detail });
  }
  for (const path of plan.drops) {
    const detail = 'keep the segment in quarantine and take it out: no frame of it is whole';
    actions.push({ action: 'drop-segment', file: at(path), detail });
  }
  if (plan.begin !== null) {
    const detail = `begin the log anew behind position ${plan.covered}: no segment is left`;
    actions.push({ action: 'begin-log', file: at(plan.begin.path), detail });
  }
  if (plan.mendCatalog) actions.push(catalogAction(at, survey, plan.covered));
  if (plan.recover) {
    const detail = 'recover: torn ends go to quarantine, lines that are due go to their files';
    actions.push({ action: 'recover', file: at(layout.log), detail });
  }
  return actions;
}

function catalogAction(
  at: (path: string) => string,
  { catalogFile, log }: StorageSurvey,
  covered: number,
): RepairAction {
  const { path } = catalogFile;
  const isShort = covered > catalogFile.covered;
  const lost = isShort ? [{ first: catalogFile.covered + 1, last: log.follows ?? covered }] : [];
  const what = path === null ? '' : 'keep the catalog in quarantine, ';
  const where = isShort
    ? '; neither catalog nor log knows what happened at the lost positions'
    : '';
  const detail = `${what}write it anew from its whole frames, the log and the files${where}`;
  return { action: 'mend-catalog', file: at(path ?? '.eventlogd'), lost, detail };
}

function rangeOf({ first, last }: PositionRange): PositionRange {
  return { first, last };
}

function describeLost(lost: readonly PositionRange[], covered: number): string {
  if (lost.length === 0) return 'no position is lost';
  const text = lost.map(({ first, last }) => `${first} to ${last}`).join(', ');
  const isCovered = lost.every(({ last }) => last <= covered);
  const where = isCovered
    ? 'all of their lines were synced to the journals before'
    : `lines of those above ${covered} are lost where the journals do not have them`;
  return `positions ${text} are lost from the log: ${where}`;
}
