/** The part of fs-native-extensions that the old way uses; the package ships no types. */
declare module 'fs-native-extensions' {
  /** Waits until an exclusive lock on the whole file is free and takes it. */
  export function waitForLock(fd: number): Promise<void>;
}
