// Plots of a machine's use: `data-chart="cpu|memory|disk|network" data-chart-src="url"`.
// What was not measured (null) is a gap in the line and the word "unknown" in the table.
import uPlot from "uplot";
import { ask, make, whenever } from "./dom.js";

const EVERY_MS = 30_000;
const HEIGHT_PX = 180;
const TABLE_ROWS = 60;

const BYTES = ["B/s", "kB/s", "MB/s", "GB/s"];
function rate(value) {
  const power = value < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(value) / 3));
  return `${Number((value / 1000 ** power).toPrecision(3))} ${BYTES[power]}`;
}
const percent = (value) => `${Number(value.toFixed(1))} %`;
const mib = (value) => (value < 1024 ? `${Math.round(value)} MiB` : `${Number((value / 1024).toFixed(2))} GiB`);

const CHARTS = {
  cpu: { title: "CPU", say: percent, series: [["cpu_percent", "CPU"]] },
  memory: { title: "Memory", say: mib, series: [["memory_mib", "Memory"]] },
  disk: { title: "Disk", say: rate, series: [["disk_read_bps", "Read"], ["disk_write_bps", "Written"]] },
  network: { title: "Network", say: rate, series: [["net_rx_bps", "Received"], ["net_tx_bps", "Sent"]] },
};

const seconds = (at) => (typeof at === "number" ? at : Date.parse(at) / 1000);
const clock = (at) => new Date(at * 1000).toLocaleTimeString("en-GB");

/** Marks of the time axis: seconds are said only where minutes would repeat themselves. */
function times(_, splits) {
  const isFine = splits.length > 1 && splits[1] - splits[0] < 60;
  return splits.map((at) => clock(at).slice(0, isFine ? 8 : 5));
}

function options(chart, width, follow) {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(`--${name}`).trim();
  const axis = { stroke: colour("ink-soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
  return {
    width,
    height: HEIGHT_PX,
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { show: chart.series.length > 1, live: false },
    hooks: { setCursor: [({ cursor }) => follow(cursor.idx)] },
    scales: { y: { range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.1] } },
    axes: [{ ...axis, values: times, space: 76 }, { ...axis, size: 68, values: (_, values) => values.map(chart.say) }],
    series: [
      {},
      ...chart.series.map(([, label], index) => ({
        label,
        stroke: colour(`chart-${index + 1}`),
        fill: chart.series.length === 1 ? `${colour("chart-1")}1f` : undefined,
        width: 1.75,
        points: { show: false },
      })),
    ],
  };
}

function table(chart, [at, ...series]) {
  const head = ["At", ...chart.series.map(([, label]) => label)].map((word) => make("th", "", word, { scope: "col" }));
  const rows = at.slice(-TABLE_ROWS).map((_, back) => {
    const index = at.length - 1 - back;
    const cells = series.map((values) => make("td", "num", values[index] === null ? "unknown" : chart.say(values[index])));
    return make("tr", "", [make("th", "", clock(at[index]), { scope: "row" }), ...cells]);
  });
  return make("table", "table table-sm", [
    make("caption", "visually-hidden", `${chart.title}, newest first`),
    make("thead", "", make("tr", "", head)),
    make("tbody", "", rows),
  ]);
}

/** What was measured at `index` of the times, or last of all. */
function note(chart, [at, ...series], index = null) {
  if (series.flat().every((value) => value === null)) return "Nothing has been measured yet.";
  const said = chart.series.map(([, label], row) => {
    const value = series[row].at(index ?? -1) ?? null;
    const word = value === null ? "unknown" : chart.say(value);
    return chart.series.length > 1 ? `${label}: ${word}` : word;
  });
  return `${index === null ? "Now" : clock(at[index])}: ${said.join(", ")}`;
}

/** Whether there is something to draw: two neighbours that were measured. */
const isLine = (values) => values.some((value, index) => index && value !== null && values[index - 1] !== null);

class Chart {
  constructor(root) {
    this.root = root;
    this.chart = CHARTS[root.dataset.chart];
    root.classList.add("chart");
    this.note = make("p", "chart-note", "Fetching…", { role: "status", "aria-live": "off" });
    this.place = make("div", "chart-plot", [], { "aria-hidden": "true" });
    this.rows = make("div", "chart-table");
    const numbers = make("details", "", [make("summary", "small", "The numbers"), this.rows]);
    const title = "chartBare" in root.dataset ? [] : [make("h3", "", this.chart.title)]; // the page says it already
    root.append(...title, this.note, this.place, numbers);
    new ResizeObserver(() => this.plot?.setSize({ width: this.place.clientWidth, height: HEIGHT_PX })).observe(this.place);
    document.addEventListener("portal:theme", () => this.draw());
  }

  show(answer) {
    this.data = [answer.at.map(seconds), ...this.chart.series.map(([key]) => answer[key] ?? answer.at.map(() => null))];
    this.note.textContent = note(this.chart, this.data);
    this.place.hidden = !this.data.slice(1).some(isLine);
    this.rows.replaceChildren(table(this.chart, this.data));
    if (this.plot) this.plot.setData(this.data);
    else this.draw();
  }

  draw() {
    if (!this.data || this.place.hidden) return;
    this.plot?.destroy();
    const follow = (index) => (this.note.textContent = note(this.chart, this.data, index));
    this.plot = new uPlot(options(this.chart, this.place.clientWidth, follow), this.data, this.place);
  }

  fail(sentence) {
    this.note.textContent = sentence;
  }
}

const bySource = new Map();

async function look(url) {
  const charts = bySource.get(url).filter((chart) => chart.root.isConnected);
  if (!charts.length || document.hidden) return;
  try {
    const response = await ask(url, { headers: { Accept: "application/json" } });
    if (response.ok && !response.redirected) {
      const answer = await response.json();
      charts.forEach((chart) => chart.show(answer));
    } else charts.forEach((chart) => chart.fail(`The measurements could not be fetched (${response.status}). Trying again.`));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    charts.forEach((chart) => chart.fail("The portal does not answer. Trying again."));
  }
}

whenever("[data-chart]", (root) => {
  const url = root.dataset.chartSrc;
  const chart = new Chart(root);
  if (bySource.has(url)) return bySource.get(url).push(chart);
  bySource.set(url, [chart]);
  setTimeout(look, 0, url);
  setInterval(look, EVERY_MS, url);
});
document.addEventListener("visibilitychange", () => document.hidden || [...bySource.keys()].forEach(look));
