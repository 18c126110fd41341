// node-postgres over TLS: OpenSSL by way of Node's streams.
'use strict';

const assert = require('node:assert');
const { readFileSync } = require('node:fs');
const { pipeline } = require('node:stream/promises');
const { Readable } = require('node:stream');
const { Client, Connection } = require('pg');
const copy = require('pg-copy-streams');
const QueryStream = require('pg-query-stream');
const { url, runAll } = require('./checks.js');

const file = (name) => readFileSync(process.env[name], 'utf8');
const trusted = { ca: file('CA') };
const crowdOf = 200;
// A server name that is given is used only where the host is none.
const byAddress = url.replace('localhost', '127.0.0.1');

async function connect(more = {}, base = url) {
  const client = new Client({ connectionString: base, ssl: trusted, enableChannelBinding: true, ...more });
  await client.connect();
  return client;
}

const value = async (client, sql, ...values) => Object.values((await client.query(sql, values)).rows[0])[0];

async function verified() {
  const client = await connect();
  assert.ok(client.connection.stream.encrypted && client.connection.stream.authorized);
  assert.strictEqual(client.saslSession, null);
  assert.strictEqual(await value(client, 'SELECT 1'), 1);
  await client.end();
  await assert.rejects(connect({ ssl: { ca: file('OTHER_CA') } }), /unable to verify|self.signed|signature/);
  const stranger = { ssl: { ...trusted, servername: 'db.example.org' } };
  await assert.rejects(connect(stranger, byAddress), /altnames/);
  await assert.rejects(connect({ ssl: false }), /requires TLS/);
  await assert.rejects(connect({}, url.replace(/app:\w+@/, 'app:wrong@')), { code: '28P01' });
}

async function bound() {
  const seen = [];
  const client = new Client({ connectionString: url, ssl: trusted, enableChannelBinding: true });
  client.connection.on('authenticationSASL', ({ mechanisms }) => seen.push(...mechanisms));
  client.connection.on('authenticationSASLContinue', () => seen.push(client.saslSession.mechanism));
  await client.connect();
  assert.deepStrictEqual(seen, ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256', 'SCRAM-SHA-256-PLUS']);
  await client.end();
}

async function byCertificate() {
  const shown = { ...trusted, cert: file('CERT'), key: file('KEY') };
  const client = await connect({ ssl: shown }, process.env.CERT_URL);
  assert.strictEqual(await value(client, 'SELECT session_user'), 'app');
  await client.end();
  const other = { ...trusted, cert: file('OTHER_CERT'), key: file('OTHER_KEY') };
  await assert.rejects(connect({ ssl: other }, process.env.CERT_URL), { code: '28000' });
}

async function direct() {
  const client = await connect({ sslnegotiation: 'direct' });
  assert.strictEqual(client.connection.stream.alpnProtocol, 'postgresql');
  assert.strictEqual(await value(client, 'SELECT 1'), 1);
  await client.end();
}

async function tenantByServerName() {
  for (const tenant of ['acme', 'globex']) {
    const ssl = { ...trusted, servername: `${tenant}.db.example.com` };
    const client = await connect({ ssl }, byAddress);
    assert.strictEqual(await value(client, "SELECT current_setting('app.tenant_id', true)"), tenant);
    await client.end();
  }
}

const large = "SELECT i, repeat(chr(97 + i % 26), 10000) AS t FROM generate_series(1, 2000) i";

function checkLarge(rows) {
  assert.strictEqual(rows.length, 2000);
  rows.forEach(({ i, t }, at) => {
    assert.strictEqual(i, at + 1);
    assert.ok(t === String.fromCharCode(97 + (i % 26)).repeat(10_000), `row ${i} has changed`);
  });
}

async function largeResult() {
  const client = await connect();
  checkLarge((await client.query(large)).rows);
  const rows = [];
  for await (const row of client.query(new QueryStream(large, [], { batchSize: 70 }))) rows.push(row);
  checkLarge(rows);
  await client.end();
}

async function copyInAndOut() {
  const client = await connect();
  await client.query('DROP TABLE IF EXISTS tls_node; CREATE TABLE tls_node (i int, t text)');
  const lines = Array.from({ length: 20_000 }, (_, i) => `${i}\t${'t'.repeat(i % 1_000)}\n`);
  await pipeline(Readable.from(lines), client.query(copy.from('COPY tls_node FROM STDIN')));
  let text = '';
  for await (const piece of client.query(copy.to('COPY (SELECT * FROM tls_node ORDER BY i) TO STDOUT'))) text += piece;
  assert.ok(text === lines.join(''));
  await client.end();
}

async function queued() {
  const client = await connect();
  const texts = Array.from({ length: 300 }, (_, i) => 'q'.repeat(i * 100));
  const found = await Promise.all(texts.map((text) => value(client, 'SELECT $1::text', text)));
  assert.deepStrictEqual(found, texts);
  await client.end();
}

async function cancel() {
  const client = await connect();
  const running = assert.rejects(client.query('SELECT pg_sleep(15)'), { code: '57014' });
  setTimeout(() => {
    const request = new Connection({ ssl: trusted });
    request.on('error', () => {});
    request.once('connect', () => request.requestSsl());
    request.once('sslconnect', () => request.cancel(client.processID, client.secretKey));
    request.connect(client.port, client.host);
  }, 300);
  await running;
  assert.strictEqual(await value(client, 'SELECT 1'), 1);
  await client.end();
}

async function notificationsWhileIdle() {
  const [listener, speaker] = [await connect(), await connect()];
  await listener.query('LISTEN news');
  for (let i = 0; i < 20; i += 1) {
    const heard = new Promise((resolve) => listener.once('notification', resolve));
    await speaker.query("SELECT pg_notify('news', $1)", [`${i}`]);
    assert.strictEqual((await heard).payload, `${i}`);
  }
  await listener.end();
  await speaker.end();
}

async function crowd() {
  const all = await Promise.all(Array.from({ length: crowdOf }, () => connect()));
  const found = await Promise.all(all.map((client, who) => value(client, 'SELECT $1::int', who)));
  assert.deepStrictEqual(found, all.map((_, who) => who));
  await Promise.all(all.map((client) => client.end()));
}

runAll([
  verified, bound, byCertificate, direct, tenantByServerName, largeResult, copyInAndOut, queued, cancel,
  notificationsWhileIdle, crowd,
]);
