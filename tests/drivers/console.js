// The console with JavaScript's drivers.
'use strict';

const assert = require('node:assert');
const { Client } = require('pg');
const postgres = require('postgres');
const { url, runAll } = require('./checks.js');

async function nodePostgres() {
  const client = new Client({ connectionString: url, statement_timeout: 1000, application_name: 'checks' });
  await client.connect();
  await client.query('SUSPEND TENANT node');
  const { rows } = await client.query({ name: 'show', text: 'SHOW TENANT node' });
  assert.deepStrictEqual([rows[0].name, rows[0].suspended, rows[0].clients], ['node', true, '0']);
  await assert.rejects(client.query('SHOW ME'), { code: '42601' });
  // Integers are numbers, and what may be larger is a text.
  const lists = (await client.query('SHOW LISTS')).rows;
  assert.strictEqual(lists.find((row) => row.list === 'peers').items, 0);
  const totals = (await client.query({ name: 'totals', text: 'SHOW TOTALS' })).rows;
  assert.strictEqual(totals.find((row) => row.name === 'avg_wait_time').value, '0');
  await client.query('BEGIN');
  const results = await client.query('SHOW VERSION; SHOW HELP');
  assert.match(results[0].rows[0].version, /^pgusher /);
  assert.ok(results[1].rows.some((row) => row.command === 'SHOW HELP'));
  await client.query('COMMIT');
  await client.end();
}

async function postgresJs() {
  // It would ask the catalogue for types otherwise.
  const sql = postgres(url, { max: 2, fetch_types: false });
  await sql`SUSPEND TENANT postgresjs`;
  const [row] = await sql`SHOW TENANT postgresjs`;
  assert.deepStrictEqual([row.name, row.suspended, row.clients], ['postgresjs', true, '0']);
  await assert.rejects(sql`SHOW ME`, { code: '42601' });
  await sql.begin(async (inside) => assert.ok((await inside`SHOW HELP`).length > 1));
  await sql.end();
}

runAll([nodePostgres, postgresJs]);
