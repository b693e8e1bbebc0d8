// Services at a glance: one row each.

import { html, useEffect, useMemo, useRef, useState } from "./vendor/preact.js";
import { overview, useEvents, useValue } from "./live.js";
import { percent, Trouble, Waiting } from "./words.js";

const MANY = 8;
const ORDER = { down: 0, unknown: 1, degraded: 2, changing: 3, serving: 4 };

export const State = ({ state }) => html`<span class="state ${state}">${state}</span>`;

/** The split as a bar: what is left of blue is green. */
export function Split({ row }) {
  const weight = (colour) => row.colours.find((slot) => slot.colour === colour)?.weight || 0;
  const [blue, green] = [weight("blue"), weight("green")];
  const told = blue + green ? `blue ${percent(blue)}, green ${percent(green)}` : "no traffic";
  return html`
    <span class="split" role="img" aria-label="Split: ${told}">
      <span class="blue" style=${{ width: `${blue}%` }}></span><span class="green" style=${{ width: `${green}%` }}></span>
    </span>`;
}

export function Slot({ row, colour }) {
  const slot = row.colours.find((each) => each.colour === colour);
  if (!slot) return html`<span class="slot none"><span class="dot ${colour}"></span><span class="hidden">${colour}: </span>empty</span>`;
  const full = slot.ready >= slot.size;
  return html`
    <span class="slot ${slot.weight ? "" : "idle"}">
      <span class="dot ${colour}"></span><span class="hidden">${colour}: </span>
      <b>r${slot.release}</b> <span class="version" title=${slot.version}>${slot.version}</span>
      <span class="ready ${full ? "" : "short"}" title="ready of ordered">${slot.ready}/${slot.size}</span>
      <span class="weight">${percent(slot.weight)}</span>
    </span>`;
}

export function doing(row) {
  const { motion } = row;
  if (row.silent.length) return `${row.silent.join(" and ")} did not answer`;
  if (!motion) return "";
  if (motion.error) return motion.error.split("\n")[0];
  if (motion.paused_by) return `paused by ${motion.paused_by}`;
  if (motion.back) return motion.outcome;
  if (motion.asks) return motion.doing;
  return motion.outcome ? `${motion.outcome}, ${motion.at}` : motion.at;
}

function Row({ row }) {
  const { motion } = row;
  return html`
    <li class="row">
      <a class="name" href="#/services/${encodeURIComponent(row.service)}">${row.service}</a>
      <${Split} row=${row} />
      <${Slot} row=${row} colour="blue" />
      <${Slot} row=${row} colour="green" />
      <span class="doing ${motion?.asks ? "asks" : ""}" title=${motion ? `${motion.course}: ${motion.why}` : ""}>
        ${motion && html`<span class="count">${motion.step}/${motion.steps}</span> `}${doing(row)}
      </span>
      <${State} state=${row.state} />
    </li>`;
}

function sorted(rows, by) {
  const first = by === "state" ? (row) => [row.motion?.asks ? -1 : ORDER[row.state] ?? 0, row.service] : (row) => [0, row.service];
  return rows.map((row) => [first(row), row]).sort(([a], [b]) => a[0] - b[0] || a[1].localeCompare(b[1])).map(([, row]) => row);
}

function Tally({ rows }) {
  const count = (is) => rows.filter(is).length;
  const figures = [
    [rows.length, rows.length === 1 ? "service" : "services", ""],
    [count((row) => row.state === "changing"), "changing", "changing"],
    [count((row) => row.motion?.asks), "waiting for a person", "asks"],
    [count((row) => row.state === "degraded"), "degraded", "degraded"],
    [count((row) => row.state === "down"), "down", "down"],
    [count((row) => row.state === "unknown"), "unknown", "unknown"],
  ];
  return html`<p class="tally" aria-live="polite">
    ${figures.filter(([n], at) => n || !at).map(([n, label, kind]) => html`<span class=${kind}><b>${n}</b> ${label}</span>`)}</p>`;
}

export function Services({ me }) {
  const [seen, problem, again] = useValue(() => overview(me.environment), [me.environment], 5);
  const [newer, patch] = useState({});
  const [asked, ask] = useState("");
  const [by, order] = useState("name");
  const box = useRef(null);
  useEffect(() => void (document.title = "Services · Bleen"), []);
  useEffect(() => patch({}), [seen]);
  useEffect(() => {
    const slash = (event) => {
      if (event.key !== "/" || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
      event.preventDefault();
      box.current?.focus();
    };
    addEventListener("keydown", slash);
    return () => removeEventListener("keydown", slash);
  }, []);
  useEvents(async (names) => {
    names.delete("");
    if (names.has("*") || names.size > MANY) return again();
    if (!names.size) return;
    const { services } = await overview(me.environment, [...names]).catch(() => ({ services: [] }));
    patch((before) => ({ ...before, ...Object.fromEntries(services.map((row) => [row.service, row])) }));
  }, [me.environment]);
  const rows = useMemo(() => {
    const known = Object.fromEntries((seen?.services || []).map((row) => [row.service, row]));
    return sorted(Object.values({ ...known, ...newer }), by);
  }, [seen, newer, by]);
  if (!seen) return html`<${Waiting} problem=${problem} what="services" />`;
  const wanted = asked.trim().toLowerCase().split(/\s+/);
  const text = (row) => `${row.service} ${row.state} ${doing(row)} ${row.colours.map((s) => `r${s.release} ${s.version}`).join(" ")}`.toLowerCase();
  const shown = rows.filter((row) => wanted.every((word) => text(row).includes(word)));
  return html`
    <div class="head">
      <h1>Services</h1>
      <${Tally} rows=${rows} />
      <label class="sort">Sort <select value=${by} onChange=${(event) => order(event.target.value)}>
        <option value="name">by name</option><option value="state">by what needs eyes</option></select></label>
      <input ref=${box} type="search" aria-label="Filter services" placeholder="Filter: name, state, version  /" value=${asked}
        onInput=${(event) => ask(event.target.value)} />
    </div>
    ${seen.trouble && html`<${Trouble} problem=${seen.trouble} />`}
    ${problem && html`<${Trouble} problem=${problem} />`}
    ${!rows.length && html`<p class="empty">Nothing is deployed here yet. <code>bleen deploy SERVICE</code> makes it so.</p>`}
    ${rows.length > 0 && !shown.length && html`<p class="empty">No service matches “${asked}”.</p>`}
    ${shown.length > 0 && html`<div class="heads" aria-hidden="true">
      <span>Service</span><span>Split</span><span>Blue</span><span>Green</span><span>What goes on</span><span>State</span></div>`}
    <ul class="rows">${shown.map((row) => html`<${Row} key=${row.service} row=${row} />`)}</ul>`;
}
