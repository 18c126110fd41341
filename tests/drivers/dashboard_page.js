// The dashboard's page with made-up data: everything that can be seen, and everything that can go wrong.
'use strict';

const assert = require('node:assert');
const { runAll } = require('./checks.js');
const { open, fits, texts } = require('./dashboard.js');
const { World, serve, HOSTILE } = require('./dashboard_mock.js');

const servers = [];

async function served(options) {
  const world = new World(options);
  const server = await serve(world);
  servers.push(server);
  return [world, `http://127.0.0.1:${server.address().port}/`];
}

async function showsEverything() {
  const [world, url] = await served({ hostile: false });
  world.trouble = false;
  const { page, closed } = await open(url);
  assert.deepStrictEqual(await texts(page, '.chart h2'),
    ['Transactions', 'Transaction time', 'Wait for a server', 'Errors and refusals', 'Clients', 'Servers']);
  for (const text of await texts(page, '.chart strong')) assert.match(text, /^[<\d]/);
  // Each line goes somewhere.
  const lines = await page.locator('.chart path.line').evaluateAll((all) => all.map((it) => it.getAttribute('d').length));
  assert.ok(lines.length === 13 && lines.every((length) => length > 500), lines);
  const pools = page.locator('#pools .row:not(.top)');
  assert.strictEqual(await pools.count(), 7);
  for (const list of ['by_server_time', 'by_waiting']) {
    assert.strictEqual(await page.locator(`#${list} li`).count(), 10);
  }
  assert.strictEqual((await texts(page, '#by_server_time bdi.strong'))[0], 'northwind');
  assert.deepStrictEqual(await texts(page, '#pinned .row:not(.top) [data-name=Why]'), ['LISTEN', 'temporary table', 'session advisory lock']);
  assert.strictEqual(await page.locator('#slow .row:not(.top)').count(), 10);
  await page.locator('.more').click();
  assert.ok((await page.locator('#slow .row:not(.top)').count()) > 20);
  assert.match(await page.locator('#tenants-note').textContent(), /^10,000 known/);
  assert.strictEqual(await page.locator('#said').textContent(), 'Ready');
  await fits(page);
  await closed();
}

async function isLive() {
  const [world, url] = await served({ hostile: false });
  world.trouble = false;
  const { page, requests, closed } = await open(url);
  const first = () => page.locator('#by_server_time bdi.strong').first().textContent();
  assert.strictEqual(await first(), 'northwind');
  world.noisy = 'aperture';
  await page.waitForFunction(() => document.querySelector('#by_server_time bdi.strong').textContent === 'aperture');
  assert.strictEqual((await texts(page, '#by_waiting bdi.strong'))[0], 'aperture');
  assert.strictEqual((await texts(page, '#by_refusals bdi.strong'))[0], 'aperture');
  const before = requests.length;
  await page.waitForTimeout(3000);
  const asked = requests.length - before;
  assert.ok(asked >= 2 && asked <= 4, `asked ${asked} times in 3 s`);
  await closed();
}

async function noNameIsMoreThanText() {
  const [world, url] = await served({});
  world.noisy = HOSTILE[0];
  const { page, closed } = await open(url);
  await page.waitForFunction((name) => document.querySelector('#by_waiting bdi.strong').textContent === name, HOSTILE[0]);
  const shown = await texts(page, '#by_server_time bdi.strong');
  for (const name of HOSTILE.slice(0, 4)) assert.ok(shown.includes(name), `${name} in ${shown}`);
  // What cannot be seen is shown by its number, and turns nothing round.
  assert.ok(shown.includes('acmeU+202Egnp.exe'), shown);
  assert.ok(shown.every((name) => !/[\p{C}]/u.test(name)), shown);
  assert.strictEqual(await page.locator('main img, main script, main a').count(), 0);
  // The page has no element that its own code did not make: those it makes, and no other.
  const tags = await page.evaluate(() => [...new Set([...document.querySelectorAll('main *')].map((it) => it.localName))].sort());
  assert.deepStrictEqual(tags, ['b', 'bdi', 'button', 'circle', 'div', 'figcaption', 'figure', 'g', 'h2', 'h3', 'i', 'li', 'line',
    'ol', 'p', 'path', 'section', 'span', 'strong', 'svg', 'text', 'ul']);
  await fits(page);
  await page.setViewportSize({ width: 375, height: 812 });
  await fits(page);
  await closed();
}

async function saysWhatIsWrong() {
  const [world, url] = await served({ hostile: false });
  world.ready = false;
  const { page, closed } = await open(url);
  const said = await texts(page, '#alarms li');
  assert.deepStrictEqual(said, ['Not ready: stopping', 'legacy / legacy is failing: cannot connect to 10.0.3.17:5432: connection refused', 'archive / batch is paused']);
  assert.strictEqual(await page.locator('#said').textContent(), 'Not ready');
  assert.match(await page.title(), /^! Not ready/);
  assert.deepStrictEqual(await texts(page, '#pools .badge:not(:empty)'), ['failing', 'paused']);
  world.ready = true;
  world.trouble = false;
  await page.waitForFunction(() => !document.querySelector('#alarms li'));
  assert.strictEqual(await page.title(), 'pgusher');
  await closed();
}

async function survivesALostServer() {
  const [world, url] = await served({ hostile: false });
  const { page, closed } = await open(url, {}, /the server responded with a status of|ERR_EMPTY_RESPONSE/);
  const said = page.locator('#said');
  const says = (text) => page.waitForFunction((it) => document.querySelector('#said').textContent.includes(it), text);
  for (const [reply, text] of [
    [(response) => response.destroy(), 'trying again'],
    [(response) => response.writeHead(503).end(), 'the server says 503'],
    [(response) => response.writeHead(401).end(), 'the password is not accepted'],
    [(response) => response.end('<html>'), 'JSON'],
  ]) {
    world.reply = (response) => (reply(response), true);
    await says(text);
    assert.match(await said.textContent(), /^No answer since \d\d:\d\d:\d\d: /);
    assert.match(await page.title(), /^! No answer/);
    // What was seen last stays.
    assert.strictEqual(await page.locator('#by_server_time li').count(), 10);
    world.reply = null;
    await says('Ready');
  }
  await closed();
}

async function worksWithNothing() {
  const [world, url] = await served({});
  world.empty = true;
  const { page, closed } = await open(url);
  await page.waitForFunction(() => document.querySelector('#pools').dataset.empty);
  for (const text of await texts(page, '.chart strong')) assert.strictEqual(text, '–');
  world.empty = false;
  await page.waitForFunction(() => document.querySelectorAll('#pools .row').length === 8);
  await closed();
}

async function worksBehindAPrefix() {
  const [, url] = await served({ hostile: false });
  const { closed } = await open(`${url}behind/a/prefix/`);
  await closed();
}

async function worksByKeys() {
  const [, url] = await served({ hostile: false });
  const { page, closed } = await open(url);
  const chart = page.locator('.chart > svg').first();
  await chart.focus();
  for (let i = 0; i < 3; i += 1) await page.keyboard.press('ArrowLeft');
  assert.match(await page.locator('#read').textContent(), /^Transactions, \d\d:\d\d:\d\d: transactions [\d,]+, queries [\d,]+ \/s$/);
  assert.strictEqual(await page.locator('svg.pointed').count(), 6);
  await page.keyboard.press('Escape');
  assert.strictEqual(await page.locator('svg.pointed').count(), 0);
  // All that can be used can be reached, and has a name.
  const names = new Set();
  await page.evaluate(() => { document.activeElement.blur(); scrollTo(0, 0); });
  for (let i = 0; i < 40; i += 1) {
    await page.keyboard.press('Tab');
    names.add(await page.evaluate(() => {
      const it = document.activeElement;
      return it.getAttribute('aria-label')?.split(',')[0] || it.labels?.[0]?.textContent || it.textContent.slice(0, 20);
    }));
  }
  for (const name of ['10 min', 'Hold', 'Colours: Auto', 'Transactions', 'Servers']) assert.ok(names.has(name), `${name} in ${[...names]}`);
  await closed();
}

async function remembersWhatWasChosen() {
  const [, url] = await served({ hostile: false });
  const { page, closed } = await open(url, { colorScheme: 'light' });
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await ground();
  await page.locator('#theme').click();
  const dark = await ground();
  assert.notStrictEqual(dark, light);
  await page.locator('#range').getByText('1 min').click();
  await page.reload();
  assert.strictEqual(await ground(), dark);
  assert.ok(await page.locator('#range input[value="1"]').isChecked());
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.locator('#theme').click();
  assert.strictEqual(await ground(), light);
  await page.locator('#theme').click();
  assert.strictEqual(await ground(), dark);
  await closed();
}

async function holdsStill() {
  const [, url] = await served({ hostile: false });
  const { page, closed } = await open(url);
  await page.keyboard.press(' ');
  assert.match(await page.locator('#said').textContent(), /^Ready, held at /);
  const read = () => page.locator('#charts').textContent();
  const before = await read();
  await page.waitForTimeout(2500);
  assert.strictEqual(await read(), before);
  await page.locator('#hold').click();
  await page.waitForFunction((it) => document.querySelector('#charts').textContent !== it, before);
  await closed();
}

async function doesNotAskWhenNobodyLooks() {
  const [, url] = await served({ hostile: false });
  const { page, requests, closed } = await open(url);
  const look = (hidden) => page.evaluate((it) => {
    Object.defineProperty(document, 'hidden', { value: it, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  }, hidden);
  await look(true);
  await page.waitForTimeout(1200);
  const before = requests.length;
  await page.waitForTimeout(2500);
  assert.strictEqual(requests.length, before);
  await look(false);
  await page.waitForTimeout(500);
  assert.ok(requests.length > before);
  await closed();
}

// Fifty pools and ten minutes, a day of it: each picture is quick to draw and leaves nothing behind.
async function drawsManyPoolsQuickly() {
  const [world, url] = await served({ hostile: false });
  const usual = world.pools[0];
  while (world.pools.length < 50) world.pools.push({ ...usual, database: `db${world.pools.length}` });
  const { page, closed } = await open(url);
  await page.waitForFunction(() => document.querySelectorAll('#pools .row').length === 51);
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable');
  const measure = async () => {
    await session.send('HeapProfiler.collectGarbage');
    const { metrics } = await session.send('Performance.getMetrics');
    const of = (name) => metrics.find((it) => it.name === name).value;
    return { nodes: of('Nodes'), busy: of('TaskDuration'), time: of('Timestamp') };
  };
  await page.waitForTimeout(2000);
  const before = await measure();
  await page.waitForTimeout(8000);
  const after = await measure();
  const busy = (after.busy - before.busy) / (after.time - before.time);
  console.log(`        ${(busy * 100).toFixed(1)} % of a core, ${after.nodes - before.nodes} nodes more`);
  assert.ok(after.nodes - before.nodes < 500, `${before.nodes}, ${after.nodes}`);
  assert.ok(busy < 0.5, busy);
  await closed();
}

async function fitsEveryScreen() {
  const [, url] = await served({ hostile: false });
  const { page, closed } = await open(url);
  for (const width of [320, 375, 414, 681, 768, 1024, 1081, 1360, 1920]) {
    await page.setViewportSize({ width, height: 800 });
    await fits(page);
  }
  await closed();
}

runAll([showsEverything, isLive, noNameIsMoreThanText, saysWhatIsWrong, survivesALostServer, worksWithNothing, worksBehindAPrefix,
  worksByKeys, remembersWhatWasChosen, holdsStill, doesNotAskWhenNobodyLooks, drawsManyPoolsQuickly, fitsEveryScreen]);
