// Golden signals of both colours, second by second.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import uPlot from "./vendor/uplot.js";
import { get } from "./api.js";
import { figure } from "./words.js";

const SPAN = 180;
const CHARTS = [
  ["Traffic", "requests a second", (golden) => golden.rate, "/s"],
  ["Errors", "percent of requests", (golden) => golden.failed, "%"],
  ["Latency", "95th percentile, ms", (golden) => golden.p95, "ms"],
  ["Split", "percent of traffic", null, "%"],
];
const COLOURS = ["blue", "green"];

/** Points of the last minutes, read anew each second while the page is seen. */
function usePoints(service, environment, colours) {
  const [points, set] = useState([]);
  useEffect(() => {
    let alive = true, known = [], timer = 0;
    const look = async () => {
      try {
        if (!document.hidden) {
          if (!known.length) known = await measured(service, environment, colours);
          const after = known.length ? known[known.length - 1].at : "";
          const { points } = await get(`/v1/services/${encodeURIComponent(service)}/signals`, { environment, after });
          if (points.length && alive) set((known = [...known, ...points].slice(-SPAN)));
        }
      } catch {
        // what is missing stays missing: a gap in the lines
      }
      if (alive) timer = setTimeout(look, 1000);
    };
    look();
    return () => {
      alive = false;
      clearTimeout(timer);
    };
  }, [service, environment]);
  return points;
}

/** What the verdict has measured in the last minutes, from the ledger: it begins before anybody looks. */
async function measured(service, environment, colours) {
  const { entries } = await get("/v1/audit", { service, environment, kind: "measured", limit: 90 }).catch(() => ({ entries: [] }));
  const since = Date.now() - SPAN * 1000;
  const slot = (signals, name) => signals.find(({ release }) => colours.some((row) => row.colour === name && row.release === release)) || null;
  return entries
    .filter((entry) => Date.parse(entry.at) > since && entry.event.assessment.signals?.length)
    .reverse()
    .map(({ at, event: { assessment: { signals } } }) => ({ at, blue: slot(signals, "blue"), green: slot(signals, "green"), weights: {} }));
}

export function Charts({ service, environment, colours }) {
  const points = usePoints(service, environment, colours);
  return html`
    <div class="head"><h2>Signals</h2>
      <span class="legend"><span class="dot blue"></span> blue</span><span class="legend"><span class="dot green"></span> green</span>
      <span class="quiet end">last ${SPAN / 60} minutes</span></div>
    <div class="charts">${CHARTS.map(([name, what, read, unit]) => html`
      <${Chart} key=${name} name=${name} what=${what} read=${read} unit=${unit} points=${points} />`)}</div>`;
}

const valueOf = (point, colour, read) => {
  if (!read) return point.weights[colour] ?? null;
  const golden = point[colour];
  return golden ? read(golden) ?? null : null;
};

function table(points, read) {
  const now = points.length ? Date.parse(points[points.length - 1].at) / 1000 : 0;
  return [points.map((point) => Date.parse(point.at) / 1000 - now), ...COLOURS.map((colour) => points.map((point) => valueOf(point, colour, read)))];
}

function Chart({ name, what, read, unit, points }) {
  const place = useRef(null);
  const plot = useRef(null);
  const latest = useRef(points);
  latest.current = points;
  useEffect(() => {
    const draw = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(place.current, unit), table(latest.current, read), place.current);
    };
    draw();
    const resize = new ResizeObserver(() => plot.current?.setSize({ width: place.current.clientWidth, height: 120 }));
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    resize.observe(place.current);
    scheme.addEventListener("change", draw);
    return () => {
      resize.disconnect();
      scheme.removeEventListener("change", draw);
      plot.current?.destroy();
    };
  }, []);
  useEffect(() => plot.current?.setData(table(points, read)), [points]);
  const last = points[points.length - 1];
  const told = COLOURS.map((colour) => [colour, last ? valueOf(last, colour, read) : null]);
  const words = told.map(([colour, value]) => `${colour} ${figure(value, unit)}`).join(", ");
  return html`
    <figure class="chart">
      <figcaption><b>${name}</b> <span class="quiet">${what}</span>
        <span class="latest">${told.map(([colour, value]) => html`<span class=${colour}>${figure(value)}</span>`)}</span></figcaption>
      <div ref=${place} role="img" aria-label="${name}, ${what}: now ${words}"></div>
    </figure>`;
}

function options(place, unit) {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: colour("quiet"), font, grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, gap: 4 };
  const line = (name) => ({ label: name, stroke: colour(name), width: 1.5, points: { show: false }, spanGaps: false });
  return {
    width: place.clientWidth || 300,
    height: 120,
    padding: [6, 14, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: [-SPAN, 0] }, y: { range: (_, low, high) => [0, unit === "%" ? Math.min(100, nice(high)) : nice(high)] } },
    axes: [
      { ...axis, size: 24, splits: [-180, -120, -60, 0], values: (_, splits) => splits.map((at) => (at ? `${at / 60} min` : "now")), grid: { show: false } },
      { ...axis, size: 44, space: 32, values: (_, splits) => splits.map((value) => figure(value)) },
    ],
    series: [{}, line("blue"), line("green")],
  };
}

const nice = (high) => (high > 0 ? high * 1.1 : 1);
