// The dashboard in a real browser: what the checks of its page share.
//
// Every page that is opened here is watched: what it says on the console, what it asks for and what it
// runs that it should not. `closed` fails if there was anything.
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const { chromium } = require('playwright-core');

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const PICTURES = path.join(__dirname, '../../docs/img');
const MOST_PICTURE = 300_000;

let browser;

async function launch() {
  const executablePath = process.env.CHROMIUM || BROWSERS.find((it) => fs.existsSync(it));
  if (!executablePath) {
    throw new Error('no Chromium here: apt-get install chromium, or say where it is with CHROMIUM=/path');
  }
  // Its sandbox cannot be had by root.
  const args = process.getuid() === 0 ? ['--no-sandbox'] : [];
  return chromium.launch({ executablePath, args });
}

// Opens the page and waits for its first numbers. `complaints` may be expected: a pattern.
async function open(url, options = {}, expected = null) {
  browser ??= await launch();
  const context = await browser.newContext({ viewport: { width: 1360, height: 900 }, colorScheme: 'dark', ...options });
  const page = await context.newPage();
  const complaints = [];
  const complain = (text) => expected?.test(text) || complaints.push(text);
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && complain(message.text()));
  page.on('pageerror', (error) => complain(String(error)));
  page.on('dialog', (dialog) => complain(`a dialog: ${dialog.message()}`));
  const requests = [];
  page.on('request', (request) => requests.push(request.url()));
  await page.goto(url);
  const first = page.locator('.chart strong').first();
  await page.waitForFunction((it) => it.textContent !== '', await first.elementHandle());

  async function closed() {
    const base = new URL(url);
    const known = ['', 'api/state'].map((it) => new URL(it, base).href);
    assert.deepStrictEqual(requests.filter((it) => !known.includes(it) && !it.startsWith('data:')), []);
    assert.strictEqual(await page.evaluate(() => globalThis.owned), undefined);
    assert.deepStrictEqual(complaints, []);
    await context.close();
  }
  return { page, requests, closed };
}

// Nothing is wider than the screen.
async function fits(page) {
  const [content, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(content <= screen, `${content} > ${screen}`);
}

// What it looks like, for the README: docs/img/dashboard-NAME.png if PICTURES is set, else nowhere.
async function picture(page, name, options = {}) {
  const bytes = await page.screenshot({ animations: 'disabled', ...options });
  if (!process.env.SCREENSHOTS) return;
  assert.ok(bytes.length < MOST_PICTURE, `${name}: ${bytes.length} bytes`);
  fs.mkdirSync(PICTURES, { recursive: true });
  fs.writeFileSync(path.join(PICTURES, `dashboard-${name}.png`), bytes);
}

const texts = (page, selector) => page.locator(selector).allTextContents();

module.exports = { open, fits, picture, texts };
