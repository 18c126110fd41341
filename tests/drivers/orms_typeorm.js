// TypeORM: migrations in one transaction, in one each and in none; its entity manager and query runners.
'use strict';

const assert = require('node:assert');
const { DataSource, EntitySchema } = require('typeorm');
const { runAll } = require('./checks.js');
const { schema, ownUrl, schemaOfItsOwn, all } = require('./orms.js');

const User = new EntitySchema({
  name: 'User',
  tableName: 'to_users',
  columns: {
    id: { type: Number, primary: true, generated: true },
    name: { type: String, unique: true },
    extra: { type: 'jsonb', nullable: true },
    tags: { type: 'text', array: true, nullable: true },
    amount: { type: Number, default: 0 },
    version: { type: Number, version: true },
  },
  relations: { posts: { type: 'one-to-many', target: 'Post', inverseSide: 'user', cascade: true } },
});
const Post = new EntitySchema({
  name: 'Post',
  tableName: 'to_posts',
  columns: { id: { type: Number, primary: true, generated: true }, title: { type: 'text' } },
  relations: { user: { type: 'many-to-one', target: 'User', inverseSide: 'posts', onDelete: 'CASCADE' } },
});

class Create1700000000001 {
  async up(runner) {
    await runner.query('CREATE TABLE moved (id int PRIMARY KEY, n int)');
    await runner.query('INSERT INTO moved SELECT i, i FROM generate_series(1, 500) AS i');
  }
  down(runner) {
    return runner.query('DROP TABLE moved');
  }
}
class Alter1700000000002 {
  async up(runner) {
    await runner.query("SET LOCAL lock_timeout = '5s'");
    await runner.query('ALTER TABLE moved ADD COLUMN t text DEFAULT $$x$$');
  }
  down(runner) {
    return runner.query('ALTER TABLE moved DROP COLUMN t');
  }
}
class Concurrently1700000000003 {
  transaction = false;
  up(runner) {
    return runner.query('CREATE INDEX CONCURRENTLY moved_n ON moved (n)');
  }
  down(runner) {
    return runner.query('DROP INDEX CONCURRENTLY moved_n');
  }
}
class Bad1700000000004 {
  async up(runner) {
    await runner.query('UPDATE moved SET n = -1');
    await runner.query('SELECT 1 / 0');
  }
  async down() {}
}

const open = (more = {}) =>
  new DataSource({ type: 'postgres', url: ownUrl, schema: schema === 'public' ? undefined : schema, entities: [User, Post], ...more }).initialize();

async function synchronized() {
  const db = await open({ synchronize: true, dropSchema: schema !== 'public' });
  await db.synchronize();
  const users = db.getRepository('User');
  await users.save(Array.from({ length: 200 }, (_, i) => ({ name: `n${i}`, extra: { i }, tags: ['all', `t${i}`], posts: [{ title: 'a' }, { title: 'b' }] })));
  const found = await users.findOne({ where: { name: 'n7' }, relations: { posts: true } });
  assert.deepStrictEqual([found.extra, found.tags, found.posts.length, found.version], [{ i: 7 }, ['all', 't7'], 2, 1]);
  found.amount = 3;
  await users.save(found);
  assert.strictEqual((await users.findOneBy({ name: 'n7' })).version, 2);
  await users.upsert({ name: 'n7', amount: 4 }, ['name']);
  assert.strictEqual(await users.count(), 200);
  await assert.rejects(users.insert({ name: 'n7' }), { name: 'QueryFailedError' });
  let rows = 0;
  const stream = await users.createQueryBuilder('u').stream();
  for await (const row of stream) rows += row.u_id ? 1 : 0;
  assert.strictEqual(rows, 200);
  await db.destroy();
}

async function transactions() {
  const db = await open();
  await db.transaction(async (manager) => {
    await manager.insert('User', { name: 'kept' });
    await assert.rejects(manager.transaction((inner) => inner.insert('User', { name: 'kept' })));
  });
  await assert.rejects(db.transaction(async (manager) => {
    await manager.insert('User', { name: 'undone' });
    throw new Error('mine');
  }), { message: 'mine' });
  assert.strictEqual(await db.manager.count('User', { where: [{ name: 'kept' }, { name: 'undone' }] }), 1);
  await db.transaction('SERIALIZABLE', async (manager) => {
    assert.deepStrictEqual(await manager.query('SHOW transaction_isolation'), [{ transaction_isolation: 'serializable' }]);
  });
  await all(8, () => db.transaction(async (manager) => {
    const user = await manager.findOne('User', { where: { name: 'kept' }, lock: { mode: 'pessimistic_write' } });
    await manager.update('User', user.id, { amount: user.amount + 1 });
  }));
  assert.strictEqual((await db.manager.findOneBy('User', { name: 'kept' })).amount, 8);
  await db.destroy();
}

async function migrations() {
  for (const transaction of ['each', 'none']) {
    const db = await open({ migrations: [Create1700000000001, Alter1700000000002, Concurrently1700000000003] });
    await db.query('DROP TABLE IF EXISTS moved, migrations');
    assert.strictEqual((await db.runMigrations({ transaction })).length, 3);
    assert.strictEqual(await db.showMigrations(), false);
    for (let i = 0; i < 3; i += 1) await db.undoLastMigration({ transaction: i ? transaction : 'none' });
    assert.strictEqual((await db.query("SELECT to_regclass('moved') AS moved"))[0].moved, null);
    await db.destroy();
  }
  const db = await open({ migrations: [Create1700000000001, Alter1700000000002, Bad1700000000004] });
  await assert.rejects(db.runMigrations(), { code: '22012' });
  assert.strictEqual((await db.query("SELECT to_regclass('moved') AS moved"))[0].moved, null);
  await db.destroy();
}

async function shortLived() {
  for (let i = 0; i < 8; i += 1) {
    await all(6, async () => {
      const db = await open();
      assert.strictEqual(await db.manager.count('User', { where: { name: 'n3' } }), 1);
      await db.destroy();
    });
  }
}

runAll([schemaOfItsOwn, synchronized, transactions, migrations, shortLived]);
