/** What the relay needs to be the only one. The floor above knows the database; here it is a lock with a name. */
export interface LeaderLock extends AsyncDisposable {
  /**
   * Takes the lock if nobody has it. Resolves to the term of this leadership: 24 hexadecimal digits, greater than all terms
   * before; undefined while another holds the lock. Rejects when the database does not answer in time.
   * @param onLost - called once when a lock that was taken is ours no longer, other than by `release`
   */
  tryAcquire(onLost: () => void): Promise<string | undefined>;
  /** Resolves false, and tells `onLost`, when the lock can't be shown to be ours any longer. */
  isHeld(): Promise<boolean>;
  release(): Promise<void>;
  /** Ends the session of another that holds the lock and does nothing. Resolves to whether there was one. */
  terminateHolder(): Promise<boolean>;
}
