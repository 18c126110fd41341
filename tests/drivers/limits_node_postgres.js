// node-postgres and limits: each refusal is an error like any other, and the connection goes on.
// limits.py says which tiers there are.
'use strict';

const assert = require('node:assert');
const { Client, Pool } = require('pg');
const { setTimeout: sleep } = require('node:timers/promises');
const { url, runAll } = require('./checks.js');

const urlOf = (tenant) => url.replace('//app:', `//app.${tenant}:`);

async function console_(command) {
  const client = new Client({ connectionString: url.replace(/\/[^/]*$/, '/pgusher') });
  await client.connect();
  await client.query(command);
  await client.end();
}

const tier = (tenant, name) => console_(`SET TENANT ${tenant} tier = '${name}'`);

async function connected(tenant) {
  const client = new Client({ connectionString: urlOf(tenant) });
  await client.connect();
  return client;
}

async function refused(promise) {
  const error = await promise.then(
    () => assert.fail('not refused'),
    (error) => error,
  );
  assert.strictEqual(error.code, '53400', error);
  assert.strictEqual(error.severity, 'ERROR');
  assert.match(error.hint, /^Try again in \d+ ms\.$/);
  const told = error.detail.match(/^limit=transactions_per_second per_second=1 burst=2 tenant=\w+ retry_after_ms=(\d+)$/);
  assert.ok(told, error.detail);
  return Number(told[1]);
}

async function statements() {
  const requests = {
    simple: 'SELECT 7 AS n',
    parameters: { text: 'SELECT $1::int AS n', values: [7] },
    named: { name: 'seven', text: 'SELECT $1::int AS n', values: [7] },
  };
  for (const [name, request] of Object.entries(requests)) {
    const tenant = `node_${name}`;
    const client = await connected(tenant);
    await tier(tenant, 'slow');
    for (let i = 0; i < 2; i++) {
      assert.strictEqual((await client.query(request)).rows[0].n, 7);
    }
    let millis;
    for (let i = 0; i < 5; i++) {
      millis = await refused(client.query(request));
    }
    await sleep(millis + 1);
    assert.strictEqual((await client.query(request)).rows[0].n, 7);
    await client.end();
  }
}

async function neverPreparedWhatWasRefused() {
  const client = await connected('node_unprepared');
  await tier('node_unprepared', 'slow');
  await client.query('SELECT 1');
  await client.query('SELECT 1');
  const named = { name: 'late', text: 'SELECT $1::int AS n', values: [7] };
  const millis = await refused(client.query(named));
  await sleep(millis + 1);
  assert.strictEqual((await client.query(named)).rows[0].n, 7);
  await client.end();
}

async function transactions() {
  const client = await connected('node_blocks');
  await tier('node_blocks', 'slow');
  await client.query('BEGIN');
  for (let i = 0; i < 50; i++) {
    await client.query('SELECT 1');
  }
  await client.query('COMMIT');
  await client.query('SELECT 1');
  const millis = await refused(client.query('BEGIN'));
  await sleep(millis + 1);
  await client.query('BEGIN');
  await client.query('SELECT $1::int', [1]);
  await client.query('COMMIT');
  await client.end();
}

// It has its own queue; each request has its own answer.
async function many() {
  const client = await connected('node_many');
  await tier('node_many', 'slow');
  const all = Array.from({ length: 20 }, (_, i) => client.query('SELECT $1::int AS n', [i]));
  const settled = await Promise.allSettled(all);
  const good = settled.filter((it) => it.status === 'fulfilled');
  const bad = settled.filter((it) => it.status === 'rejected');
  assert.ok(good.length >= 2 && bad.length >= 10, `${good.length} and ${bad.length}`);
  assert.ok(bad.every((it) => it.reason.code === '53400'));
  settled.forEach((it, i) => it.value && assert.strictEqual(it.value.rows[0].n, i));
  await sleep((await refused(client.query('SELECT 1'))) + 1);
  await client.query('SELECT 1');
  await client.end();
}

// A pool does not throw away the connections of what was refused.
async function pool() {
  const pool = new Pool({ connectionString: urlOf('node_pool'), max: 1 });
  const { rows: before } = await pool.query('SELECT 1');
  assert.strictEqual(before.length, 1);
  await tier('node_pool', 'slow');
  let connections = 0;
  pool.on('connect', () => (connections += 1));
  await pool.query('SELECT 1');
  await pool.query('SELECT 1');
  const millis = await refused(pool.query('SELECT 1'));
  await sleep(millis + 1);
  await pool.query('SELECT 1');
  assert.strictEqual(connections, 0);
  await pool.end();
}

async function delayed() {
  const client = await connected('node_late');
  const notices = [];
  client.on('notice', (notice) => notices.push(notice.detail));
  await tier('node_late', 'late');
  const start = Date.now();
  for (let i = 0; i < 11; i++) {
    assert.strictEqual((await client.query('SELECT 1 AS n')).rows[0].n, 1);
  }
  assert.ok(Date.now() - start >= 490);
  assert.ok(notices.length > 0 && notices.every((it) => /^tenant=node_late waited_ms=\d+$/.test(it)), notices);
  await client.end();
}

async function suspended() {
  const client = await connected('node_off');
  await console_('SUSPEND TENANT node_off');
  for (const request of ['SELECT 1', { text: 'SELECT $1::int', values: [1] }]) {
    const told = { code: '42501', severity: 'ERROR', message: 'tenant "node_off" is suspended', detail: /resumes it/ };
    await assert.rejects(client.query(request), told);
  }
  await assert.rejects(connected('node_off'), { code: '42501', severity: 'FATAL' });
  await console_('RESUME TENANT node_off');
  await client.query('SELECT $1::int', [1]);
  await client.end();
}

async function tooManyClients() {
  const client = await connected('node_alone');
  await tier('node_alone', 'alone');
  const told = { code: '53300', severity: 'FATAL', message: 'too many connections for tenant "node_alone"' };
  await assert.rejects(connected('node_alone'), told);
  await client.query('SELECT 1');
  await client.end();
}

async function expelled() {
  const client = await connected('node_killed');
  const told = new Promise((resolve) => client.on('error', resolve));
  await console_('KILL TENANT node_killed');
  assert.strictEqual((await told).code, '57P01');
  await (await connected('node_killed')).end();
}

runAll([statements, neverPreparedWhatWasRefused, transactions, many, pool, delayed, suspended, tooManyClients, expelled]);
