// postgres.js: pipelines by itself, and every query is a named statement of the server.
'use strict';

const assert = require('node:assert');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const postgres = require('postgres');
const { url, runAll, clients, rounds } = require('./checks.js');

const quiet = { onnotice: () => {} };
const connect = (max = 1) => postgres(url, { max, ...quiet });

async function simpleAndParameterised() {
  const sql = connect();
  for (let i = 0; i < rounds; i += 1) {
    assert.strictEqual((await sql`SELECT ${i}::int * 2 AS n`)[0].n, i * 2);
  }
  assert.strictEqual((await sql.unsafe('SELECT 1 AS a; SELECT 2 AS a')).length, 2);
  await sql.end();
}

async function transactions() {
  const sql = connect();
  await sql`CREATE TABLE IF NOT EXISTS postgres_js (i int)`;
  await sql`TRUNCATE postgres_js`;
  await assert.rejects(sql.begin(async (tx) => {
    await tx`INSERT INTO postgres_js VALUES (1)`;
    throw new Error('undo');
  }), /undo/);
  await sql.begin(async (tx) => {
    await tx`INSERT INTO postgres_js VALUES (2)`;
    await tx.savepoint(async (inner) => {
      await inner`INSERT INTO postgres_js VALUES (3)`;
      throw new Error('undo');
    }).catch(() => {});
  });
  assert.deepStrictEqual([...(await sql`SELECT i FROM postgres_js`)], [{ i: 2 }]);
  await sql.end();
}

async function errorAndOn() {
  const sql = connect();
  for (let i = 0; i < rounds; i += 1) {
    await assert.rejects(sql`SELECT 1 / ${0}::int`, { code: '22012' });
    await assert.rejects(sql.unsafe('SELECT FROM WHERE $1', [i]), { code: '42601' });
    assert.strictEqual((await sql`SELECT 1 AS one`)[0].one, 1);
  }
  await sql.end();
}

async function pipelined() {
  const sql = connect();
  const all = Array.from({ length: 1000 }, (_, i) => (
    i % 100 === 99
      ? sql`SELECT 1 / ${0}::int AS n`.then(() => 'no error', (error) => error.code)
      : sql`SELECT ${i}::int AS n`.then((rows) => rows[0].n)
  ));
  const expected = Array.from({ length: 1000 }, (_, i) => (i % 100 === 99 ? '22012' : i));
  assert.deepStrictEqual(await Promise.all(all), expected);
  await sql.end();
}

async function copyInAndOut() {
  const sql = connect();
  await sql`CREATE TABLE IF NOT EXISTS postgres_js_copy (i int)`;
  await sql`TRUNCATE postgres_js_copy`;
  const lines = Array.from({ length: 10_000 }, (_, i) => `${i}\n`);
  await pipeline(Readable.from(lines), await sql`COPY postgres_js_copy FROM STDIN`.writable());
  let text = '';
  for await (const piece of await sql`COPY postgres_js_copy TO STDOUT`.readable()) text += piece;
  assert.strictEqual(text.split('\n').length, 10_001);
  await sql.end();
}

async function cursor() {
  const sql = connect();
  let sum = 0;
  for await (const rows of sql`SELECT generate_series(1, 1000) AS i`.cursor(50)) {
    for (const row of rows) sum += row.i;
  }
  assert.strictEqual(sum, 500_500);
  await sql.end();
}

async function cancel() {
  const sql = connect();
  const query = sql`SELECT pg_sleep(15)`;
  setTimeout(() => query.cancel(), 300);
  await assert.rejects(query, { code: '57014' });
  assert.strictEqual((await sql`SELECT 1 AS one`)[0].one, 1);
  await sql.end();
}

async function manyClients() {
  const sql = connect(clients);
  const work = async (who) => {
    for (let i = 0; i < rounds; i += 1) {
      assert.deepStrictEqual({ ...(await sql`SELECT ${who}::int AS who, ${i}::int AS i`)[0] }, { who, i });
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, who) => work(who)));
  await sql.end();
}

runAll([simpleAndParameterised, transactions, errorAndOn, pipelined, copyInAndOut, cursor, cancel, manyClients]);
