// node-postgres with a token as its password, which a function gives anew for each connection.
'use strict';

const assert = require('node:assert');
const { Client, Pool } = require('pg');
const { url, runAll } = require('./checks.js');

const at = new URL(url);
const settings = (password) => ({
  host: at.hostname, port: Number(at.port), database: at.pathname.slice(1), user: 'app', password,
});

async function aFunctionGivesTheToken() {
  let asked = 0;
  const pool = new Pool({ ...settings(async () => { asked += 1; return process.env.TOKEN; }), max: 2 });
  const results = await Promise.all([1, 2, 3, 4].map((n) => pool.query('SELECT $1::int AS n', [n])));
  assert.deepStrictEqual(results.map((it) => it.rows[0].n), [1, 2, 3, 4]);
  assert.strictEqual(asked, 2);
  await pool.end();
}

async function anotherTokenIsRefused() {
  for (const token of [process.env.OTHER_TOKEN, process.env.TOKEN.slice(0, -4), 'x']) {
    await assert.rejects(new Client(settings(token)).connect(), {
      code: '28P01', message: 'password authentication failed for user "app"',
    });
  }
}

runAll([aFunctionGivesTheToken, anotherTokenIsRefused]);
