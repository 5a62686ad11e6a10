import { createPasswords, type Passwords } from 'vazao/security';

/** One for the process: how many passwords are hashed at once is bounded by it. */
export const senhas: Passwords = createPasswords();
