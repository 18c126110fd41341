// The dashboard of a real pgusher under load: what happens is what it shows.
'use strict';

const assert = require('node:assert');
const { setTimeout: sleep } = require('node:timers/promises');
const { Client } = require('pg');
const { url, runAll } = require('./checks.js');
const { World } = require('./dashboard_mock.js');
const { open, fits, picture, texts } = require('./dashboard.js');

const http = process.env.DASHBOARD_URL;
// tests/drivers.rs has made a database and a user of this name.
const hostile = process.env.HOSTILE_NAME;
const password = process.env.DASHBOARD_PASSWORD;
const httpCredentials = { username: 'anybody', password };

const urlOf = (tenant, database) =>
  url.replace('//app:', `//app.${encodeURIComponent(tenant)}:`).replace(/\/[^/]*$/, database ? `/${database}` : '$&');

const authorization = `Basic ${Buffer.from(`x:${password}`).toString('base64')}`;
const state = async () => (await fetch(new URL('api/state', http), { headers: { authorization } })).text();

// Clients that do something again and again, until `stop` is called.
class Load {
  constructor() {
    this.going = true;
    this.tasks = [];
  }

  add(tenant, clients, ...statements) {
    this.addTo(null, tenant, clients, ...statements);
  }

  addTo(database, tenant, clients, ...statements) {
    for (let i = 0; i < clients; i += 1) this.tasks.push(this.one({ connectionString: urlOf(tenant, database) }, statements));
  }

  async one(config, statements) {
    const client = new Client(config);
    await client.connect();
    while (this.going) {
      for (const statement of statements) {
        // Whoever is refused tries again a little later.
        await client.query(statement).catch((error) => (error.code === '53400' ? sleep(20) : Promise.reject(error)));
      }
    }
    await client.end();
  }

  async stop() {
    this.going = false;
    await Promise.all(this.tasks);
  }
}

const nap = (ms) => `SELECT pg_sleep(${ms / 1000})`;
const firstOf = (page, list, name) =>
  page.waitForFunction(([list, name]) => document.querySelector(`#${list} bdi.strong`)?.textContent === name, [list, name]);

async function aNoisyTenantComesToTheTop() {
  const load = new Load();
  for (const tenant of ['acme', 'globex', 'initech']) load.add(tenant, 1, nap(2), 'BEGIN', 'SELECT 1', 'SELECT 2', 'COMMIT');
  const { page, closed } = await open(http, { httpCredentials });
  await page.waitForFunction(() => document.querySelectorAll('#by_server_time li').length >= 3);
  load.add('noisy', 14, nap(30));
  await firstOf(page, 'by_server_time', 'noisy');
  await firstOf(page, 'by_waiting', 'noisy');
  load.add('glutton', 4, 'SELECT 1');
  await firstOf(page, 'by_refusals', 'glutton');
  // The pool is full and its clients wait.
  await page.waitForFunction(() => [...document.querySelectorAll('#pools [data-name=Busy]')].some((it) => /^6 \/ 6$/.test(it.textContent)));
  await page.waitForFunction(() => Number(document.querySelector('#pools .wait.some').textContent) > 0);
  const number = async (at) => Number((await texts(page, '.chart strong'))[at].replace(/[^\d.]/g, ''));
  for (const [at, what] of [[0, 'transactions'], [1, 'their time'], [2, 'waiting'], [4, 'clients'], [5, 'servers']]) {
    assert.ok((await number(at)) > 0, what);
  }
  await load.stop();
  await closed();
}

const row = (table) => `#${table} .row:not(.top)`;

async function whatIsPinnedHasItsTenant() {
  const client = new Client({ connectionString: urlOf('acme') });
  await client.connect();
  await client.query('LISTEN news');
  const { page, closed } = await open(http, { httpCredentials });
  await page.waitForSelector(row('pinned'));
  assert.strictEqual(await page.locator(`${row('pinned')} [data-name=Tenant]`).textContent(), 'acme');
  assert.match(await page.locator(`${row('pinned')} [data-name=Why]`).textContent(), /listen/i);
  await client.query('UNLISTEN *');
  await page.waitForFunction((selector) => !document.querySelector(selector), row('pinned'));
  await client.end();
  await closed();
}

async function whatIsSlowHasItsTenant() {
  const client = new Client({ connectionString: urlOf('sleeper') });
  await client.connect();
  const { page, closed } = await open(http, { httpCredentials });
  await client.query(nap(1200));
  const slow = page.locator(row('slow')).filter({ hasText: 'sleeper' });
  await slow.waitFor();
  assert.match(await slow.locator('[data-name=Took]').textContent(), /^1\.\d\d s$/);
  // Texts are shown when somebody asks for them only.
  assert.strictEqual(await slow.locator('[data-name=Statement]').innerText(), '');
  await client.end();
  await closed();
}

async function aHostileNameIsText() {
  const target = new URL(url);
  const config = { host: target.hostname, port: target.port, user: hostile, database: hostile, password: target.password };
  const load = new Load();
  load.tasks.push(load.one(config, [nap(5)]));
  const long = 'x:'.repeat(63) + '-.';
  load.add(long, 1, nap(5));
  const { page, closed } = await open(http, { httpCredentials });
  const has = (selector, text) => page.waitForFunction(
    ([selector, text]) => [...document.querySelectorAll(selector)].some((it) => it.textContent === text), [selector, text]);
  // What turns text round is shown by its number.
  const shown = hostile.replace('\u202e', 'U+202E');
  await has('#by_server_time bdi.strong', shown);
  await has('#by_server_time bdi.strong', long);
  await has('#pools bdi.strong', shown);
  await page.setViewportSize({ width: 375, height: 812 });
  await fits(page);
  await load.stop();
  await closed();
}

// What has which keys of which types; of a list its first item counts, and null goes for anything.
function shape(value) {
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length ? [shape(value.find((it) => it !== null) ?? null)] : [];
  if (typeof value !== 'object') return typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, shape(one)]));
}

function differences(made, real, at = 'state') {
  if (made === 'null' || real === 'null') return [];
  if (Array.isArray(made) && Array.isArray(real)) {
    return made.length && real.length ? differences(made[0], real[0], `${at}[]`) : [];
  }
  if (typeof made === 'object' && typeof real === 'object') {
    const keys = new Set([...Object.keys(made), ...Object.keys(real)]);
    return [...keys].flatMap((key) =>
      key in made && key in real ? differences(made[key], real[key], `${at}.${key}`) : [`${at}.${key} only ${key in made ? 'made up' : 'real'}`]);
  }
  return made === real ? [] : [`${at}: made up as ${made}, is ${real}`];
}

// The page is shown to work with made-up data: they must be like the real ones.
async function whatIsMadeUpIsLikeThis() {
  const holder = new Client({ connectionString: urlOf('acme') });
  await holder.connect();
  await holder.query('LISTEN news');
  const load = new Load();
  load.add('glutton', 2, 'SELECT 1');
  load.add('noisy', 12, nap(20));
  let real;
  // All lists have something in them, sooner or later.
  do {
    await sleep(200);
    real = JSON.parse(await state());
  } while (![real.pools, real.pinned, real.slow, real.tenants.by_server_time, real.tenants.by_waiting, real.tenants.by_refusals].every((it) => it.length));
  await load.stop();
  await holder.end();
  assert.deepStrictEqual(differences(shape(new World().state()), shape(real)), []);
}

// If a name got into the page as a tag all the same, the browser would still not run it.
async function thePageMayDoNothingElse() {
  const { page, requests, closed } = await open(http, { httpCredentials }, /Content Security Policy/);
  const refused = await page.evaluate(async () => {
    const violations = [];
    document.addEventListener('securitypolicyviolation', (event) => violations.push(event.effectiveDirective));
    const parsed = new DOMParser().parseFromString(
      '<img src="http://127.0.0.1:1/x" onerror="window.owned=1"><p style="color:red" onclick="window.owned=2">x</p>' +
      '<iframe src="/"></iframe><form action="http://127.0.0.1:1/"><button>x</button></form>', 'text/html');
    document.querySelector('main').append(...parsed.body.children);
    const script = document.createElement('script');
    script.textContent = 'window.owned=3';
    document.body.append(script);
    document.querySelector('main > p[onclick]').click();
    document.querySelector('main form button').click();
    await fetch('http://127.0.0.1:1/').catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 300));
    return [...new Set(violations)].sort();
  });
  assert.deepStrictEqual(refused, ['connect-src', 'form-action', 'frame-src', 'img-src', 'script-src-attr', 'script-src-elem', 'style-src-attr']);
  // Nor may it be put into a page of somebody else's.
  const answer = await fetch(http, { headers: { authorization } });
  assert.match(answer.headers.get('content-security-policy'), /frame-ancestors 'none'/);
  assert.strictEqual(answer.headers.get('x-content-type-options'), 'nosniff');
  assert.strictEqual(answer.headers.get('referrer-policy'), 'no-referrer');
  requests.length = 0;
  await closed();
}

async function nobodyGetsInWithoutThePassword() {
  for (const path of ['', 'api/state', 'metrics']) {
    const answer = await fetch(new URL(path, http));
    assert.strictEqual(answer.status, 401, path);
  }
  for (const path of ['healthz', 'readyz']) {
    assert.strictEqual((await fetch(new URL(path, http))).status, 200, path);
  }
}

// A minute of an ordinary day, for the README; a few seconds of it if nobody wants the pictures.
async function pictures() {
  const load = new Load();
  const usual = ['northwind', 'acme', 'globex', 'initech', 'hooli', 'wonka', 'wayne', 'tyrell', 'oscorp', 'vandelay', 'aperture'];
  const little = () => ['BEGIN', 'SELECT 1', 'SELECT 2', 'COMMIT', nap(3), 'SELECT pg_sleep(0.02 * random() ^ 4)'];
  usual.forEach((tenant, at) => {
    load.addTo('shop', tenant, at < 3 ? 2 : 1, ...little(), nap(2 + at));
    if (at % 3 === 0) load.addTo('billing', tenant, 1, ...little());
    if (at % 4 === 1) load.addTo('search', tenant, 1, ...little(), nap(20));
  });
  const listener = new Client({ connectionString: urlOf('sterling', 'billing') });
  await listener.connect();
  await listener.query('LISTEN orders');
  // Somebody looks all the time, as at a dashboard on a wall.
  const watching = setInterval(state, 1000);
  const minute = process.env.SCREENSHOTS ? 62_000 : 3000;
  await sleep(minute * 0.6);
  load.addTo('shop', 'umbrella', 9, nap(40));
  load.addTo('search', 'greedy', 1, 'SELECT 1');
  for (const tenant of ['wonka', 'acme']) {
    const slow = new Client({ connectionString: urlOf(tenant, 'search') });
    await slow.connect();
    load.tasks.push(slow.query(nap(tenant === 'acme' ? 2150 : 1080)).then(() => slow.end()));
    await sleep(minute * 0.1);
  }
  await sleep(minute * 0.2);
  // Drawing takes this machine's time, and would be seen in the picture: it is drawn from what was before.
  clearInterval(watching);
  const body = await state();
  await load.stop();
  await listener.end();
  for (const [name, options] of [
    ['dark', {}],
    ['light', { colorScheme: 'light' }],
    ['phone', { viewport: { width: 375, height: 812 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true }],
  ]) {
    const { page, closed } = await open(http, { httpCredentials, ...options });
    await page.route('**/api/state', (route) => route.fulfill({ contentType: 'application/json', body }));
    await page.locator('#range').getByText('1 min').click();
    await page.waitForFunction((known) => document.querySelector('#tenants-note').textContent.startsWith(known), String(JSON.parse(body).tenants.known));
    await page.waitForTimeout(1500);
    await fits(page);
    await picture(page, name, { fullPage: name !== 'phone' });
    await closed();
  }
}
pictures.limit = 120_000;

runAll([pictures, aNoisyTenantComesToTheTop, whatIsPinnedHasItsTenant, whatIsSlowHasItsTenant, whatIsMadeUpIsLikeThis, aHostileNameIsText,
  thePageMayDoNothingElse, nobodyGetsInWithoutThePassword]);
