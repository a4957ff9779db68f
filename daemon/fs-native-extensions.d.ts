// The package brings no types. Only what the directory lock uses is declared.
declare module 'fs-native-extensions' {
  interface LockOptions {
    readonly shared?: boolean;
  }

  /** Locks an open file description (F_OFD_SETLK); an exclusive lock needs a descriptor opened for writing. */
  export function tryLock(
    fd: number,
    offset?: number,
    length?: number,
    options?: LockOptions,
  ): boolean;

  export function unlock(fd: number, offset?: number, length?: number): void;
}
