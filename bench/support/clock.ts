/** A clock in milliseconds that all processes of the machine share and that never steps. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint() / 1_000n) / 1_000;
}
