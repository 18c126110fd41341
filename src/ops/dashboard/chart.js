// Charts: lines over time, all with the same time and the same cursor.

/** Room for the numbers at the right of the lines. */
const MARGIN = 50;

/** How many seconds make a point, for each range in minutes: about as many points as can be seen. */
const POINT = { 1: 1, 5: 2, 10: 5 };

/** What becomes of several values in a point: the mean, or the worst where the mean would hide it. */
const worst = (key) => /p9[59]|waiting/.test(key);

/**
 * The history as points: `{ times, columns, from, to }`. Points begin at full multiples of their
 * length, so that a value does not wander from one to the next as time goes by.
 */
function points(history, minutes, keys) {
  const step = history.step_ms || 1000;
  const size = POINT[minutes] * 1000;
  const to = history.end_ms || 0;
  const from = to - minutes * 60000;
  const first = Math.floor(from / size) + 1;
  const last = Math.floor(to / size);
  const length = Math.max(0, last - first + 1);
  const times = Array.from({ length }, (_, at) => Math.min(to, (first + at + 0.5) * size));
  const columns = {};
  for (const key of keys) {
    const values = history[key] || [];
    const column = new Array(length).fill(null);
    const counts = new Array(length).fill(0);
    values.forEach((value, at) => {
      const point = Math.floor((to - (values.length - 1 - at) * step) / size) - first;
      if (!is(value) || point < 0 || point >= length) return;
      if (worst(key)) column[point] = Math.max(column[point] ?? value, value);
      else column[point] = (column[point] ?? 0) + value;
      counts[point] += 1;
    });
    columns[key] = worst(key)
      ? column
      : column.map((sum, at) => (sum === null ? null : sum / counts[at]));
  }
  return { times, columns, from, to };
}

/** What holds now: the last five seconds. */
function latest(history, key) {
  const values = (history[key] || []).slice(-5).filter(is);
  if (!values.length) return null;
  return worst(key) ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The next number that reads well, and its half too. */
function round(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.2, 1.6, 2, 2.4, 3, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}

const cursor = { time: null, charts: [] };

/** Moves the cursor of all charts; `null` takes it away. */
function pointAt(time, chart) {
  cursor.time = time;
  for (const other of cursor.charts) other.drawCursor();
  put(byId("read"), chart && time !== null ? chart.reading() : "");
}

/**
 * One chart. `series` has `{ key, name, kind, area }`, the first one is the one that is large above it; `write`
 * writes a value, `log` makes each line of the grid ten times the one below, `stacked` puts each
 * series on top of the one before. `extra` are values without a line.
 */
class Chart {
  constructor(host, options) {
    Object.assign(this, { stacked: false, log: false, unit: "", extra: [], least: 1 }, options);
    this.height = 116;
    this.width = 0; // of the lines
    this.grid = svg("g", { class: "grid" });
    this.lines = svg("g");
    this.mark = svg("line", { class: "cursor", y1: 0, y2: this.height });
    this.dots = svg("g");
    this.drawing = svg("svg", { tabindex: "0", role: "img", height: this.height + 18 });
    for (const series of this.series) {
      series.areaPath = series.area && svg("path", { class: `area ${series.kind}` });
      series.path = svg("path", { class: `line ${series.kind}` });
      series.dot = svg("circle", { class: `dot ${series.kind}`, r: 3 });
      if (series.areaPath) this.lines.prepend(series.areaPath);
      this.lines.append(series.path);
      this.dots.append(series.dot);
    }
    this.ends = [svg("text", { class: "tick", y: this.height + 14 }), svg("text", { class: "tick end", y: this.height + 14 })];
    this.when = svg("text", { class: "tick when", y: this.height + 14 });
    this.drawing.append(this.grid, this.lines, this.mark, this.dots, ...this.ends, this.when);

    this.large = el("strong");
    const legend = el("ul", { class: "legend quiet" });
    this.shown = [...this.series.slice(1), ...this.extra].map((one) => {
      one.value = el("b");
      legend.append(el("li", { class: `key ${one.kind || "none"}` }, `${one.name} `, one.value));
      return one;
    });
    this.series[0].value = this.large;
    const unit = el("span", { class: `key ${this.series[0].kind}` }, this.unit);
    const value = el("p", { class: "value" }, this.large, " ", unit);
    host.append(el("figure", { class: "chart" }, el("figcaption", {}, el("h2", {}, this.title), value, legend), this.drawing));
    cursor.charts.push(this);
    this.listen();
  }

  listen() {
    const follow = (event) => {
      const box = this.drawing.getBoundingClientRect();
      const part = Math.min(1, Math.max(0, (event.clientX - box.left) / this.width));
      if (this.data) pointAt(this.data.from + part * (this.data.to - this.data.from));
    };
    this.drawing.addEventListener("pointermove", follow);
    this.drawing.addEventListener("pointerdown", follow);
    this.drawing.addEventListener("pointerleave", () => pointAt(null));
    this.drawing.addEventListener("blur", () => pointAt(null));
    this.drawing.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12 }[event.key];
      const times = this.data?.times || [];
      if (event.key === "Escape") return pointAt(null);
      if (!by || !times.length) return;
      event.preventDefault();
      const at = cursor.time === null ? times.length : this.nearest();
      pointAt(times[Math.min(times.length - 1, Math.max(0, at + by))], this);
    });
    new ResizeObserver(([entry]) => {
      this.width = Math.max(0, Math.floor(entry.contentRect.width) - MARGIN);
      this.draw();
    }).observe(this.drawing);
  }

  /** Which point the cursor is at. */
  nearest() {
    const { times } = this.data;
    let best = 0;
    times.forEach((time, at) => {
      if (Math.abs(time - cursor.time) < Math.abs(times[best] - cursor.time)) best = at;
    });
    return best;
  }

  update(history, data) {
    this.history = history;
    this.data = data;
    this.draw();
  }

  /** The heights that the lines have: those below are added when stacked. */
  heights() {
    let below = null;
    return this.series.map(({ key }) => {
      const values = this.data.columns[key];
      if (!this.stacked) return values;
      below = values.map((value, at) => (value === null ? null : value + (below?.[at] ?? 0)));
      return below;
    });
  }

  draw() {
    if (!this.data || !this.width) return;
    const { times, from, to } = this.data;
    const heights = this.heights();
    const scale = this.scale(heights);
    const x = (time) => ((time - from) / (to - from)) * this.width;
    this.place = { x, y: scale.y, heights };
    this.drawGrid(scale);
    this.series.forEach((series, index) => {
      const floor = this.stacked && index > 0 ? heights[index - 1] : null;
      const [line, area] = this.trace(times, heights[index], floor, x, scale.y);
      series.path.setAttribute("d", line);
      series.areaPath?.setAttribute("d", area);
    });
    const minutes = Math.round((to - from) / 60000);
    put(this.ends[0], `−${minutes} min`);
    this.ends[1].setAttribute("x", this.width);
    this.drawCursor();
  }

  /** Paths through all that was measured, with gaps where nothing was. */
  trace(times, values, floor, x, y) {
    let line = "";
    let area = "";
    let run = [];
    const end = () => {
      if (run.length) {
        const top = run.map(([at, value]) => `${x(times[at]).toFixed(1)} ${y(value).toFixed(1)}`);
        // A point alone is a dot: a line without length has round ends.
        line += "M" + top.join("L") + (run.length === 1 ? "h0" : "");
        const bottom = run.map(([at]) => `${x(times[at]).toFixed(1)} ${(floor ? y(floor[at] ?? 0) : this.height).toFixed(1)}`);
        area += "M" + top.join("L") + "L" + bottom.reverse().join("L") + "Z";
      }
      run = [];
    };
    values.forEach((value, at) => (value === null ? end() : run.push([at, value])));
    end();
    return [line, area];
  }

  scale(heights) {
    const values = heights.flat().filter((value) => value !== null);
    const room = this.height - 6;
    if (this.log) {
      const positive = values.filter((value) => value > 0);
      const decade = (value, up) => Math[up ? "ceil" : "floor"](Math.log10(value));
      let low = positive.length ? decade(Math.min(...positive)) : 2;
      const high = Math.max(low + 2, positive.length ? decade(Math.max(...positive), true) : 4);
      low = Math.min(low, high - 2);
      const y = (value) => {
        const part = (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low);
        return this.height - part * room;
      };
      const every = high - low > 4 ? 2 : 1;
      const lines = [];
      for (let power = high; power >= low; power -= every) lines.push(10 ** power);
      return { y, lines };
    }
    const most = round(Math.max(this.least, Math.max(...values, 0) * 1.02));
    return { y: (value) => this.height - (value / most) * room, lines: [most, most / 2, 0] };
  }

  drawGrid({ y, lines }) {
    const key = `${this.width} ${lines}`;
    if (this.gridKey === key) return;
    this.gridKey = key;
    this.grid.replaceChildren();
    for (const value of lines) {
      const at = Math.round(y(value)) + 0.5;
      this.grid.append(svg("line", { x1: 0, x2: this.width, y1: at, y2: at }));
      const label = svg("text", { class: "tick", x: this.width + 8, y: at + 3.5 });
      label.textContent = this.write(value).replace(/\.0+(?= |$)/, "");
      this.grid.append(label);
    }
  }

  /** The line, the dots, and what is written above: values at the cursor, or those of now. */
  drawCursor() {
    if (!this.place) return;
    const at = cursor.time === null ? -1 : this.nearest();
    const shown = at >= 0;
    this.drawing.classList.toggle("pointed", shown);
    this.series.forEach((series, index) => {
      const value = shown ? this.data.columns[series.key][at] : latest(this.history, series.key);
      put(series.value, this.write(value));
      const height = shown ? this.place.heights[index][at] : null;
      series.dot.setAttribute("visibility", is(height) ? "visible" : "hidden");
      if (is(height)) {
        series.dot.setAttribute("cx", this.place.x(this.data.times[at]));
        series.dot.setAttribute("cy", this.place.y(height));
      }
    });
    for (const one of this.extra) {
      const value = shown ? this.data.columns[one.key]?.[at] : latest(this.history, one.key);
      put(one.value, one.write(value));
    }
    if (shown) {
      const x = this.place.x(this.data.times[at]);
      this.mark.setAttribute("x1", x);
      this.mark.setAttribute("x2", x);
      put(this.when, clock(this.data.times[at]));
      this.when.setAttribute("x", Math.min(this.width - 26, Math.max(26, x)));
    }
    attribute(this.drawing, "aria-label", this.reading());
  }

  /** What a screen reader says. */
  reading() {
    const when = cursor.time === null ? "now" : clock(this.data.times[this.nearest()]);
    const values = this.series.map(({ name, value }) => `${name} ${value.textContent}`);
    return `${this.title}, ${when}: ${values.join(", ")} ${this.unit}`;
  }
}
