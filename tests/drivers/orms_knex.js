// Knex: migrations under the lock in its table, nested transactions, streams, its pool of ten.
'use strict';

const assert = require('node:assert');
const knex = require('knex');
const { runAll } = require('./checks.js');
const { schema, ownUrl, schemaOfItsOwn, files, all, who } = require('./orms.js');

const CREATE = `
exports.up = async (knex) => {
  await knex.schema.createTable('knex_orders', (t) => {
    t.increments();
    t.string('name').notNullable().unique();
    t.jsonb('extra');
    t.timestamps(true, true);
  });
  await knex('knex_orders').insert(Array.from({ length: 500 }, (_, i) => ({ name: 'n' + i, extra: { i } })));
};
exports.down = (knex) => knex.schema.dropTable('knex_orders');
`;
const ALTER = `
exports.up = async (knex) => {
  await knex.schema.alterTable('knex_orders', (t) => { t.integer('amount').defaultTo(7); });
  await knex.raw("SET LOCAL lock_timeout = '5s'");
  await knex('knex_orders').where('id', '>', 0).update({ amount: knex.ref('id') });
};
exports.down = (knex) => knex.schema.alterTable('knex_orders', (t) => { t.dropColumn('amount'); });
`;
const CONCURRENTLY = `
exports.config = { transaction: false };
exports.up = (knex) => knex.raw('CREATE INDEX CONCURRENTLY knex_by_amount ON knex_orders (amount)');
exports.down = (knex) => knex.raw('DROP INDEX CONCURRENTLY knex_by_amount');
`;
const BAD = `
exports.up = async (knex) => {
  await knex('knex_orders').update({ amount: -1 });
  await knex.raw('SELECT 1 / 0');
};
exports.down = async () => {};
`;
const steps = { 'migrations/1.js': CREATE, 'migrations/2.js': ALTER, 'migrations/3.js': CONCURRENTLY };

const open = (directory, more = {}) =>
  knex({ client: 'pg', connection: ownUrl, migrations: { directory: `${directory}/migrations` }, ...more });

async function clean(db) {
  for (const table of ['knex_orders', 'knex_migrations', 'knex_migrations_lock']) await db.schema.dropTableIfExists(table);
}

async function migrations() {
  const db = open(files(steps));
  await clean(db);
  assert.strictEqual((await db.migrate.latest())[1].length, 3);
  assert.strictEqual((await db('pg_indexes').where({ schemaname: schema, indexname: 'knex_by_amount' })).length, 1);
  assert.strictEqual(Number((await db('knex_orders').count())[0].count), 500);
  await db.migrate.down();
  await db.migrate.up();
  await db.migrate.rollback(undefined, true);
  assert.strictEqual(await db.schema.hasTable('knex_orders'), false);
  await db.migrate.latest();
  assert.deepStrictEqual((await db.migrate.list())[1], []);
  await db.destroy();
}

async function aFailureTakesBack() {
  const db = open(files({ ...steps, 'migrations/4.js': BAD }));
  await assert.rejects(db.migrate.latest(), { code: '22012' });
  assert.strictEqual((await db('knex_orders').where({ amount: -1 })).length, 0);
  assert.strictEqual((await db('knex_migrations_lock'))[0].is_locked, 0);
  await db.destroy();
}

// Replicas that start together: one migrates, the others are told that somebody does, or find it done.
async function oneAtATime() {
  const directory = files(steps);
  const first = open(directory);
  await clean(first);
  await first.migrate.currentVersion();
  const replicas = await all(3, () => open(directory));
  const ended = await Promise.allSettled(replicas.map((db) => db.migrate.latest()));
  for (const { reason } of ended) if (reason) assert.strictEqual(reason.name, 'MigrationLocked', reason);
  assert.ok(ended.some(({ status }) => status === 'fulfilled'));
  assert.strictEqual((await first('knex_migrations')).length, 3);
  await Promise.all([first, ...replicas].map((db) => db.destroy()));
}

async function transactions() {
  const db = open('.');
  await db.transaction(async (trx) => {
    await trx('knex_orders').insert({ name: 'kept' });
    await assert.rejects(trx.transaction((inner) => inner('knex_orders').insert({ name: 'kept' })), { code: '23505' });
    const inner = await trx.transaction();
    await inner('knex_orders').insert({ name: 'undone' });
    await inner.rollback();
  });
  const names = await db('knex_orders').whereIn('name', ['kept', 'undone']).pluck('name');
  assert.deepStrictEqual(names, ['kept']);
  const trx = await db.transaction({ isolationLevel: 'serializable', readOnly: true });
  assert.strictEqual((await trx.raw('SHOW transaction_isolation')).rows[0].transaction_isolation, 'serializable');
  await trx.rollback();
  await all(8, (i) => db.transaction(async (own) => {
    const row = await own('knex_orders').where({ name: 'kept' }).forUpdate().first();
    await own('knex_orders').where({ name: 'kept' }).update({ amount: (row.amount ?? 0) + 1 });
  }));
  assert.strictEqual((await db('knex_orders').where({ name: 'kept' }).first()).amount, 15);
  await db.batchInsert('knex_orders', Array.from({ length: 300 }, (_, i) => ({ name: `batch ${i}` })), 100);
  const merged = await db('knex_orders').insert({ name: 'kept', amount: 9 }).onConflict('name').merge().returning('amount');
  assert.deepStrictEqual(merged, [{ amount: 9 }]);
  await db.destroy();
}

async function streams() {
  const db = open('.');
  let rows = 0;
  for await (const row of db('knex_orders').select('id').stream({ batchSize: 50 })) rows += row.id ? 1 : 0;
  assert.strictEqual(rows, 801);
  await db.destroy();
}

async function settingsOfAConnection() {
  const afterCreate = (connection, done) =>
    connection.query(`SET timezone = 'Asia/Tokyo'; SET application_name = 'knex ${who}'; SET statement_timeout = '33s'`, (error) => done(error, connection));
  const db = open('.', { pool: { afterCreate } });
  await all(40, async () => {
    const shown = await db.raw("SELECT current_setting('timezone') AS z, current_setting('application_name') AS a, current_setting('statement_timeout') AS t");
    assert.deepStrictEqual(shown.rows, [{ z: 'Asia/Tokyo', a: `knex ${who}`, t: '33s' }]);
  });
  await db.destroy();
}

// The documented way to say it: Knex sends SET search_path for each connection.
async function searchPath() {
  const db = open('.', { searchPath: ['pg_catalog', schema] });
  await all(20, async () => {
    assert.strictEqual((await db.raw('SHOW search_path')).rows[0].search_path.replaceAll('"', ''), `pg_catalog, ${schema}`);
  });
  await db.destroy();
}

async function shortLived() {
  for (let i = 0; i < 10; i += 1) {
    await all(6, async () => {
      const db = knex({ client: 'pg', connection: ownUrl });
      assert.strictEqual((await db('knex_orders').where({ name: 'n3' })).length, 1);
      await db.destroy();
    });
  }
}

runAll([
  schemaOfItsOwn, migrations, aFailureTakesBack, oneAtATime, transactions, streams, settingsOfAConnection, searchPath, shortLived,
]);
