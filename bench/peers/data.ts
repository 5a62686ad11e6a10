/** The data and the two statements that every candidate runs: an item by its key with its reviews. */
import pg from 'pg';

export const ITEMS = 1_000;
const REVIEWS_EACH = 20;

export const SCHEMA = `
create table items (id int primary key, name text not null, price numeric(10, 2) not null, version int not null default 0, description text not null);
create table reviews (id int generated always as identity primary key, item_id int not null references items (id), stars int not null, body text not null);
create index reviews_item on reviews (item_id);
insert into items (id, name, price, description)
  select n, 'item ' || n, n + 0.99, repeat('lorem ipsum ', 40) from generate_series(1, ${ITEMS}) n;
insert into reviews (item_id, stars, body)
  select 1 + n % ${ITEMS}, 1 + n % 5, repeat('dolor sit amet ', 6) from generate_series(1, ${ITEMS * REVIEWS_EACH}) n;
analyze items; analyze reviews;`;

/** What a pool is to the handlers: `pg.Pool`, and ours. */
export interface Database {
  query(text: string, values: unknown[]): Promise<{ rows: Record<string, unknown>[] }>;
}

export async function readItem(db: Database, id: number): Promise<object> {
  const item = await db.query('select id, name, price, version, description from items where id = $1', [id]);
  const reviews = await db.query('select stars, body from reviews where item_id = $1 order by id desc limit 10', [id]);
  const stars = await db.query(
    'select count(*)::int as n, avg(stars)::float8 as mean from reviews where item_id = $1',
    [id],
  );
  return { ...item.rows[0], reviews: reviews.rows, stars: stars.rows[0] };
}

/** Answers with the version that is now committed. */
export async function writeItem(db: Database, id: number): Promise<{ version: number }> {
  const { rows } = await db.query('update items set version = version + 1 where id = $1 returning version', [id]);
  return rows[0] as { version: number };
}

export function createPool(url: string): pg.Pool {
  return new pg.Pool({ connectionString: url, max: 10 });
}
