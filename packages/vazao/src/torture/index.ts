/** What the profile of an application needs. */
export {
  defineProfile,
  type Profile,
  type PsqlWriter,
  type Reader,
  type Reading,
  type RequestWriter,
  type SqlWriter,
  type User,
  type Versions,
  type Writer,
} from './profile.ts';
