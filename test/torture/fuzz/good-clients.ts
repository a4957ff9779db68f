/** The process of the good clients, from outside. */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import type { Scope } from '../../support/scope.js';
import type { GoodPlan, GoodReport } from './good-clients.process.js';

/** What all of them have of the daemon, at most. */
export const GOOD_CONNECTIONS = 3;
export const GOOD_SUBSCRIPTIONS = 5;

const PROGRAM = fileURLToPath(new URL('./good-clients.process.js', import.meta.url));

export interface GoodClients {
  /** How it went: at the end, or as soon as they have a finding. */
  readonly told: Promise<GoodReport>;
  /** Has them finish their work and look at all of it once more. */
  readonly finish: () => Promise<GoodReport>;
}

export function startGoodClients(scope: Scope, plan: GoodPlan): GoodClients {
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(plan)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const told = text(child.stdout).then((line): GoodReport => {
    if (line !== '') return JSON.parse(line) as GoodReport;
    const finding = 'the good clients ended without a word';
    return { finding, appended: 0, reads: 0, followed: 0, slowestMs: 0 };
  });
  scope.teardown(async () => {
    child.kill('SIGKILL');
    await told;
  });
  const finish = async (): Promise<GoodReport> => {
    child.stdin.end();
    return await told;
  };
  return { told, finish };
}
