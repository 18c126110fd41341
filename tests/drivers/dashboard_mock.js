// A server that is always busy, for the dashboard's page: the page and its headers as pgusher sends
// them, and data in the form of /api/state, made up but lively. `node dashboard_mock.js 8080` serves it.

"use strict";
const crypto = require("node:crypto");
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");

const HERE = path.join(__dirname, "../../src/ops/dashboard");
const SCRIPTS = ["text.js", "chart.js", "view.js", "main.js"];
const SECONDS = 600;

/** What tenants may be called, if they choose to be nasty. Each would do something if it were parsed. */
const HOSTILE = [
  "<img src=x onerror=\"window.owned='img'\">",
  "</script><script>window.owned='script'</script>",
  "\"'><svg/onload=window.owned='svg'>",
  "{{constructor.constructor('window.owned=1')()}}",
  "acme\u202egnp.exe",
  "acme\u200b\u0000\u0007\n\tend",
  "Z\u0351\u036e\u034e\u0353a\u0300\u0301\u0302\u0303\u0304\u0305\u0306lgo",
  "-".repeat(255) + "|",
  "__proto__",
  "",
];

function page() {
  const read = (name) => fs.readFileSync(path.join(HERE, name), "utf8");
  const style = read("style.css");
  const script = SCRIPTS.map(read).join("");
  const hash = (text) => crypto.createHash("sha256").update(text).digest("base64");
  const html = read("index.html").replace("/* style.css */", () => style).replace("/* script */", () => script);
  const policy = `default-src 'none'; script-src 'sha256-${hash(script)}'; style-src 'sha256-${hash(style)}'; ` +
    "img-src data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
  return { html, policy };
}

/** Numbers that look random and are the same each time. */
function dice(seed) {
  return () => {
    seed = (seed * 1664525 + 1013904223) % 4294967296;
    return seed / 4294967296;
  };
}

class World {
  constructor({ hostile = true } = {}) {
    this.random = dice(7);
    this.began = Date.now() - 271800e3;
    this.hostile = hostile;
    this.trouble = true;
    this.history = {};
    this.pools = [
      ["app", "app", 20, 9], ["app", "reports", 8, 2], ["billing", "billing", 12, 5], ["search", "search", 48, 17],
      ["events", "writer", 100, 30], ["legacy", "legacy", 5, 0], ["archive", "batch", 4, 1],
    ].map(([database, user, size, usual]) => ({ database, user, size, usual, active: [], waiting: [] }));
    const names = ["northwind", "acme", "globex", "initech", "umbrella", "hooli", "wonka", "stark", "wayne", "tyrell", "cyberdyne", "soylent",
      "vandelay", "massive dynamic", "oscorp", "pied piper", "dunder", "sterling", "monsters", "aperture"];
    this.tenants = names.map((name, at) => ({ kind: "tenant", name, weight: 1 / (at + 1.5), tier: at % 5 === 1 ? "gold" : "default" }));
    if (hostile) {
      HOSTILE.forEach((name, at) => this.tenants.push({ kind: "tenant", name, weight: 0.5 - at / 30, tier: "default" }));
    }
    this.tenants.push({ kind: "user", name: "migrations", weight: 0.12, tier: "default" });
    this.slow = [];
    this.second = Math.floor(Date.now() / 1000) - SECONDS;
    this.advance();
  }

  /** Goes on to now. */
  advance() {
    const now = Math.floor(Date.now() / 1000);
    while (this.second < now) this.tick(this.second++);
  }

  push(key, value) {
    const values = (this.history[key] ??= []);
    values.push(value);
    if (values.length > SECONDS) values.shift();
  }

  tick(second) {
    const { random } = this;
    const wave = 1 + 0.25 * Math.sin(second / 97) + 0.1 * Math.sin(second / 23);
    // Now and then somebody overdoes it.
    const age = second % 240;
    const storm = this.trouble && age > 150 && age < 190 ? 1 : 0;
    const jitter = () => 0.9 + 0.2 * random();
    const transactions = Math.round(4200 * wave * jitter() * (1 - 0.25 * storm));
    this.push("transactions", transactions);
    this.push("queries", Math.round(transactions * 2.6 * jitter()));
    this.push("errors", random() < 0.2 + 0.5 * storm ? Math.round(random() * 4 + storm * 20 * random()) : 0);
    this.push("refusals", storm ? Math.round(30 + 60 * random()) : random() < 0.03 ? 2 : 0);
    this.push("bytes_in", transactions * 310);
    this.push("bytes_out", transactions * 2140);
    const p50 = 780 * wave * jitter() * (1 + storm);
    this.push("transaction_p50_us", Math.round(p50));
    this.push("transaction_p95_us", Math.round(p50 * 5 * jitter() * (1 + 2 * storm)));
    this.push("transaction_p99_us", Math.round(p50 * 14 * jitter() * (1 + 6 * storm)));
    this.push("wait_p50_us", storm ? Math.round(9000 * jitter()) : Math.round(4 * jitter()));
    this.push("wait_p99_us", storm ? Math.round(180000 * jitter()) : Math.round(240 * wave * jitter()));
    let [active, idle, waiting] = [0, 0, 0];
    for (const pool of this.pools) {
      const failing = this.trouble && pool.database === "legacy";
      const wanted = failing ? 0 : Math.round(pool.usual * wave * (0.75 + 0.5 * random()) * (storm && pool.database === "app" ? 3.4 : 1));
      pool.now = Math.min(pool.size, wanted);
      pool.queue = Math.max(0, wanted - pool.size) + (failing ? 3 : 0);
      pool.open = Math.max(pool.now, Math.min(pool.size, pool.open ?? pool.now) - (random() < 0.03 ? 1 : 0));
      pool.connecting = pool.open < pool.size && random() < 0.2 ? 1 : 0;
      pool.idle = Math.max(0, pool.open - pool.now);
      for (const [key, value] of [["active", pool.now], ["waiting", pool.queue]]) {
        pool[key].push(value);
        if (pool[key].length > 120) pool[key].shift();
      }
      active += pool.now;
      idle += pool.idle;
      waiting += pool.queue;
    }
    this.push("clients", Math.round(1180 + 90 * wave + 20 * random()));
    this.push("clients_waiting", waiting);
    this.push("servers_active", active);
    this.push("servers_idle", idle);
    this.storm = storm;
    if (random() < 0.08 + 0.4 * storm) this.slow.unshift(this.slowOne(second));
    this.slow.length = Math.min(this.slow.length, 50);
  }

  slowOne(second) {
    const { random } = this;
    const tenant = this.tenants[Math.floor(random() ** 2 * this.tenants.length)];
    const pool = this.pools[Math.floor(random() * 4)];
    const texts = [
      "SELECT o.id, o.total, c.name FROM orders o JOIN customers c ON c.id = o.customer_id WHERE o.created_at > $? ORDER BY o.total DESC LIMIT $?",
      "UPDATE invoices SET paid_at = $? WHERE id = $?", "REFRESH MATERIALIZED VIEW CONCURRENTLY daily_totals",
      "SELECT '<b>bold</b>' /* </script><script>window.owned='statement'</script> */", null];
    const took = 1000 + 6000 * random() ** 4;
    return {
      at_ms: second * 1000 + Math.floor(random() * 999), took_ms: took, waited_ms: random() < 0.4 ? took * 0.3 * random() : 0,
      queries: 1 + Math.floor(random() * 12), database: pool.database, user: pool.user,
      tenant: tenant.kind === "user" ? null : tenant.name, client: Math.floor(random() * 90000), statement: texts[Math.floor(random() * texts.length)],
    };
  }

  tenantNow(tenant) {
    const part = tenant.weight * (0.9 + 0.2 * Math.sin(this.second / 5 + tenant.weight * 40));
    const noisy = tenant.name === this.noisy;
    const loud = noisy || (this.storm && tenant.name === "initech");
    return {
      kind: tenant.kind, name: tenant.name, tier: tenant.tier, suspended: tenant.name === "tyrell",
      clients: Math.ceil(part * 160), servers: Math.ceil(part * 9) + (loud ? 8 : 0), waiting: Math.round(part * 2) + (loud ? 14 : 0),
      transactions_per_s: part * 900 * (loud ? 3 : 1), server_share: part * 4.4 + (loud ? 7 : 0),
      wait_per_s: loud ? 9.3 : part > 0.06 ? part * 0.31 : 0, refusals_per_s: loud ? 41 : tenant.weight > 0.2 && tenant.weight < 0.45 ? part * 1.7 : 0,
      errors_per_s: part * 0.4, bytes_per_s: part * 2e6,
    };
  }

  state() {
    this.advance();
    const last = (key) => this.history[key].at(-1);
    const tenants = this.tenants.map((tenant) => this.tenantNow(tenant));
    const top = (key) => tenants.filter((it) => it[key] > 0).sort((a, b) => b[key] - a[key]).slice(0, 10);
    const waiting = last("clients_waiting");
    const active = last("servers_active");
    const now = Date.now();
    return {
      version: "0.1.0", uptime_s: Math.floor((now - this.began) / 1000), now_ms: now, ready: this.ready ?? true, why_not: this.ready === false ? "stopping" : null,
      clients: { active, waiting, idle: last("clients") - active - waiting, logging_in: 0, most: 10000 },
      history: { step_ms: 1000, end_ms: this.second * 1000, ...this.history },
      pools: this.pools.map((pool) => ({
        database: pool.database, user: pool.user, mode: pool.user === "batch" ? "session" : "transaction", size: pool.size, reserve: 0, active: pool.now, idle: pool.idle,
        connecting: pool.connecting, cleaning: 0, cancelling: 0, pinned: pool.database === "search" ? 3 : 0, clients: pool.usual * 18 + 4,
        waiting: pool.queue, oldest_wait_us: pool.queue ? 4e4 + pool.queue * 9000 : 0, paused: this.trouble && pool.user === "batch",
        failing: this.trouble && pool.database === "legacy" ? "cannot connect to 10.0.3.17:5432: connection refused" : null,
        transactions_per_s: pool.now * 61.3, active_history: pool.active, waiting_history: pool.waiting,
      })),
      pools_more: 0,
      tenants: { known: 10000, by_server_time: top("server_share"), by_waiting: top("wait_per_s"), by_refusals: top("refusals_per_s") },
      pinned: [
        { client: 17, database: "search", user: "search", tenant: this.hostile ? HOSTILE[0] : "wayne", for_s: 4312, what: "LISTEN" },
        { client: 40211, database: "search", user: "search", tenant: "hooli", for_s: 12 + (this.second % 60), what: "temporary table" },
        { client: 40377, database: "search", user: "search", tenant: null, for_s: 3, what: "session advisory lock" },
      ],
      pinned_more: 0, slow: this.slow,
    };
  }
}

/** Serves a world. `reply` may say something else than the state: `(response) => true`. */
function serve(world, port = 0) {
  const server = http.createServer((request, response) => {
    const target = request.url.replace(/^\/behind\/a\/prefix/, "").split("?")[0];
    response.setHeader("Cache-Control", "no-store");
    response.setHeader("X-Content-Type-Options", "nosniff");
    if (target === "/") {
      const { html, policy } = page();
      response.setHeader("Content-Security-Policy", policy);
      response.setHeader("Content-Type", "text/html; charset=utf-8");
      response.end(html);
    } else if (target === "/api/state" && !world.reply?.(response)) {
      response.setHeader("Content-Type", "application/json");
      response.end(JSON.stringify(world.empty ? {} : world.state()));
    } else if (!response.writableEnded) {
      response.statusCode = 404;
      response.end();
    }
  });
  return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server)));
}

module.exports = { World, serve, HOSTILE };

if (require.main === module) {
  serve(new World({ hostile: process.argv[3] === "hostile" }), Number(process.argv[2] || 8080)).then((server) => {
    console.log(`http://127.0.0.1:${server.address().port}/`);
  });
}
