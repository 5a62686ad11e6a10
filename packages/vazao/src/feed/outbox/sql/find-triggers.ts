/** How a table's changes can be taken, and which of our triggers it has. */
export interface TriggerRow {
  readonly oid: number;
  /** Parents by inheritance; a partition's partitioned table is not among them. */
  readonly parents: readonly number[];
  /** It has children by inheritance. */
  readonly hasChildren: boolean;
  /** A subscription of logical replication writes to it, which fires no statement triggers. */
  readonly subscribed: boolean;
  /** Names of the triggers that are ours, fire always, and call the function of their name. */
  readonly triggers: readonly string[];
  /** Changes when one of them was dropped, created or disabled. Empty when there is none. */
  readonly identity: string;
}

/** For all tables of the application that triggers may be on. */
export const FIND_TRIGGERS_SQL = `
  select c.oid::int8::float8 as oid,
    array(select i.inhparent::int8::float8 from pg_catalog.pg_inherits i where i.inhrelid = c.oid and not c.relispartition) as parents,
    c.relkind = 'r' and exists (select from pg_catalog.pg_inherits i where i.inhparent = c.oid) as "hasChildren",
    exists (select from pg_catalog.pg_subscription_rel s where s.srrelid = c.oid) as subscribed,
    array(select t.tgname::text from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid = t.tgfoid
      join pg_catalog.pg_namespace f on f.oid = p.pronamespace
      where t.tgrelid = c.oid and t.tgenabled = 'A' and f.nspname = 'vazao' and t.tgqual is null
        and p.proname in ('outbox_statement', 'outbox_row', 'outbox_truncate')) as triggers,
    coalesce((select string_agg(t.oid || '/' || t.xmin::text, ' ' order by t.oid)
      from pg_catalog.pg_trigger t where t.tgrelid = c.oid and t.tgname like 'vazao\\_outbox\\_%'), '') as identity
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'f') and n.nspname !~ '^pg_' and n.nspname not in ('information_schema', 'vazao')`;

/** Beside the fingerprint of the schema, which knows no triggers. */
export const TRIGGER_FINGERPRINT_SQL = `
  select count(*) || '/' || coalesce(sum(pg_catalog.hashint8extended(t.xmin::text::int8, t.oid::int8)), 0) as triggers
  from pg_catalog.pg_trigger t where t.tgname like 'vazao\\_outbox\\_%'`;
