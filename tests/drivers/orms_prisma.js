// Prisma without engines of its own: the client over node-postgres, and what Prisma 6 can migrate with that.
// `prisma migrate` of Prisma 7 needs a program that does not come from npm.
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { Client } = require('pg');
const { PrismaPg } = require('@prisma/adapter-pg');
const { runAll } = require('./checks.js');
const { ownUrl, schemaOfItsOwn, files, run, start, all, schema } = require('./orms.js');

const SCHEMA = `
generator client {
  provider = "prisma-client-js"
  output   = "./client"
}
datasource db {
  provider = "postgresql"
}
enum State {
  NEW
  OLD
}
model User {
  id     Int      @id @default(autoincrement())
  name   String   @unique
  state  State    @default(NEW)
  extra  Json?
  tags   String[]
  amount Decimal  @default(0) @db.Decimal(10, 2)
  seen   DateTime @default(now()) @db.Timestamptz
  posts  Post[]
}
model Post {
  id     String @id @default(uuid())
  title  String
  user   User   @relation(fields: [userId], references: [id], onDelete: Cascade)
  userId Int
}
`;
// The engine for JavaScript's drivers takes no columns of the types "char" and name, which it asks for itself, and
// its program ends when the pool has let its connections go.
const SIX = `
import pg from 'pg';
import { PrismaPg } from 'prisma6-adapter-pg';
const { addFields } = pg.Result.prototype;
pg.Result.prototype.addFields = function (fields) {
  return addFields.call(this, fields.map((f) => ({ ...f, dataTypeID: [18, 19].includes(f.dataTypeID) ? 25 : f.dataTypeID })));
};
export default {
  schema: 'schema.prisma',
  migrations: { path: 'migrations' },
  experimental: { adapter: true },
  engine: 'js',
  adapter: async () => new PrismaPg({ connectionString: process.env.DATABASE_URL, idleTimeoutMillis: 500 }, { schema: '${schema}' }),
};
`;
const project = files({ 'schema.prisma': SCHEMA, 'prisma.config.mjs': 'export default { schema: "schema.prisma" };' });
const six = files({
  'schema.prisma': SCHEMA.replace('provider = "prisma-client-js"', 'provider = "prisma-client-js"\n  engineType = "client"').replace('"postgresql"', '"postgresql"\n  url = env("DATABASE_URL")'),
  'prisma.config.mjs': SIX,
  'migrations/migration_lock.toml': 'provider = "postgresql"\n',
});
const no = { PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', PRISMA_QUERY_ENGINE_LIBRARY: '/bin/true', CHECKPOINT_DISABLE: '1' };
let PrismaClient;
let Prisma;

const open = () => new PrismaClient({ adapter: new PrismaPg({ connectionString: ownUrl }, { schema }) });

async function generate() {
  for (const directory of [project, six]) fs.symlinkSync(process.env.NODE_PATH, path.join(directory, 'node_modules'));
  run('prisma/build/index.js', ['generate', '--no-hints'], project, no);
  ({ PrismaClient, Prisma } = require(path.join(project, 'client')));
  const diff = ['migrate', 'diff', '--from-empty', '--to-schema-datamodel', 'schema.prisma', '--script', '--output', 'made.sql'];
  run('prisma6/build/index.js', diff, six, no);
  fs.mkdirSync(path.join(six, 'migrations/1_init'));
  fs.renameSync(path.join(six, 'made.sql'), path.join(six, 'migrations/1_init/migration.sql'));
}

generate.limit = 300_000;

// It waits for its lock for ten seconds and then asks to be tried again.
async function deploy(tries = 3) {
  const { code, said } = await start('prisma6/build/index.js', ['migrate', 'deploy'], six, no);
  if (said.includes('P1002') && tries > 1) return deploy(tries - 1);
  assert.strictEqual(code, 0, said);
  return said;
}

// Replicas that start together wait for each other: pg_advisory_lock, which ends with the connection.
async function migrateDeploy() {
  const replicas = await all(2, () => deploy());
  assert.strictEqual(replicas.filter((said) => said.includes('No pending migrations')).length, 1);
  assert.match(run('prisma6/build/index.js', ['migrate', 'status'], six, no), /up to date/);
}

// Four of them, one after the other, and each keeps its lock until it ends.
migrateDeploy.limit = 300_000;

async function pullAndPush() {
  // The engine of Prisma 6 does not know the constraints of PostgreSQL 18.
  const client = new Client({ connectionString: ownUrl });
  await client.connect();
  const { rows } = await client.query("SELECT current_setting('server_version_num')::int AS version");
  await client.end();
  if (rows[0].version >= 180_000) return;
  assert.match(run('prisma6/build/index.js', ['db', 'pull', '--print'], six, no), /model User \{/);
  assert.match(run('prisma6/build/index.js', ['db', 'push', '--skip-generate'], six, no), /already in sync/);
}

pullAndPush.limit = 300_000;

async function queries() {
  const db = open();
  for (let i = 0; i < 50; i += 1) {
    await db.user.create({ data: { name: `n${i}`, extra: { i }, tags: ['all', `t${i}`], amount: i / 4, posts: { create: [{ title: 'a' }, { title: 'b' }] } } });
  }
  await db.user.createMany({ data: Array.from({ length: 200 }, (_, i) => ({ name: `many ${i}` })) });
  const found = await db.user.findUnique({ where: { name: 'n7' }, include: { posts: true } });
  assert.deepStrictEqual([found.extra, found.tags, String(found.amount), found.posts.length, found.state], [{ i: 7 }, ['all', 't7'], '1.75', 2, 'NEW']);
  assert.strictEqual((await db.user.findMany({ where: { tags: { has: 'all' } }, include: { posts: true }, orderBy: { id: 'asc' } })).length, 50);
  await db.user.update({ where: { name: 'n7' }, data: { state: 'OLD' } });
  await db.user.upsert({ where: { name: 'n8' }, create: { name: 'n8' }, update: { state: 'OLD' } });
  assert.deepStrictEqual(await db.user.groupBy({ by: ['state'], _count: true, orderBy: { state: 'asc' } }), [{ state: 'NEW', _count: 248 }, { state: 'OLD', _count: 2 }]);
  await assert.rejects(db.user.create({ data: { name: 'n7' } }), { code: 'P2002' });
  const rows = await db.$queryRaw`SELECT count(*)::int AS n FROM "User" WHERE name LIKE ${'many%'}`;
  assert.deepStrictEqual(rows, [{ n: 200 }]);
  await db.$disconnect();
}

async function transactions() {
  const db = open();
  await assert.rejects(db.$transaction([db.user.create({ data: { name: 'undone' } }), db.user.create({ data: { name: 'n7' } })]), { code: 'P2002' });
  await assert.rejects(db.$transaction(async (tx) => {
    await tx.user.create({ data: { name: 'undone' } });
    throw new Error('mine');
  }), { message: 'mine' });
  assert.strictEqual(await db.user.count({ where: { name: 'undone' } }), 0);
  await db.$transaction(async (tx) => {
    assert.deepStrictEqual(await tx.$queryRaw`SHOW transaction_isolation`, [{ transaction_isolation: 'serializable' }]);
  }, { isolationLevel: Prisma.TransactionIsolationLevel.Serializable });
  await all(8, () => db.$transaction(async (tx) => {
    const [user] = await tx.$queryRaw`SELECT id FROM "User" WHERE name = 'n9' FOR UPDATE`;
    await tx.user.update({ where: { id: user.id }, data: { amount: { increment: 1 } } });
  }, { maxWait: 15_000, timeout: 15_000 }));
  assert.strictEqual(String((await db.user.findUnique({ where: { name: 'n9' } })).amount), '10.25');
  await db.$disconnect();
}

async function manyAtOnce() {
  const db = open();
  await all(200, async (i) => assert.strictEqual((await db.user.findUnique({ where: { name: `n${i % 50}` } })).name, `n${i % 50}`));
  await db.$disconnect();
}

// A function in a cloud: a client for one query.
async function shortLived() {
  for (let i = 0; i < 10; i += 1) {
    await all(6, async () => {
      const db = open();
      assert.strictEqual((await db.user.findUnique({ where: { name: 'n3' } })).name, 'n3');
      await db.$disconnect();
    });
  }
}

runAll([schemaOfItsOwn, generate, migrateDeploy, pullAndPush, queries, transactions, manyAtOnce, shortLived]);
