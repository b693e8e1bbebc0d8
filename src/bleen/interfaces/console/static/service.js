// One service: the rollout that is under way, what its traffic shows, what ran before, and what runs.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { useEvents, useValue } from "./live.js";
import { ago, clock, counted, lasting, Time, Trouble, Waiting } from "./words.js";
import { Slot, Split, State } from "./services.js";
import { Charts } from "./charts.js";
import { Evidence } from "./evidence.js";
import { Past } from "./history.js";
import { Acts } from "./acts.js";

export function ServicePage({ me, names: [service] }) {
  const where = { environment: me.environment };
  const path = `/v1/services/${encodeURIComponent(service)}`;
  const [seen, problem, again] = useValue(() => get(`${path}/live`, where), [service], 2);
  useEffect(() => void (document.title = `${service} · Bleen`), [service]);
  useEvents((names) => (names.has(service) || names.has("*")) && again(), [service]);
  if (!seen || problem?.status === 404) return html`<${Waiting} problem=${problem} what=${service} />`;
  const { row } = seen;
  return html`
    <div class="title">
      <p class="crumb"><a href="#/">Services</a></p>
      <h1>${service}</h1>
      <${State} state=${row.state} />
      <a class="url" href=${row.url} rel="noreferrer" target="_blank">${row.url.replace("http://", "")}</a>
    </div>
    ${problem && html`<${Trouble} problem=${problem} />`}
    ${seen.service.trouble && html`<${Trouble} problem=${seen.service.trouble} />`}
    ${row.silent.length > 0 && html`<${Trouble} problem=${{ what: `${row.silent.join(" and ")} did not answer`, why: "of that, nothing is known" }} />`}
    <section class="sheet standing" aria-label="Now">
      <div class="colours">
        <${Slot} row=${row} colour="blue" /><${Split} row=${row} /><${Slot} row=${row} colour="green" />
      </div>
      ${row.motion ? html`<${Motion} seen=${seen} />` : html`<p class="quiet">${leaving(seen.service.removing)}</p>`}
      <${Acts} key=${row.motion?.rollout} me=${me} service=${service} acts=${seen.acts} etag=${seen.etag} motion=${row.motion} done=${again} />
    </section>
    <div class="columns ${seen.steps.length ? "" : "one"}">
      <div>
        <section class="sheet" aria-label="Signals">
          <${Charts} service=${service} environment=${me.environment} colours=${row.colours} />
        </section>
        ${seen.evidence && html`<section class="sheet" aria-label="Evidence"><${Evidence} evidence=${seen.evidence} /></section>`}
      </div>
      ${seen.steps.length > 0 && html`<section class="sheet" aria-label="Steps"><h2>Steps</h2><${Steps} seen=${seen} /></section>`}
    </div>
    <section class="sheet" aria-label="History"><h2>History</h2><${Past} service=${service} environment=${me.environment} version=${seen.service.history.map((h) => `${h.id}${h.settled}`).join()} /></section>
    <section class="sheet" aria-label="Instances"><${Instances} service=${service} seen=${seen} /></section>`;
}

const leaving = (removing) => (removing
  ? `It is being removed by ${removing.by}, since ${clock(removing.since)}.${removing.error && ` Not carried out yet, it is tried again: ${removing.error}`}`
  : "Nothing is under way.");

/** Where it stands, and why. */
function Motion({ seen }) {
  const { motion } = seen.row;
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((n) => n + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  const left = motion.until ? (Date.parse(motion.until) - Date.now()) / 1000 : 0;
  return html`
    <div class="motion ${motion.asks ? "asks" : ""} ${motion.back ? "back" : ""}">
      <p class="course"><b>${motion.course}</b> <span class="quiet">by ${motion.by}, began ${clock(motion.started)}, ${ago(motion.started)} ago</span></p>
      <p class="doing-now" aria-live="polite"><span class="what">${motion.outcome && motion.outcome !== motion.doing ? `${motion.outcome} · ` : ""}${motion.doing}</span>
        ${motion.why && motion.why !== motion.doing && html`<span class="why">${motion.why}</span>`}
        ${left > 0 && html`<span class="quiet">${lasting(left)} left</span>`}</p>
      ${motion.paused_by && html`<p class="note">Paused by ${motion.paused_by}.</p>`}
      ${motion.error && html`<p class="note">Not carried out yet, it is tried again: ${motion.error}</p>`}
    </div>`;
}

function Steps({ seen }) {
  const { motion } = seen.row;
  return html`<ol class="steps">
    ${seen.steps.map((step, at) => html`
      <li class=${step.state.replace(" ", "-")} aria-current=${step.state === "now" ? "step" : null}>
        <span class="mark-of" aria-hidden="true"></span>
        <span>${step.words}</span>
        <span class="quiet">${step.state === "now" ? ago(motion.since) : html`<span class="hidden">${step.state}</span>`}</span>
      </li>`)}
  </ol>`;
}

function Instances({ service, seen }) {
  const fleets = seen.service.fleets.filter((fleet) => fleet.instances.length);
  const all = fleets.flatMap((fleet) => fleet.instances.map((instance) => ({ fleet, instance })));
  return html`
    <div class="head"><h2>Instances</h2><span class="quiet">${counted(all.length, "instance")}</span>
      <a class="end" href="#/services/${encodeURIComponent(service)}/logs">Logs</a></div>
    ${all.length > 0 && html`<table class="stack">
      <thead><tr><th>Instance</th><th>Release</th><th>State</th><th>Address</th><th class="num">Restarts</th><th class="num">Since</th></tr></thead>
      <tbody>${all.map(({ fleet, instance }) => html`
        <tr key=${instance.name}>
          <td><a class="mono" href="#/services/${encodeURIComponent(service)}/logs?instance=${encodeURIComponent(instance.name)}">${instance.name}</a></td>
          <td data-name="Release"><span class="tag ${fleet.slot.colour}">r${fleet.release}${fleet.slot.baseline ? " baseline" : ""}</span></td>
          <td data-name="State" class=${instance.state === "ready" ? "" : "short"}>${instance.state}${instance.last_exit && instance.state !== "ready" ? html` <span class="quiet">${instance.last_exit}</span>` : ""}</td>
          <td data-name="Address" class="mono">${instance.address}:${instance.port}</td>
          <td data-name="Restarts" class="num ${instance.restarts ? "short" : ""}">${instance.restarts}</td>
          <td data-name="Since" class="num">${html`<${Time} at=${instance.since} />`}</td>
        </tr>`)}</tbody></table>`}`;
}
