// Drizzle over node-postgres and Postgres.js, and the programs of drizzle-kit.
'use strict';

const assert = require('node:assert');
const path = require('node:path');
const { Pool } = require('pg');
const postgres = require('postgres');
const { drizzle: overPg } = require('drizzle-orm/node-postgres');
const { migrate: migratePg } = require('drizzle-orm/node-postgres/migrator');
const { drizzle: overJs } = require('drizzle-orm/postgres-js');
const { migrate: migrateJs } = require('drizzle-orm/postgres-js/migrator');
const { eq, sql, relations, inArray } = require('drizzle-orm');
const core = require('drizzle-orm/pg-core');
const { runAll } = require('./checks.js');
const { schema, ownUrl, schemaOfItsOwn, files, run, all } = require('./orms.js');

const TABLES = `
const { pgTable, serial, text, integer, jsonb, uuid, timestamp, index } = require('drizzle-orm/pg-core');
exports.users = pgTable('dz_users', {
  id: serial('id').primaryKey(),
  name: text('name').notNull().unique('dz_users_name'),
  extra: jsonb('extra'),
  amount: integer('amount').default(0),
});
exports.posts = pgTable('dz_posts', {
  id: uuid('id').primaryKey().defaultRandom(),
  userId: integer('user_id').notNull(),
  tags: text('tags').array(),
  made: timestamp('made', { withTimezone: true }).defaultNow(),
});
`;
const MORE = TABLES.replace("tags: text('tags')", "title: text('title').default('-'),\n  tags: text('tags')");
const CONFIG = `
module.exports = {
  dialect: 'postgresql', schema: './tables.js', out: './migrations', dbCredentials: { url: process.env.DATABASE_URL },
  migrations: { schema: '${schema}_drizzle' }, schemaFilter: ['${schema}'],
};
`;
const { pgTable, serial, text, integer, jsonb, uuid, timestamp } = core;
const users = pgTable('dz_users', {
  id: serial('id').primaryKey(),
  name: text('name').notNull().unique(),
  extra: jsonb('extra'),
  amount: integer('amount').default(0),
});
const posts = pgTable('dz_posts', {
  id: uuid('id').primaryKey().defaultRandom(),
  userId: integer('user_id').notNull(),
  tags: text('tags').array(),
  made: timestamp('made', { withTimezone: true }).defaultNow(),
});
const tables = {
  users,
  posts,
  usersRelations: relations(users, ({ many }) => ({ posts: many(posts) })),
  postsRelations: relations(posts, ({ one }) => ({ user: one(users, { fields: [posts.userId], references: [users.id] }) })),
};

const project = files({ 'tables.js': TABLES, 'drizzle.config.js': CONFIG });
const fs = require('node:fs');

const drivers = [
  async (work) => {
    const pool = new Pool({ connectionString: ownUrl });
    await work(overPg(pool, { schema: tables }), migratePg);
    await pool.end();
  },
  async (work) => {
    const client = postgres(ownUrl, { onnotice: () => {} });
    await work(overJs(client, { schema: tables }), migrateJs);
    await client.end();
  },
];
const overBoth = async (work) => {
  for (const driver of drivers) await driver(work);
};

async function generate() {
  fs.symlinkSync(process.env.NODE_PATH, path.join(project, 'node_modules'));
  run('.bin/drizzle-kit', ['generate', '--name', 'one'], project);
  fs.writeFileSync(path.join(project, 'tables.js'), MORE);
  run('.bin/drizzle-kit', ['generate', '--name', 'two'], project);
  assert.strictEqual(fs.readdirSync(path.join(project, 'migrations')).filter((name) => name.endsWith('.sql')).length, 2);
}

generate.limit = 300_000;

async function clean(db) {
  await db.execute(sql.raw(`DROP TABLE IF EXISTS dz_users, dz_posts; DROP SCHEMA IF EXISTS ${schema}_drizzle CASCADE`));
}

async function migrations() {
  await overBoth(async (db, migrate) => {
    await clean(db);
    const folder = { migrationsFolder: path.join(project, 'migrations'), migrationsSchema: `${schema}_drizzle` };
    await migrate(db, folder);
    await migrate(db, folder);
    assert.strictEqual(await db.$count(sql.raw(`${schema}_drizzle.__drizzle_migrations`)), 2);
  });
}

async function kitMigratesAndPushes() {
  await overBoth(clean);
  run('.bin/drizzle-kit', ['migrate'], project);
  run('.bin/drizzle-kit', ['migrate'], project);
  // What it compares with is always the schema `public`.
  if (schema !== 'public') return;
  assert.match(run('.bin/drizzle-kit', ['push', '--force'], project), /No changes detected/);
  fs.writeFileSync(path.join(project, 'tables.js'), TABLES);
  run('.bin/drizzle-kit', ['push', '--force'], project);
  await drivers[0](async (db) => {
    const columns = await db.execute(sql`SELECT 1 FROM pg_attribute WHERE attrelid = 'dz_posts'::regclass AND attname = 'title' AND NOT attisdropped`);
    assert.strictEqual(columns.rowCount, 0);
  });
}

kitMigratesAndPushes.limit = 300_000;

async function queries() {
  await overBoth(async (db) => {
    await db.delete(users);
    await db.delete(posts);
    const made = await db.insert(users).values(Array.from({ length: 300 }, (_, i) => ({ name: `n${i}`, extra: { i } }))).returning({ id: users.id });
    await db.insert(posts).values(made.slice(0, 50).map(({ id }) => ({ userId: id, tags: ['a', `t${id}`] })));
    const found = await db.query.users.findMany({ with: { posts: true }, where: inArray(users.name, ['n3', 'n200']), orderBy: users.id });
    assert.deepStrictEqual(found.map((user) => [user.name, user.extra.i, user.posts.length]), [['n3', 3, 1], ['n200', 200, 0]]);
    const prepared = db.select({ id: users.id }).from(users).where(eq(users.name, sql.placeholder('name'))).prepare('by_name');
    await all(20, async (i) => assert.strictEqual((await prepared.execute({ name: `n${i}` })).length, 1));
    await db.insert(users).values({ name: 'n3' }).onConflictDoUpdate({ target: users.name, set: { amount: 5 } });
    assert.strictEqual((await db.select().from(users).where(eq(users.name, 'n3')))[0].amount, 5);
  });
}

async function transactions() {
  await overBoth(async (db) => {
    await db.delete(users).where(eq(users.name, 'kept'));
    await db.transaction(async (tx) => {
      await tx.insert(users).values({ name: 'kept' });
      await assert.rejects(tx.transaction(async (inner) => {
        await inner.insert(users).values({ name: 'undone' });
        inner.rollback();
      }));
      await assert.rejects(tx.transaction((inner) => inner.insert(users).values({ name: 'kept' })));
    });
    const names = await db.select({ name: users.name }).from(users).where(inArray(users.name, ['kept', 'undone']));
    assert.deepStrictEqual(names, [{ name: 'kept' }]);
    await db.transaction(async (tx) => {
      const shown = await tx.execute(sql`SHOW transaction_isolation`);
      assert.strictEqual((shown.rows ?? shown)[0].transaction_isolation, 'serializable');
    }, { isolationLevel: 'serializable', accessMode: 'read only' });
    await all(8, () => db.transaction(async (tx) => {
      const [user] = await tx.select().from(users).where(eq(users.name, 'kept')).for('update');
      await tx.update(users).set({ amount: user.amount + 1 }).where(eq(users.id, user.id));
    }));
    assert.strictEqual((await db.select().from(users).where(eq(users.name, 'kept')))[0].amount, 8);
  });
}

async function shortLived() {
  for (let i = 0; i < 5; i += 1) {
    await all(6, () => overBoth(async (db) => {
      assert.strictEqual((await db.select().from(users).where(eq(users.name, 'n3'))).length, 1);
    }));
  }
}

runAll([schemaOfItsOwn, generate, migrations, kitMigratesAndPushes, queries, transactions, shortLived]);
