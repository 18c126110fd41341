"use strict";
// Text: how elements are made, how numbers and names are written.
//
// Everything from the data gets into the page as the text of a node or the value of an attribute
// that holds text. Nothing is ever parsed: a tenant may be called anything.

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children);
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const byId = (id) => document.getElementById(id);

/** Sets a text, and touches nothing if it stands there already. */
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
function attribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// Controls, overrides of direction, characters without width: what a name could disguise itself with.
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}\u034f\u115f\u1160\u3164\uffa0]/u;
const LONGEST = 300;

/** Shows a name that somebody else chose, unseen characters by their numbers. */
function putName(node, name) {
  if (node.shownName === name) return;
  node.shownName = name;
  const parts = [];
  let plain = "";
  let whole = "";
  for (const character of String(name).slice(0, LONGEST)) {
    if (UNSEEN.test(character)) {
      const code = "U+" + character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      parts.push(plain, el("span", { class: "unseen" }, code));
      plain = "";
      whole += `<${code}>`;
    } else {
      plain += character;
      whole += character;
    }
  }
  parts.push(plain);
  node.replaceChildren(...parts.filter((part) => part !== ""));
  if (!whole) node.append(el("span", { class: "quiet" }, "(empty)"));
  node.setAttribute("title", whole);
}

const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const is = (value) => typeof value === "number" && Number.isFinite(value);

/** A number of things. */
const count = (value) => (is(value) ? whole.format(value) : "–");

/** So many a second. */
function rate(value) {
  if (!is(value)) return "–";
  if (value === 0) return "0";
  if (value < 0.1) return "< 0.1";
  if (value < 9.95) return value.toFixed(1);
  return value < 99950 ? whole.format(value) : whole.format(value / 1000) + "k";
}

/** Seconds a second: how many at once, on average. */
function share(value) {
  if (!is(value)) return "–";
  if (value === 0) return "0";
  if (value < 0.01) return "< 0.01";
  return value < 9.995 ? value.toFixed(2) : value < 99.95 ? value.toFixed(1) : whole.format(value);
}

/** Three digits and a unit. */
function scaled(value, steps) {
  if (!is(value)) return "–";
  let [size, unit] = steps[0];
  for (const [larger, its] of steps) if (value >= larger * 0.9995) [size, unit] = [larger, its];
  const number = value / size;
  const digits = number === 0 || number >= 99.95 || size === steps[0][0] ? 0 : number >= 9.995 ? 1 : 2;
  return `${number >= 999.5 ? whole.format(number) : number.toFixed(digits)} ${unit}`;
}
const micros = (value) => scaled(value, [[1, "µs"], [1e3, "ms"], [1e6, "s"]]);
const bytes = (value) => scaled(value, [[1, "B/s"], [1e3, "kB/s"], [1e6, "MB/s"], [1e9, "GB/s"]]);

/** How long something lasts: two units. */
function lasting(seconds) {
  if (!is(seconds)) return "–";
  const rest = Math.max(0, Math.floor(seconds));
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => rest >= size);
  if (first < 0) return "0 s";
  const [size, unit] = units[first];
  const text = `${Math.floor(rest / size)} ${unit}`;
  const [small, its] = units[first + 1] || [1, ""];
  const more = Math.floor((rest % size) / small);
  return its && more ? `${text} ${more} ${its}` : text;
}

const clock = (ms) => (is(ms) ? new Date(ms).toLocaleTimeString("en-GB") : "–");
