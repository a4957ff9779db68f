/**
 * Makes the disk and the clock of one process misbehave on command, while it runs.
 *
 * ```ts
 * const shim = await FaultShim.make(folder);
 * spawn(process.execPath, [program], { env: { ...process.env, ...shim.env } });
 * shim.set([{ calls: ['fdatasync'], paths: ['*.log'], effect: { kind: 'error', code: 'EIO' } }]);
 * ```
 */
import { closeSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { buildFaultShim } from './build.js';
import { encodeRule, hitsOf, MATCHES_AT, RULE_BYTES, RULES_MAX, type Rule } from './rules.js';

const MAGIC = 'elfault1';
const RULES_SEQUENCE_AT = 8;
const CLOCK_SEQUENCE_AT = 9;
const CLOCK_AT = 16;
const BANKS_AT = 32;
const BANK_HEADER_BYTES = 8;
const BANK_BYTES = BANK_HEADER_BYTES + RULES_MAX * RULE_BYTES;
const NS_PER_MS = 1e6;

/** The rules of one process, or of several after one another: they outlive each. */
export class FaultShim {
  /** For the process that is to obey: what to put into its environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly #fd: number;
  #rules: readonly Rule[] = [];
  #rulesSequence = 0;
  #clockSequence = 0;

  private constructor(library: string, path: string, fd: number) {
    this.#fd = fd;
    const others = process.env['LD_PRELOAD'];
    this.env = {
      LD_PRELOAD: others === undefined ? library : `${library}:${others}`,
      EVENTLOGD_FAULTS: path,
      // What goes through io_uring passes the shim by.
      UV_USE_IO_URING: '0',
    };
  }

  /** Why there can be no shim here, or null if there can. */
  static absence(): string | null {
    const built = buildFaultShim();
    return built.kind === 'absent' ? built.reason : null;
  }

  /**
   * A shim without rules.
   *
   * @param folder where its control file goes, which must outlive the processes
   */
  static async make(folder: string): Promise<FaultShim> {
    const built = buildFaultShim();
    if (built.kind === 'absent') throw new Error(`no fault shim: ${built.reason}`);
    const path = join(await mkdtemp(join(folder, 'faults-')), 'control');
    const bytes = Buffer.alloc(BANKS_AT + 2 * BANK_BYTES);
    bytes.write(MAGIC);
    writeFileSync(path, bytes);
    return new FaultShim(built.library, path, openSync(path, 'r+'));
  }

  /** From its return on these are the rules, and none of them was met yet. */
  set(rules: readonly Rule[]): void {
    if (rules.length > RULES_MAX) throw new RangeError(`${rules.length} rules, not ${RULES_MAX}`);
    const bank = Buffer.alloc(BANK_BYTES);
    bank.writeUInt32LE(rules.length, 0);
    for (const [index, rule] of rules.entries()) {
      encodeRule(rule).copy(bank, BANK_HEADER_BYTES + index * RULE_BYTES);
    }
    const sequence = (this.#rulesSequence + 1) % 256;
    writeSync(this.#fd, bank, 0, bank.length, bankAt(sequence));
    writeSync(this.#fd, Uint8Array.of(sequence), 0, 1, RULES_SEQUENCE_AT);
    this.#rulesSequence = sequence;
    this.#rules = rules;
  }

  /** No rules: what is held goes on. The clock stays as it was set. */
  clear(): void {
    this.set([]);
  }

  /** How often each of the rules was met. */
  hits(): number[] {
    const bank = Buffer.alloc(BANK_BYTES);
    readSync(this.#fd, bank, 0, bank.length, bankAt(this.#rulesSequence));
    return this.#rules.map((rule, index) => {
      const at = BANK_HEADER_BYTES + index * RULE_BYTES + MATCHES_AT;
      return hitsOf(rule, Number(bank.readBigUInt64LE(at)));
    });
  }

  /** From its return on the process's wall clock is off the true one by that much. */
  setClock(offsetMs: number): void {
    const sequence = (this.#clockSequence + 1) % 256;
    const offset = Buffer.alloc(8);
    offset.writeBigInt64LE(BigInt(Math.round(offsetMs)) * BigInt(NS_PER_MS));
    writeSync(this.#fd, offset, 0, offset.length, CLOCK_AT + 8 * (sequence & 1));
    writeSync(this.#fd, Uint8Array.of(sequence), 0, 1, CLOCK_SEQUENCE_AT);
    this.#clockSequence = sequence;
  }

  /** Lets go of the control file. */
  close(): void {
    closeSync(this.#fd);
  }
}

function bankAt(sequence: number): number {
  return BANKS_AT + (sequence & 1) * BANK_BYTES;
}
