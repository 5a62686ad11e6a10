/** Queries as an application with Drizzle writes them: the builder, and relational queries. */
import {
  and,
  asc,
  avg,
  between,
  count,
  desc,
  eq,
  exists,
  gt,
  gte,
  ilike,
  inArray,
  isNull,
  lt,
  ne,
  notExists,
  notInArray,
  or,
  relations,
  sql,
  sum,
} from 'drizzle-orm';
import { drizzle } from 'drizzle-orm/node-postgres';
import {
  alias,
  bigint,
  boolean,
  date,
  except,
  integer,
  jsonb,
  numeric,
  pgEnum,
  pgTable,
  primaryKey,
  text,
  timestamp,
  unionAll,
  uuid,
  varchar,
} from 'drizzle-orm/pg-core';

const status = pgEnum('order_status', ['new', 'paid', 'sent', 'cancelled']);
const users = pgTable('users', {
  id: integer().primaryKey(),
  email: text().notNull(),
  name: text(),
  age: integer(),
  isAdmin: boolean('is_admin').notNull(),
  settings: jsonb().notNull(),
  invitedBy: integer('invited_by'),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull(),
});
const posts = pgTable('posts', {
  id: integer().primaryKey(),
  authorId: integer('author_id').notNull(),
  title: text().notNull(),
  body: text().notNull(),
  published: boolean().notNull(),
  views: integer().notNull(),
  publishedAt: timestamp('published_at', { withTimezone: true }),
});
const comments = pgTable('comments', {
  id: integer().primaryKey(),
  postId: integer('post_id').notNull(),
  userId: integer('user_id'),
  body: text().notNull(),
});
const tags = pgTable('tags', { id: integer().primaryKey(), name: text().notNull() });
const postTags = pgTable(
  'post_tags',
  { postId: integer('post_id').notNull(), tagId: integer('tag_id').notNull() },
  (table) => [primaryKey({ columns: [table.postId, table.tagId] })],
);
const products = pgTable('products', {
  id: uuid().primaryKey(),
  sku: varchar({ length: 20 }).notNull(),
  price: numeric({ precision: 10, scale: 2 }).notNull(),
  stock: integer().notNull(),
});
const orders = pgTable('orders', {
  id: bigint({ mode: 'number' }).primaryKey(),
  userId: integer('user_id').notNull(),
  status: status().notNull(),
  placedOn: date('placed_on').notNull(),
  total: numeric({ precision: 12, scale: 2 }).notNull(),
});
const orderItems = pgTable('order_items', {
  orderId: bigint('order_id', { mode: 'number' }).notNull(),
  productId: uuid('product_id').notNull(),
  quantity: integer().notNull(),
});
const usersRelations = relations(users, ({ many, one }) => ({
  posts: many(posts),
  orders: many(orders),
  inviter: one(users, { fields: [users.invitedBy], references: [users.id] }),
}));
const postsRelations = relations(posts, ({ many, one }) => ({
  author: one(users, { fields: [posts.authorId], references: [users.id] }),
  comments: many(comments),
  postTags: many(postTags),
}));
const commentsRelations = relations(comments, ({ one }) => ({
  post: one(posts, { fields: [comments.postId], references: [posts.id] }),
  user: one(users, { fields: [comments.userId], references: [users.id] }),
}));
const postTagsRelations = relations(postTags, ({ one }) => ({
  post: one(posts, { fields: [postTags.postId], references: [posts.id] }),
  tag: one(tags, { fields: [postTags.tagId], references: [tags.id] }),
}));
const ordersRelations = relations(orders, ({ one }) => ({
  user: one(users, { fields: [orders.userId], references: [users.id] }),
}));

const schema = {
  users,
  posts,
  comments,
  tags,
  postTags,
  products,
  orders,
  orderItems,
  usersRelations,
  postsRelations,
  commentsRelations,
  postTagsRelations,
  ordersRelations,
};

export function writeDrizzle(): string[] {
  const db = drizzle.mock({ schema });
  const inviter = alias(users, 'inviter');
  const perAuthor = db.$with('per_author').as(
    db
      .select({ authorId: posts.authorId, views: sum(posts.views).as('views') })
      .from(posts)
      .groupBy(posts.authorId),
  );
  const latest = db
    .select({ userId: orders.userId, last: sql<number>`max(${orders.id})`.as('last') })
    .from(orders)
    .groupBy(orders.userId)
    .as('latest');
  const queries = [
    db.select().from(users).where(eq(users.id, 1)),
    db
      .select({ id: users.id })
      .from(users)
      .where(inArray(users.id, [1, 2, 3])),
    db
      .select({ id: users.id })
      .from(users)
      .where(notInArray(users.id, [1, 2])),
    db
      .select()
      .from(users)
      .where(or(eq(users.id, 1), and(eq(users.isAdmin, true), gt(users.age, 20)))),
    db.select().from(users).where(ilike(users.name, '%1%')).orderBy(asc(users.id)).limit(5).offset(2),
    db.select().from(users).where(isNull(users.name)),
    db
      .select()
      .from(users)
      .where(and(gte(users.age, 20), lt(users.age, 24), ne(users.id, 3))),
    db.select({ n: count() }).from(users).where(eq(users.isAdmin, true)),
    db
      .select({ age: users.age, n: count(users.id) })
      .from(users)
      .groupBy(users.age)
      .having(({ n }) => gt(n, 1)),
    db
      .select({ id: users.id, by: inviter.name })
      .from(users)
      .leftJoin(inviter, eq(inviter.id, users.invitedBy))
      .where(eq(users.id, 9)),
    db.select().from(posts).innerJoin(users, eq(users.id, posts.authorId)).where(eq(posts.id, 4)),
    db
      .select({ id: users.id, n: count(posts.id), views: sum(posts.views) })
      .from(users)
      .leftJoin(posts, eq(posts.authorId, users.id))
      .where(eq(users.id, 6))
      .groupBy(users.id),
    db.select().from(posts).where(eq(posts.authorId, 6)).orderBy(desc(posts.id)).limit(2),
    db
      .select({ id: posts.id })
      .from(posts)
      .where(
        exists(
          db
            .select({ one: sql`1` })
            .from(comments)
            .where(and(eq(comments.postId, posts.id), eq(comments.userId, 8))),
        ),
      ),
    db
      .select({ id: posts.id })
      .from(posts)
      .where(notExists(db.select().from(comments).where(eq(comments.postId, posts.id)))),
    db
      .select({ id: users.id })
      .from(users)
      .where(inArray(users.id, db.select({ id: posts.authorId }).from(posts).where(eq(posts.id, 3)))),
    db
      .with(perAuthor)
      .select({ name: users.name, views: perAuthor.views })
      .from(perAuthor)
      .innerJoin(users, eq(users.id, perAuthor.authorId))
      .where(eq(users.id, 6)),
    db
      .select({ id: users.id, last: latest.last })
      .from(users)
      .innerJoin(latest, eq(latest.userId, users.id))
      .where(eq(users.id, 8)),
    db.selectDistinct({ userId: orders.userId }).from(orders).where(eq(orders.status, 'paid')),
    db
      .selectDistinctOn([orders.userId], { userId: orders.userId, id: orders.id })
      .from(orders)
      .orderBy(orders.userId, desc(orders.id)),
    db
      .select({ id: orders.id })
      .from(orders)
      .where(between(orders.placedOn, '2024-01-05', '2024-01-09')),
    db
      .select({ userId: orders.userId, mean: avg(orders.total) })
      .from(orders)
      .where(eq(orders.userId, 8))
      .groupBy(orders.userId),
    db
      .select({ id: orders.id, pieces: sum(orderItems.quantity) })
      .from(orders)
      .innerJoin(orderItems, eq(orderItems.orderId, orders.id))
      .innerJoin(products, eq(products.id, orderItems.productId))
      .where(eq(orders.id, 9))
      .groupBy(orders.id),
    unionAll(
      db.select({ id: users.id }).from(users).where(eq(users.id, 1)),
      db.select({ id: posts.authorId }).from(posts).where(eq(posts.id, 4)),
    ),
    except(db.select({ id: users.id }).from(users), db.select({ id: orders.userId }).from(orders)),
    db.select({ id: users.id }).from(users).where(sql`${users.settings} ->> 'theme' = ${'dark'}`),
    db
      .select({ id: tags.id, n: db.$count(postTags, eq(postTags.tagId, tags.id)) })
      .from(tags)
      .where(eq(tags.id, 2)),
    db.select().from(products).where(eq(products.id, '00000000-0000-0000-0000-000000000001')),
    db.select().from(products).where(gt(products.stock, 0)).orderBy(desc(products.price), asc(products.id)).limit(3),
    db.query.users.findFirst({ where: eq(users.id, 1) }),
    db.query.users.findFirst({ where: eq(users.id, 6), with: { posts: true } }),
    db.query.users.findMany({
      with: {
        posts: {
          columns: { id: true, title: true },
          where: eq(posts.published, true),
          orderBy: [desc(posts.id)],
          limit: 2,
        },
      },
      limit: 5,
      orderBy: [asc(users.id)],
    }),
    db.query.posts.findFirst({
      where: eq(posts.id, 4),
      with: {
        author: { columns: { id: true, name: true } },
        comments: { with: { user: true }, orderBy: [asc(comments.id)] },
      },
    }),
    db.query.posts.findMany({
      where: inArray(posts.id, [1, 2, 3]),
      with: { postTags: { with: { tag: true } } },
      orderBy: [asc(posts.id)],
    }),
    db.query.orders.findMany({
      where: eq(orders.userId, 8),
      with: { user: { with: { inviter: true } } },
      orderBy: [asc(orders.id)],
    }),
    db.query.comments.findMany({
      columns: { body: false },
      where: eq(comments.postId, 4),
      with: { post: { with: { author: true } } },
      extras: { length: sql<number>`length(${comments.body})`.as('length') },
      orderBy: [asc(comments.id)],
    }),
    db.select().from(users).where(eq(users.id, 1)).for('update'),
    db.insert(tags).values({ id: 99, name: 'new' }),
  ];
  return queries.map((query) => query.toSQL().sql);
}
