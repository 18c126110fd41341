// Sequelize, which sends SET for each connection that it makes, and Umzug, its migrations.
'use strict';

const assert = require('node:assert');
const { Sequelize, DataTypes, Transaction } = require('sequelize');
const { Umzug, SequelizeStorage } = require('umzug');
const { runAll } = require('./checks.js');
const { schema, ownUrl, schemaOfItsOwn, all } = require('./orms.js');

const open = (more = {}) => new Sequelize(ownUrl, { logging: false, define: { schema }, ...more });

function model(db) {
  const User = db.define('user', {
    name: { type: DataTypes.STRING(50), unique: 'user_name' },
    extra: DataTypes.JSONB,
    tags: DataTypes.ARRAY(DataTypes.TEXT),
    state: DataTypes.ENUM('new', 'old'),
    amount: { type: DataTypes.DECIMAL(10, 2), defaultValue: 0 },
    seen: DataTypes.DATE,
  });
  const Post = db.define('post', { id: { type: DataTypes.UUID, primaryKey: true, defaultValue: DataTypes.UUIDV4 }, title: DataTypes.TEXT });
  User.hasMany(Post);
  Post.belongsTo(User);
  return { User, Post };
}

async function orm() {
  const db = open();
  const { User, Post } = model(db);
  await db.sync({ force: true });
  await db.sync({ alter: true });
  await User.bulkCreate(Array.from({ length: 300 }, (_, i) => ({ name: `n${i}`, extra: { i }, tags: ['all', `t${i}`], state: 'new', amount: i / 4, seen: new Date(0) })));
  const user = await User.findOne({ where: { extra: { i: 7 } } });
  assert.deepStrictEqual([user.amount, user.tags, user.seen.getTime()], ['1.75', ['all', 't7'], 0]);
  await user.createPost({ title: 'one' });
  await user.update({ state: 'old' });
  const found = await User.findByPk(user.id, { include: Post });
  assert.strictEqual(found.posts[0].title, 'one');
  assert.strictEqual(await User.count({ where: { state: 'old' } }), 1);
  const [, created] = await User.upsert({ id: user.id, name: 'n7' });
  assert.ok(created === true || created === null || created === false);
  await assert.rejects(User.create({ name: 'n7' }), { name: 'SequelizeUniqueConstraintError' });
  await db.close();
}

async function transactions() {
  const db = open();
  const { User } = model(db);
  await assert.rejects(db.transaction(async (transaction) => {
    await User.create({ name: 'undone' }, { transaction });
    throw new Error('mine');
  }), { message: 'mine' });
  await db.transaction(async (transaction) => {
    await User.create({ name: 'kept' }, { transaction });
    await assert.rejects(db.transaction({ transaction }, (inner) => User.create({ name: 'n3' }, { transaction: inner })));
  });
  assert.strictEqual(await User.count({ where: { name: ['kept', 'undone'] } }), 1);
  await db.transaction({ isolationLevel: Transaction.ISOLATION_LEVELS.SERIALIZABLE }, async (transaction) => {
    const [rows] = await db.query("SELECT current_setting('transaction_isolation') AS level", { transaction });
    assert.strictEqual(rows[0].level, 'serializable');
  });
  await all(8, () => db.transaction(async (transaction) => {
    const user = await User.findOne({ where: { name: 'kept' }, lock: transaction.LOCK.UPDATE, transaction });
    await user.increment('amount', { transaction });
  }));
  assert.strictEqual((await User.findOne({ where: { name: 'kept' } })).amount, '8.00');
  await db.close();
}

async function settingsOfAConnection() {
  const [tokyo, plain] = [open({ timezone: '+09:00' }), open()];
  await all(20, async (i) => {
    const [rows] = await (i % 2 ? tokyo : plain).query("SELECT current_setting('timezone') AS z, current_setting('client_min_messages') AS m, current_schema() AS s");
    assert.deepStrictEqual(rows, [{ z: i % 2 ? '<+09>-09' : '<+00>-00', m: 'warning', s: schema }]);
  });
  await tokyo.close();
  await plain.close();
}

async function migrations() {
  const db = open();
  const moved = { tableName: 'moved', schema };
  const step = (name, up, down) => ({ name, up: ({ context }) => up(context), down: ({ context }) => down(context) });
  const umzug = new Umzug({
    context: db.getQueryInterface(),
    storage: new SequelizeStorage({ sequelize: db }),
    logger: undefined,
    migrations: [
      step('1', (q) => q.createTable(moved, { id: { type: DataTypes.INTEGER, primaryKey: true } }), (q) => q.dropTable(moved)),
      step('2', (q) => q.addColumn(moved, 'n', { type: DataTypes.INTEGER, defaultValue: 3 }), (q) => q.removeColumn(moved, 'n')),
      step('3', (q) => q.addIndex(moved, ['n'], { concurrently: true, name: 'moved_n' }), (q) => q.removeIndex(moved, 'moved_n', { concurrently: true })),
    ],
  });
  await db.query('DROP TABLE IF EXISTS moved, "SequelizeMeta"');
  for (let i = 0; i < 2; i += 1) {
    assert.strictEqual((await umzug.up()).length, 3);
    assert.ok((await db.getQueryInterface().describeTable(moved)).n);
    await umzug.down({ to: 0 });
    assert.strictEqual((await umzug.executed()).length, 0);
  }
  await db.close();
}

async function shortLived() {
  for (let i = 0; i < 10; i += 1) {
    await all(6, async () => {
      const db = open();
      assert.strictEqual(await model(db).User.count({ where: { name: 'n3' } }), 1);
      await db.close();
    });
  }
}

runAll([schemaOfItsOwn, orm, transactions, settingsOfAConnection, migrations, shortLived]);
