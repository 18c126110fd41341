// The page at work: asks for the state once a second, shows it, remembers what the visitor chose.

const EVERY = 1000;
const PATIENCE = 5000;
const LONGEST_PAUSE = 5000;

/** What the visitor chose, if the browser lets us remember it. */
const memory = {
  get(key) {
    try { return localStorage.getItem(`pgusher.${key}`); } catch { return null; }
  },
  set(key, value) {
    try { localStorage.setItem(`pgusher.${key}`, value); } catch { /* not remembered */ }
  },
};

const THEMES = { auto: "Auto", dark: "Dark", light: "Light" };
let theme = memory.get("theme");
if (!Object.hasOwn(THEMES, theme ?? "")) theme = "auto";
document.documentElement.dataset.theme = theme;

function startTheme() {
  const button = byId("theme");
  const name = () => {
    put(button, THEMES[theme]);
    attribute(button, "aria-label", `Colours: ${THEMES[theme]}`);
  };
  name();
  button.addEventListener("click", () => {
    const all = Object.keys(THEMES);
    theme = all[(all.indexOf(theme) + 1) % all.length];
    document.documentElement.dataset.theme = theme;
    memory.set("theme", theme);
    name();
  });
}

const CHARTS = [
  { title: "Transactions", unit: "/s", write: rate, series: [
    { key: "transactions", name: "transactions", kind: "accent", area: true }, { key: "queries", name: "queries", kind: "plain" }],
    extra: [{ key: "bytes_in", name: "in", write: bytes }, { key: "bytes_out", name: "out", write: bytes }] },
  { title: "Transaction time", unit: "p99", write: micros, log: true, series: [
    { key: "transaction_p99_us", name: "p99", kind: "accent" }, { key: "transaction_p95_us", name: "p95", kind: "accent middle" },
    { key: "transaction_p50_us", name: "p50", kind: "accent low", area: true }] },
  { title: "Wait for a server", unit: "p99", write: micros, log: true, series: [
    { key: "wait_p99_us", name: "p99", kind: "warn" }, { key: "wait_p50_us", name: "p50", kind: "warn low", area: true }] },
  { title: "Errors and refusals", unit: "errors/s", write: rate, series: [
    { key: "errors", name: "errors", kind: "bad", area: true }, { key: "refusals", name: "refusals", kind: "warn dashed" }] },
  { title: "Clients", unit: "connected", write: count, least: 4, series: [
    { key: "clients", name: "connected", kind: "accent", area: true }, { key: "clients_waiting", name: "waiting", kind: "warn" }] },
  { title: "Servers", unit: "busy", write: count, stacked: true, least: 4, series: [
    { key: "servers_active", name: "busy", kind: "accent", area: true }, { key: "servers_idle", name: "idle", kind: "accent low", area: true }] },
];

function start() {
  startTheme();
  const charts = CHARTS.map((options) => new Chart(byId("charts"), options));
  const keys = charts.flatMap((chart) => [...chart.series, ...chart.extra].map((one) => one.key));
  const show = makeView();
  let minutes = 10;
  let state = null;
  let held = false;
  let answered = null;
  let problem = "";
  let pause = EVERY;
  let timer = null;
  let asking = false;

  function draw() {
    if (!state) return;
    const history = state.history || {};
    const data = points(history, minutes, keys);
    for (const chart of charts) chart.update(history, data);
    show(state);
    const clients = state.clients || {};
    const connected = (clients.active || 0) + (clients.waiting || 0) + (clients.idle || 0) + (clients.logging_in || 0);
    const guests = `${count(connected)} of ${count(clients.most)} clients` + (clients.waiting ? `, ${count(clients.waiting)} waiting` : "");
    put(byId("about"), [state.version, `up ${lasting(state.uptime_s)}`, guests].filter(Boolean).join(" · "));
  }

  /** One line that says how things are, and the title of the tab. */
  function say() {
    let kind = "wait";
    let text = "Waiting for the first answer";
    if (problem) {
      kind = "bad";
      text = answered === null ? `No answer yet: ${problem}` : `No answer since ${clock(answered)}: ${problem}`;
    } else if (state) {
      kind = state.ready === false ? "bad" : "good";
      text = state.ready === false ? "Not ready" : "Ready";
      if (held) text += `, held at ${clock(state.now_ms)}`;
    }
    attribute(byId("light"), "class", kind);
    // Said aloud when it changes, so it holds no number that changes all the time.
    put(byId("said"), text);
    document.title = kind === "bad" ? `! ${text} · pgusher` : "pgusher";
    document.body.classList.toggle("stale", Boolean(problem));
    const end = problem || held ? clock(state?.history?.end_ms) : "now";
    for (const chart of charts) put(chart.ends[1], end);
  }

  async function ask() {
    const stop = new AbortController();
    const late = setTimeout(() => stop.abort(), PATIENCE);
    try {
      const answer = await fetch("api/state", { signal: stop.signal, cache: "no-store" });
      if (answer.status === 401) throw new Error("the password is not accepted; load the page again");
      if (!answer.ok) throw new Error(`the server says ${answer.status}`);
      const next = await answer.json();
      answered = Date.now();
      problem = "";
      pause = EVERY;
      if (!held) {
        state = next;
        draw();
      }
    } catch (error) {
      const lost = error instanceof TypeError || error.name === "AbortError";
      problem = lost ? "trying again" : error.message;
      pause = Math.min(LONGEST_PAUSE, pause * 1.5);
    } finally {
      clearTimeout(late);
    }
  }

  async function poll() {
    clearTimeout(timer);
    if (asking || document.hidden) return;
    asking = true;
    const began = performance.now();
    await ask();
    asking = false;
    say();
    timer = setTimeout(poll, Math.max(100, pause - (performance.now() - began)));
  }

  // Nobody looks: nobody asks. The history comes with the next answer.
  document.addEventListener("visibilitychange", poll);
  globalThis.addEventListener("online", poll);

  function hold(on) {
    held = on;
    attribute(byId("hold"), "aria-pressed", String(held));
    put(byId("hold"), held ? "Held" : "Hold");
    say();
    if (!held) poll();
  }
  byId("hold").addEventListener("click", () => hold(!held));
  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || event.target.closest("button, input, a")) return;
    event.preventDefault();
    hold(!held);
  });

  const remembered = memory.get("minutes");
  for (const choice of document.querySelectorAll("#range input")) {
    if (choice.value === remembered) choice.checked = true;
    choice.addEventListener("change", () => {
      memory.set("minutes", choice.value);
      minutes = Number(choice.value);
      draw();
    });
    if (choice.checked) minutes = Number(choice.value);
  }
  poll();
}
document.addEventListener("DOMContentLoaded", start);
