/**
 * What a process or a folder of a test lives in: a test, or another program that ends what it began.
 */
import type { ExecutionContext } from 'ava';

export type Scope = Pick<ExecutionContext, 'teardown'>;
