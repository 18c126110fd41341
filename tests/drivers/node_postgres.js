// node-postgres: unnamed statements, named ones on request, COPY and cursors by its companions.
'use strict';

const assert = require('node:assert');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const { Client, Pool } = require('pg');
const copy = require('pg-copy-streams');
const QueryStream = require('pg-query-stream');
const { url, runAll, clients, rounds } = require('./checks.js');

async function connect() {
  const client = new Client({ connectionString: url });
  await client.connect();
  return client;
}

async function simpleAndParameterised() {
  const client = await connect();
  assert.strictEqual((await client.query('SELECT 1 AS one')).rows[0].one, 1);
  for (let i = 0; i < rounds; i += 1) {
    const plain = await client.query('SELECT $1::int * 2 AS n', [i]);
    assert.strictEqual(plain.rows[0].n, i * 2);
    const named = await client.query({ name: 'triple', text: 'SELECT $1::int * 3 AS n', values: [i] });
    assert.strictEqual(named.rows[0].n, i * 3);
  }
  await client.end();
}

async function transactions() {
  const client = await connect();
  await client.query('CREATE TABLE IF NOT EXISTS node (i int); TRUNCATE node');
  await client.query('BEGIN');
  await client.query('INSERT INTO node VALUES ($1)', [1]);
  await client.query('ROLLBACK');
  await client.query('BEGIN');
  await client.query('INSERT INTO node VALUES ($1)', [2]);
  await client.query('COMMIT');
  assert.deepStrictEqual((await client.query('SELECT i FROM node')).rows, [{ i: 2 }]);
  await client.end();
}

async function errorAndOn() {
  const client = await connect();
  for (let i = 0; i < rounds; i += 1) {
    await assert.rejects(client.query('SELECT 1 / $1::int', [0]), { code: '22012' });
    await assert.rejects(client.query({ name: `bad${i}`, text: 'SELECT FROM WHERE' }), { code: '42601' });
    assert.strictEqual((await client.query('SELECT 1 AS one')).rows[0].one, 1);
  }
  await client.end();
}

async function copyInAndOut() {
  const client = await connect();
  await client.query('CREATE TABLE IF NOT EXISTS node_copy (i int); TRUNCATE node_copy');
  const lines = Array.from({ length: 10_000 }, (_, i) => `${i}\n`);
  await pipeline(Readable.from(lines), client.query(copy.from('COPY node_copy FROM STDIN')));
  let text = '';
  for await (const piece of client.query(copy.to('COPY node_copy TO STDOUT'))) text += piece;
  assert.strictEqual(text.split('\n').length, 10_001);
  await client.end();
}

async function cursor() {
  const client = await connect();
  let sum = 0;
  const stream = client.query(new QueryStream('SELECT generate_series(1, 1000) AS i', [], { batchSize: 50 }));
  for await (const row of stream) sum += row.i;
  assert.strictEqual(sum, 500_500);
  await client.end();
}

async function cancel() {
  const client = await connect();
  const other = await connect();
  const pid = (await client.query('SELECT pg_backend_pid() AS pid')).rows[0].pid;
  assert.ok(pid);
  const running = assert.rejects(client.query('SELECT pg_sleep(15)'), { code: '57014' });
  setTimeout(() => {
    const request = new Client({ connectionString: url });
    const { connection } = request;
    connection.once('connect', () => connection.cancel(client.processID, client.secretKey));
    connection.on('error', () => {});
    connection.connect(request.port, request.host);
  }, 300);
  await running;
  assert.strictEqual((await client.query('SELECT 1 AS one')).rows[0].one, 1);
  await client.end();
  await other.end();
}

async function manyClients() {
  const pool = new Pool({ connectionString: url, max: clients });
  const work = async (who) => {
    for (let i = 0; i < rounds; i += 1) {
      const query = { name: 'both', text: 'SELECT $1::int AS who, $2::int AS i', values: [who, i] };
      assert.deepStrictEqual((await pool.query(query)).rows[0], { who, i });
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, who) => work(who)));
  const held = await pool.connect();
  held.release();
  await pool.end();
}

runAll([simpleAndParameterised, transactions, errorAndOn, copyInAndOut, cursor, cancel, manyClients]);
