/** Queries as an application with Kysely writes them. */
import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler, sql } from 'kysely';
import { jsonArrayFrom, jsonBuildObject, jsonObjectFrom } from 'kysely/helpers/postgres';

interface Database {
  users: {
    id: number;
    email: string;
    name: string | null;
    age: number | null;
    is_admin: boolean;
    settings: unknown;
    invited_by: number | null;
    created_at: Date;
  };
  profiles: { user_id: number; bio: string | null; links: string[] };
  posts: {
    id: number;
    author_id: number;
    title: string;
    body: string;
    published: boolean;
    views: number;
    published_at: Date | null;
  };
  comments: { id: number; post_id: number; user_id: number | null; body: string; created_at: Date };
  tags: { id: number; name: string };
  post_tags: { post_id: number; tag_id: number };
  products: { id: string; sku: string; price: string; stock: number; attributes: unknown };
  orders: {
    id: string;
    user_id: number;
    status: 'new' | 'paid' | 'sent' | 'cancelled';
    placed_on: string;
    total: string;
  };
  order_items: { order_id: string; product_id: string; quantity: number; price: string };
}

export function writeKysely(): string[] {
  const db = new Kysely<Database>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (inner) => new PostgresIntrospector(inner),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  });
  const queries = [
    db.selectFrom('users').selectAll().where('id', '=', 1),
    db.selectFrom('users').select(['id', 'email']).where('email', '=', 'user1@example.org'),
    db.selectFrom('users').selectAll().where('id', 'in', [1, 2, 3]),
    db.selectFrom('users').selectAll().where('id', 'not in', [1, 2]),
    db.selectFrom('users').select('id').where('name', 'is', null),
    db.selectFrom('users').select('id').where('name', 'is distinct from', 'User 1'),
    db.selectFrom('users').select('id').where('name', 'ilike', '%1%').orderBy('id').limit(5),
    db
      .selectFrom('users')
      .select('id')
      .where((eb) => eb.or([eb('id', '=', 1), eb('email', '=', 'user2@example.org')])),
    db
      .selectFrom('users')
      .select('id')
      .where((eb) => eb.or([eb('age', '>', 20), eb.and([eb('is_admin', '=', true), eb('age', 'is', null)])])),
    db
      .selectFrom('users')
      .select('id')
      .where((eb) => eb.between('age', 20, 23)),
    db
      .selectFrom('users')
      .select('id')
      .where((eb) => eb.not(eb('is_admin', '=', true))),
    db
      .selectFrom('users')
      .select((eb) => eb.fn.countAll().as('count'))
      .where('is_admin', '=', true),
    db
      .selectFrom('users')
      .select(['age', (eb) => eb.fn.count('id').as('n')])
      .groupBy('age')
      .having((eb) => eb.fn.count('id'), '>', 1),
    db
      .selectFrom('users')
      .leftJoin('profiles', 'profiles.user_id', 'users.id')
      .select(['users.id', 'profiles.bio'])
      .where('users.id', '=', 3),
    db
      .selectFrom('users')
      .innerJoin('posts', 'posts.author_id', 'users.id')
      .select(['users.name', 'posts.title'])
      .where('users.id', '=', 6),
    db
      .selectFrom('users as u')
      .leftJoin('posts as p', (join) => join.onRef('p.author_id', '=', 'u.id').on('p.published', '=', true))
      .select([
        'u.id',
        (eb) => eb.fn.count('p.id').as('posts'),
        (eb) => eb.fn.coalesce(eb.fn.sum('p.views'), sql<number>`0`).as('views'),
      ])
      .where('u.id', '=', 6)
      .groupBy('u.id'),
    db
      .selectFrom('posts')
      .select((eb) => [
        'posts.id',
        'posts.title',
        jsonArrayFrom(
          eb
            .selectFrom('comments')
            .select(['comments.id', 'comments.body'])
            .whereRef('comments.post_id', '=', 'posts.id')
            .orderBy('comments.id'),
        ).as('comments'),
        jsonObjectFrom(
          eb.selectFrom('users').select(['users.id', 'users.name']).whereRef('users.id', '=', 'posts.author_id'),
        ).as('author'),
      ])
      .where('posts.id', '=', 4),
    db
      .selectFrom('users')
      .select((eb) => [
        'users.id',
        jsonBuildObject({ name: eb.ref('users.name'), age: eb.ref('users.age') }).as('person'),
        eb.exists(eb.selectFrom('posts').select('posts.id').whereRef('posts.author_id', '=', 'users.id')).as('writes'),
      ])
      .where('users.id', 'in', [1, 6]),
    db
      .selectFrom('posts')
      .innerJoin('post_tags', 'post_tags.post_id', 'posts.id')
      .innerJoin('tags', 'tags.id', 'post_tags.tag_id')
      .select(['posts.id', 'tags.name'])
      .where('tags.name', '=', 'tag1')
      .orderBy('posts.id', 'desc'),
    db
      .selectFrom('posts')
      .selectAll()
      .where('published', '=', true)
      .orderBy('published_at', 'desc')
      .orderBy('id', 'desc')
      .limit(5),
    db.selectFrom('posts').selectAll().where('author_id', '=', 6).orderBy('id', 'desc').limit(2).offset(1),
    db
      .selectFrom('posts')
      .select('id')
      .where((eb) =>
        eb.exists(
          eb
            .selectFrom('comments')
            .select(sql`1`.as('one'))
            .whereRef('comments.post_id', '=', 'posts.id')
            .where('comments.user_id', '=', 8),
        ),
      ),
    db
      .selectFrom('posts')
      .select('id')
      .where((eb) =>
        eb.not(
          eb.exists(eb.selectFrom('comments').select('comments.id').whereRef('comments.post_id', '=', 'posts.id')),
        ),
      ),
    db
      .selectFrom('users')
      .select('id')
      .where('id', 'in', (eb) => eb.selectFrom('posts').select('author_id').where('id', '=', 3)),
    db
      .selectFrom('users')
      .select('id')
      .where('id', 'not in', (eb) => eb.selectFrom('orders').select('user_id')),
    db
      .with('top', (qc) =>
        qc
          .selectFrom('posts')
          .select(['author_id', (eb) => eb.fn.sum('views').as('views')])
          .groupBy('author_id'),
      )
      .selectFrom('top')
      .innerJoin('users', 'users.id', 'top.author_id')
      .select(['users.name', 'top.views'])
      .where('users.id', '=', 6),
    db
      .withRecursive('chain(id, invited_by)', (qc) =>
        qc
          .selectFrom('users')
          .select(['users.id', 'users.invited_by'])
          .where('users.id', '=', 18)
          .unionAll((eb) =>
            eb
              .selectFrom('users')
              .innerJoin('chain', 'chain.invited_by', 'users.id')
              .select(['users.id', 'users.invited_by']),
          ),
      )
      .selectFrom('chain')
      .selectAll(),
    db
      .selectFrom('users')
      .select(['id', 'email as text'])
      .where('id', '=', 1)
      .union(db.selectFrom('tags').select(['id', 'name as text'])),
    db
      .selectFrom('orders')
      .select([
        'user_id',
        'total',
        (eb) =>
          eb.fn
            .agg<number>('rank')
            .over((ob) => ob.partitionBy('user_id').orderBy('total', 'desc'))
            .as('place'),
      ])
      .where('user_id', '=', 8),
    db.selectFrom('orders').distinctOn('user_id').selectAll().orderBy('user_id').orderBy('id', 'desc'),
    db
      .selectFrom('orders')
      .select((eb) => ['id', eb.case().when('total', '>', '50').then('large').else('small').end().as('size')])
      .where('status', '=', 'paid'),
    db.selectFrom('orders').selectAll().where('placed_on', '>=', '2024-01-05').where('placed_on', '<', '2024-01-09'),
    db
      .selectFrom('orders')
      .innerJoin('order_items', 'order_items.order_id', 'orders.id')
      .innerJoin('products', 'products.id', 'order_items.product_id')
      .select((eb) => [
        'orders.id',
        eb.fn.sum('order_items.quantity').as('pieces'),
        eb.fn.max('products.price').as('dearest'),
      ])
      .where('orders.id', '=', '9')
      .groupBy('orders.id'),
    db.selectFrom('products').select('sku').where(sql<boolean>`attributes @> '{"color":"red"}'`),
    db
      .selectFrom('products')
      .select(['sku', sql<string>`attributes ->> 'color'`.as('color')])
      .where('stock', '>', 0)
      .orderBy('sku')
      .limit(3),
    db
      .selectFrom('users')
      .innerJoinLateral(
        (eb) =>
          eb
            .selectFrom('orders')
            .select(['orders.id as order_id', 'orders.total'])
            .whereRef('orders.user_id', '=', 'users.id')
            .orderBy('orders.id', 'desc')
            .limit(1)
            .as('last'),
        (join) => join.onTrue(),
      )
      .select(['users.id', 'last.order_id', 'last.total'])
      .where('users.id', '=', 8),
    db
      .selectFrom('users')
      .fullJoin('orders', 'orders.user_id', 'users.id')
      .select(['users.id', 'orders.id as order_id'])
      .where('users.id', '=', 8),
    db
      .selectFrom('comments')
      .select((eb) => eb.fn.countAll().filterWhere('user_id', 'is', null).as('anonymous'))
      .where('post_id', '=', 4),
    db
      .selectFrom('users')
      .select('id')
      .where((eb) => eb(eb.refTuple('id', 'age'), 'in', [eb.tuple(1, 19), eb.tuple(2, 20)])),
    db.selectFrom('users').selectAll().where('id', '=', 1).forUpdate(),
    db.selectFrom('users').select('id').where('created_at', '<', sql<Date>`now()`),
    db.insertInto('tags').values({ id: 99, name: 'new' }),
    db.updateTable('users').set({ name: 'x' }).where('id', '=', 1),
  ];
  return queries.map((query) => query.compile().sql);
}
