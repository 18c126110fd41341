// node-postgres and tenants: through the URL, through SET, through a comment.
'use strict';

const assert = require('node:assert');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const { Client, Pool } = require('pg');
const copy = require('pg-copy-streams');
const QueryStream = require('pg-query-stream');
const { url, runAll, clients, rounds } = require('./checks.js');
const { sums, sum, foreign, urls, tenants } = require('./tenants.js');

async function connect(connectionString = url) {
  const client = new Client({ connectionString });
  await client.connect();
  return client;
}

const seen = async (client, query = sum) => (await client.query(query)).rows[0].sum;
const nobody = (client) => assert.rejects(client.query(sum), { code: '28000', hint: /app\.tenant_id/ });

// What works on a connection that has its tenant.
async function work(client, tenant) {
  const own = sums[tenant];
  for (let i = 0; i < 8; i += 1) {
    assert.strictEqual(await seen(client), own);
    assert.strictEqual(await seen(client, { text: `${sum} WHERE n > $1`, values: [0] }), own);
    assert.strictEqual(await seen(client, { name: 'sum', text: sum }), own);
  }
  // Sent without waiting for the answers, which this driver does one by one.
  const all = await Promise.all(Array.from({ length: 50 }, () => seen(client)));
  assert.ok(all.every((one) => one === own));
  await client.query('BEGIN ISOLATION LEVEL SERIALIZABLE');
  await client.query('INSERT INTO orders (n) VALUES ($1)', [100]);
  await client.query('SAVEPOINT s');
  await assert.rejects(client.query(foreign), { code: '42501' });
  await client.query('ROLLBACK TO s');
  assert.strictEqual(await seen(client), own + 100);
  const lines = Array.from({ length: 1000 }, (_, i) => `${i}\n`);
  await pipeline(Readable.from(lines), client.query(copy.from('COPY copied (n) FROM STDIN')));
  const copied = await client.query('SELECT count(*)::int AS n, min(tenant_id) AS a, max(tenant_id) AS b FROM copied');
  assert.deepStrictEqual(copied.rows, [{ n: 1000, a: tenant, b: tenant }]);
  await client.query('ROLLBACK');
  let total = 0;
  for await (const row of client.query(new QueryStream('SELECT n FROM orders'))) total += row.n;
  assert.strictEqual(total, own);
  await assert.rejects(client.query('SELECT 1 / $1::int', [0]), { code: '22012' });
  assert.strictEqual(await seen(client), own);
}

async function byUrl() {
  for (const tenant of tenants) {
    for (const one of urls(tenant)) {
      const client = await connect(one);
      await work(client, tenant);
      await client.end();
    }
  }
}

async function bySet() {
  const client = await connect();
  await nobody(client);
  for (const tenant of tenants) {
    await client.query(`SET app.tenant_id = '${tenant}'`);
    await work(client, tenant);
    await client.query("SELECT set_config('app.tenant_id', $1, false)", [tenant]);
    await work(client, tenant);
  }
  await client.query('RESET app.tenant_id');
  for (const tenant of tenants) {
    await client.query('BEGIN');
    await client.query("SELECT set_config('app.tenant_id', $1, true)", [tenant]);
    assert.strictEqual(await seen(client), sums[tenant]);
    await client.query('COMMIT');
  }
  await nobody(client);
  await client.end();
}

async function byComment() {
  const client = await connect();
  for (let i = 0; i < 8; i += 1) {
    for (const tenant of tenants) {
      for (const text of [`${sum} /* tenant_id='${tenant}' */`, `/*tenant_id='${tenant}'*/ ${sum}`]) {
        assert.strictEqual(await seen(client, text), sums[tenant]);
        const where = text.replace('orders', 'orders WHERE n > $1');
        assert.strictEqual(await seen(client, { text: where, values: [0] }), sums[tenant]);
      }
      const named = { name: `sum of ${tenant}`, text: `${sum} /* tenant_id='${tenant}' */` };
      assert.strictEqual(await seen(client, named), sums[tenant]);
    }
  }
  await nobody(client);
  await client.end();
}

async function pools() {
  const work = tenants.map(async (tenant) => {
    const pool = new Pool({ connectionString: urls(tenant)[0], max: clients / 2 });
    await Promise.all(Array.from({ length: clients * rounds / 2 }, async () => {
      assert.strictEqual(await seen(pool), sums[tenant]);
    }));
    await pool.end();
  });
  await Promise.all(work);
}

runAll([byUrl, bySet, byComment, pools]);
