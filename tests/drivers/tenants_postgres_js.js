// postgres.js and tenants: pipelines by itself, prepares by text, one pool in each `sql`.
'use strict';

const assert = require('node:assert');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const postgres = require('postgres');
const { url, runAll, clients, rounds } = require('./checks.js');
const { sums, sum, foreign, urls, tenants } = require('./tenants.js');

const quiet = { onnotice: (notice) => assert.fail(notice.message) };
const seen = async (sql, query = sum) => (await sql.unsafe(query, [], { prepare: true }))[0].sum;
const nobody = (sql) => assert.rejects(sql.unsafe(sum).execute(), { code: '28000', hint: /app\.tenant_id/ });

// What works on a connection that has its tenant.
async function work(sql, tenant) {
  const own = sums[tenant];
  for (let i = 0; i < 8; i += 1) {
    assert.strictEqual(await seen(sql), own);
    assert.strictEqual((await sql.unsafe(sum))[0].sum, own);
    assert.strictEqual((await sql`SELECT count(*)::int AS n FROM orders WHERE tenant_id <> ${tenant}`)[0].n, 0);
  }
  const all = await Promise.all(Array.from({ length: 100 }, () => seen(sql)));
  assert.ok(all.every((one) => one === own));
  await assert.rejects(sql`SELECT 1 / ${0}::int`, { code: '22012' });
  assert.strictEqual(await seen(sql), own);
}

async function transactions(sql, tenant) {
  const own = sums[tenant];
  const undone = sql.begin('ISOLATION LEVEL SERIALIZABLE', async (inside) => {
    await inside`INSERT INTO orders (n) VALUES (${100})`;
    await assert.rejects(inside.savepoint((deeper) => deeper.unsafe(foreign)), { code: '42501' });
    assert.strictEqual(await seen(inside), own + 100);
    const lines = Array.from({ length: 1000 }, (_, i) => `${i}\n`);
    await pipeline(Readable.from(lines), await inside`COPY copied (n) FROM STDIN`.writable());
    const copied = await inside`SELECT count(*)::int AS n, min(tenant_id) AS a, max(tenant_id) AS b FROM copied`;
    assert.deepStrictEqual({ ...copied[0] }, { n: 1000, a: tenant, b: tenant });
    throw new Error('undo');
  });
  await assert.rejects(undone, /undo/);
  let total = 0;
  for await (const rows of sql`SELECT n FROM orders`.cursor(2)) rows.forEach((row) => { total += row.n; });
  assert.strictEqual(total, own);
}

async function byUrl() {
  for (const tenant of tenants) {
    for (const one of urls(tenant, '?app.tenant_id=')) {
      const sql = postgres(one, { ...quiet, max: 2 });
      await work(sql, tenant);
      await transactions(sql, tenant);
      await sql.end();
    }
  }
}

async function byConnectionOption() {
  for (const tenant of tenants) {
    const sql = postgres(url, { ...quiet, max: 2, connection: { 'app.tenant_id': tenant } });
    await work(sql, tenant);
    await sql.end();
  }
}

async function bySet() {
  const sql = postgres(url, { ...quiet, max: 1, fetch_types: false });
  await nobody(sql);
  for (const tenant of tenants) {
    await sql.unsafe(`SET app.tenant_id = '${tenant}'`);
    await work(sql, tenant);
    await sql`SELECT set_config('app.tenant_id', ${tenant}, false)`;
    await work(sql, tenant);
    await transactions(sql, tenant);
  }
  await sql`RESET app.tenant_id`;
  for (const tenant of tenants) {
    await sql.begin(async (inside) => {
      await inside`SELECT set_config('app.tenant_id', ${tenant}, true)`;
      assert.strictEqual(await seen(inside), sums[tenant]);
    });
  }
  await nobody(sql);
  await sql.end();
}

async function byComment() {
  const sql = postgres(url, { ...quiet, max: 1, fetch_types: false });
  for (let i = 0; i < 8; i += 1) {
    for (const tenant of tenants) {
      for (const text of [`${sum} /* tenant_id='${tenant}' */`, `/*tenant_id='${tenant}'*/ ${sum}`]) {
        assert.strictEqual(await seen(sql, text), sums[tenant]);
        assert.strictEqual((await sql.unsafe(text))[0].sum, sums[tenant]);
      }
    }
  }
  const both = tenants.map((tenant) => seen(sql, `${sum} /* tenant_id='${tenant}' */`));
  assert.deepStrictEqual(await Promise.all(both), Object.values(sums));
  await nobody(sql);
  await sql.end();
}

async function pools() {
  await Promise.all(tenants.map(async (tenant) => {
    const sql = postgres(urls(tenant)[0], { ...quiet, max: clients / 2 });
    await Promise.all(Array.from({ length: clients * rounds / 2 }, async () => {
      assert.strictEqual(await seen(sql), sums[tenant]);
    }));
    await sql.end();
  }));
}

runAll([byUrl, byConnectionOption, bySet, byComment, pools]);
