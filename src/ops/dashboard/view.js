// What is shown besides the charts: pools, tenants, slow transactions, pinned sessions, alarms.

/** Keeps one row for each key, in the order of the items; rows are made once and then changed. */
class Rows {
  constructor(host, make) {
    Object.assign(this, { host, make, rows: new Map(), fixed: host.childElementCount });
  }

  show(items, keyOf) {
    const rows = new Map();
    items.forEach((item, at) => {
      let key = keyOf(item);
      while (rows.has(key)) key += "'";
      const row = this.rows.get(key) || this.make();
      row.update(item, items);
      rows.set(key, row);
      const there = this.host.children[this.fixed + at];
      if (there !== row.node) this.host.insertBefore(row.node, there || null);
    });
    for (const [key, row] of this.rows) if (rows.get(key) !== row) row.node.remove();
    this.rows = rows;
  }
}

/** The head of a table made of rows. */
function tableHead(host, names) {
  const cells = names.map(([name, kind]) => el("span", { role: "columnheader", class: kind || "" }, name));
  host.append(el("div", { role: "row", class: "row top" }, ...cells));
}
function tableRow(names) {
  const cells = names.map(([name, kind]) => el("div", { role: "cell", class: kind || "", "data-name": name }));
  return { node: el("div", { role: "row", class: "row" }, ...cells), cells };
}
const bdi = (kind) => el("bdi", { class: kind || "" });

/** A note if there is nothing to be shown. */
function nothing(host, items, text) {
  attribute(host, "data-empty", items.length ? "" : text);
}

/** Makes a bar this part of its full length. */
function stretch(bar, part) {
  bar.style.transform = `scaleX(${Math.min(1, part).toFixed(4)})`;
}

const POOL = [["Pool", "name"], ["Servers", "seats"], ["Busy", "number"], ["Waiting", "number wait"], ["Longest wait", "number wait"],
  ["Clients", "number"], ["Tx/s", "number"], ["Last 2 min", "spark"]];

function poolRow() {
  const { node, cells } = tableRow(POOL);
  const [name, seats, busy, waiting, oldest, clients, rateCell, spark] = cells;
  const [database, user, mode] = [bdi("strong"), bdi(), el("span", { class: "quiet" })];
  const status = el("span", { class: "badge" });
  name.append(el("span", { class: "cut" }, database, el("span", { class: "quiet" }, " / "), user, " ", mode), status);
  const parts = ["active", "pinned", "busy", "idle", "free"].map((kind) => el("i", { class: kind }));
  const bar = el("div", { class: "bar", "aria-hidden": "true" }, ...parts);
  const queue = el("i", { class: "queue" });
  seats.append(bar, el("div", { class: "line", "aria-hidden": "true" }, queue));
  const area = svg("path", { class: "area accent" });
  const line = svg("path", { class: "line accent" });
  const queued = svg("path", { class: "line warn" });
  spark.append(svg("svg", { viewBox: "0 0 120 26", preserveAspectRatio: "none", "aria-hidden": "true" }, area, line, queued));

  function update(pool) {
    putName(database, pool.database);
    putName(user, pool.user);
    put(mode, pool.mode === "transaction" ? "" : pool.mode);
    const state = pool.failing ? "failing" : pool.paused ? "paused" : "";
    put(status, state);
    attribute(node, "class", `row ${state}`);
    attribute(status, "title", pool.failing || "");
    const pinned = Math.min(pool.pinned || 0, pool.active || 0);
    const opening = (pool.connecting || 0) + (pool.cleaning || 0) + (pool.cancelling || 0);
    const active = (pool.active || 0) - pinned;
    const open = active + pinned + opening + (pool.idle || 0);
    const size = Math.max(pool.size || 0, open, 1);
    [active, pinned, opening, pool.idle || 0, size - open].forEach((number, at) => {
      const { style } = parts[at];
      if (style.flexGrow === String(number)) return;
      style.flexGrow = number;
      style.display = number ? "" : "none";
      style.setProperty("--seat-width", `${100 / number}%`);
    });
    bar.classList.toggle("dense", size > 64);
    stretch(queue, (pool.waiting || 0) / size);
    attribute(seats, "aria-label",
      `${count(active + pinned)} active, of these ${count(pinned)} pinned, ${count(pool.idle)} idle, ${count(opening)} connecting or cleaning, of ${count(size)}`);
    put(busy, `${count(pool.active)} / ${count(pool.size)}`);
    put(waiting, count(pool.waiting));
    put(oldest, pool.waiting ? micros(pool.oldest_wait_us) : "–");
    waiting.classList.toggle("some", pool.waiting > 0);
    oldest.classList.toggle("some", pool.waiting > 0);
    put(clients, count(pool.clients));
    put(rateCell, rate(pool.transactions_per_s));
    drawSpark(pool, size);
  }

  function drawSpark(pool, size) {
    const activeHistory = pool.active_history || [];
    const waitingHistory = pool.waiting_history || [];
    const most = Math.max(size, ...waitingHistory.filter(is));
    const path = (values) =>
      values.map((value, at) => [121 - values.length + at, 25 - (24 * (value || 0)) / most])
        .map(([x, y]) => `${x} ${y.toFixed(1)}`).join("L");
    const actives = path(activeHistory);
    line.setAttribute("d", actives && `M${actives}`);
    area.setAttribute("d", actives && `M${121 - activeHistory.length} 25L${actives}L120 25Z`);
    queued.setAttribute("d", waitingHistory.some((value) => value > 0) ? `M${path(waitingHistory)}` : "");
  }
  return { node, update };
}

const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

/** The three lists: what they are called, what is compared, what else is said of each tenant. */
const LISTS = [
  { key: "by_server_time", title: "By server time", unit: "server seconds per second", kind: "accent", of: (it) => it.server_share, write: share,
    more: (it) => [plural(it.servers, "server", "servers"), `${rate(it.transactions_per_s)} tx/s`, plural(it.clients, "client", "clients")] },
  { key: "by_waiting", title: "By waiting", unit: "seconds waited per second", kind: "warn", of: (it) => it.wait_per_s, write: share,
    more: (it) => [`${count(it.waiting)} waiting`, plural(it.servers, "server", "servers"), `${rate(it.transactions_per_s)} tx/s`] },
  { key: "by_refusals", title: "By refusals", unit: "per second", kind: "bad", of: (it) => it.refusals_per_s, write: rate,
    more: (it) => [`${rate(it.errors_per_s)} errors/s`, `${rate(it.transactions_per_s)} tx/s`, plural(it.clients, "client", "clients")] },
];

function tenantRow(list) {
  const name = bdi("strong");
  const value = el("b");
  const length = el("i", { class: list.kind });
  const badge = el("span", { class: "badge" });
  const tier = bdi();
  const more = el("span");
  const node = el("li", {},
    el("div", { class: "who" }, name, badge, value),
    el("div", { class: "line", "aria-hidden": "true" }, length),
    el("div", { class: "quiet small" }, tier, more));
  function update(tenant, all) {
    putName(name, tenant.name);
    put(badge, [tenant.kind === "user" ? "user" : "", tenant.suspended ? "suspended" : ""].filter(Boolean).join(", "));
    badge.classList.toggle("bad", Boolean(tenant.suspended));
    put(value, list.write(list.of(tenant)));
    const most = Math.max(...all.map(list.of).filter(is), 1e-9);
    stretch(length, (list.of(tenant) || 0) / most);
    putName(tier, tenant.tier ?? "default");
    put(more, " · " + list.more(tenant).join(" · "));
  }
  return { node, update };
}

const SLOW = [["At", "time"], ["Took", "number took"], ["Waited", "number waited"], ["Queries", "number"], ["Tenant", "name"],
  ["Database / user", "name"], ["Client", "number"], ["Statement", "code"]];
const SLOW_AT_FIRST = 10;

function slowRow() {
  const { node, cells } = tableRow(SLOW);
  const [at, took, waited, queries, tenant, where, client, statement] = cells;
  const [who, database, user] = [bdi("strong"), bdi(), bdi()];
  tenant.append(who);
  where.append(database, el("span", { class: "quiet" }, " / "), user);
  const text = el("button", { type: "button", class: "statement", "aria-expanded": "false" });
  text.addEventListener("click", () => {
    attribute(text, "aria-expanded", String(text.getAttribute("aria-expanded") === "false"));
  });
  statement.append(text);
  function update(slow) {
    put(at, clock(slow.at_ms));
    put(took, micros(slow.took_ms * 1000));
    waited.classList.toggle("none", !(slow.waited_ms >= 0.001));
    put(waited, slow.waited_ms >= 0.001 ? micros(slow.waited_ms * 1000) : "–");
    put(queries, count(slow.queries));
    if (slow.tenant === null || slow.tenant === undefined) put(who, "–");
    else putName(who, slow.tenant);
    putName(database, slow.database);
    putName(user, slow.user);
    put(client, String(slow.client ?? "–"));
    text.hidden = !slow.statement;
    if (slow.statement) put(text, slow.statement);
  }
  return { node, update };
}

const PINNED = [["Client", "number"], ["Database / user", "name"], ["Tenant", "name"], ["For", "number"], ["Why", "code"]];

function pinnedRow() {
  const { node, cells } = tableRow(PINNED);
  const [client, where, tenant, since, what] = cells;
  const [who, database, user] = [bdi("strong"), bdi(), bdi()];
  where.append(database, el("span", { class: "quiet" }, " / "), user);
  tenant.append(who);
  function update(pin) {
    put(client, String(pin.client ?? "–"));
    putName(database, pin.database);
    putName(user, pin.user);
    if (pin.tenant === null || pin.tenant === undefined) put(who, "–");
    else putName(who, pin.tenant);
    put(since, lasting(pin.for_s));
    putName(what, pin.what);
  }
  return { node, update };
}

function alarmRow() {
  const text = el("span");
  const subject = bdi("strong");
  const node = el("li", {}, subject, text);
  function update(alarm) {
    attribute(node, "class", alarm.kind);
    if (alarm.subject) putName(subject, alarm.subject);
    put(text, alarm.text);
  }
  return { node, update };
}

/** What somebody should look at. */
function alarms(state) {
  const found = [];
  if (state.ready === false) found.push({ kind: "bad", text: `Not ready: ${state.why_not || "no reason given"}` });
  for (const pool of state.pools || []) {
    const subject = `${pool.database} / ${pool.user}`;
    if (pool.failing) found.push({ kind: "bad", subject, text: ` is failing: ${pool.failing}` });
    if (pool.paused) found.push({ kind: "warn", subject, text: " is paused" });
  }
  return found;
}

/** Those with trouble first, then by name: rows that change places all the time cannot be read. */
function byTrouble(one, other) {
  const key = (it) => `${it.failing ? 0 : it.paused ? 1 : 2} ${it.database} / ${it.user}`;
  return key(one) < key(other) ? -1 : 1;
}

/** All of it, ready to be shown what the server says. */
function makeView() {
  tableHead(byId("pools"), POOL);
  tableHead(byId("slow"), SLOW);
  tableHead(byId("pinned"), PINNED);
  const pools = new Rows(byId("pools"), poolRow);
  const slow = new Rows(byId("slow"), slowRow);
  const pinned = new Rows(byId("pinned"), pinnedRow);
  const alarmed = new Rows(byId("alarms"), alarmRow);
  const lists = LISTS.map((list) => {
    const host = el("ol", { "aria-label": `Tenants ${list.title.toLowerCase()}`, id: list.key });
    byId("tenants").append(el("div", {}, el("h3", {}, list.title, el("span", { class: "quiet" }, ` ${list.unit}`)), host));
    return { ...list, host, rows: new Rows(host, () => tenantRow(list)) };
  });
  const all = el("button", { type: "button", class: "more", "aria-expanded": "false" });
  byId("slow").after(all);
  let last = {};
  all.addEventListener("click", () => {
    attribute(all, "aria-expanded", String(all.getAttribute("aria-expanded") === "false"));
    showSlow(last.slow || []);
  });

  function showSlow(items) {
    const open = all.getAttribute("aria-expanded") === "true";
    slow.show(open ? items : items.slice(0, SLOW_AT_FIRST), (it) => JSON.stringify([it.at_ms, it.client, it.took_ms]));
    byId("slow").classList.toggle("textless", !items.some((it) => it.statement));
    all.hidden = items.length <= SLOW_AT_FIRST;
    put(all, open ? "Fewer" : `All ${items.length}`);
    nothing(byId("slow"), items, "None.");
  }

  return function show(state) {
    last = state;
    alarmed.show(alarms(state), (it) => it.kind + (it.subject || ""));
    const poolItems = [...(state.pools || [])].sort(byTrouble);
    pools.show(poolItems, (it) => JSON.stringify([it.database, it.user]));
    nothing(byId("pools"), poolItems, "No pool yet: the first client opens one.");
    put(byId("pools-note"), state.pools_more ? `the busiest ${poolItems.length}, and ${count(state.pools_more)} more` : "");

    const tenants = state.tenants || {};
    put(byId("tenants-note"), `${count(tenants.known ?? 0)} known, the last 30 seconds`);
    for (const list of lists) {
      // The server chooses by what it has counted; what is shown is divided by time, and rounded.
      const items = [...(tenants[list.key] || [])].sort((one, other) => list.of(other) - list.of(one));
      list.rows.show(items, (it) => JSON.stringify([it.kind, it.name]));
      nothing(list.host, items, "Nobody.");
    }

    showSlow(state.slow || []);
    const pins = state.pinned || [];
    pinned.show(pins, (it) => JSON.stringify([it.client, it.database, it.user]));
    nothing(byId("pinned"), pins, "None: every server is given back after its transaction.");
    put(byId("pinned-note"), state.pinned_more ? `${count(pins.length)} of ${count(pins.length + state.pinned_more)}` : "");
  };
}
