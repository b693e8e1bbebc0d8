// What was rolled out before, and why each rollout went as it did.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { lasting, Time, Trouble, Waiting } from "./words.js";

export const outcomeOf = (outcome) => (outcome ? outcome.type : "under way");

const NAMES = { "rolled-back": "rolled back" };
const reason = (outcome) => outcome?.reason || (outcome?.by ? `by ${outcome.by}` : "");

export function Outcome({ outcome }) {
  const kind = outcomeOf(outcome);
  return html`<span class="outcome ${kind.replace(" ", "-")}">${NAMES[kind] || kind}</span>`;
}

const name = (ref) => (ref ? `r${ref.number} ${ref.version}`.trim() : "–");
const link = ({ id }) => {
  const [, service, number] = id.split("/");
  return `#/services/${encodeURIComponent(service)}/history/${number}`;
};

export function Past({ service, environment, version }) {
  const [limit, more] = useState(10);
  const [seen, see] = useState([null, null]);
  useEffect(() => {
    let here = true;
    get(`/v1/services/${encodeURIComponent(service)}/history`, { environment, limit })
      .then((value) => here && see([value, null]))
      .catch((problem) => here && see(([value]) => [value, problem]));
    return () => (here = false);
  }, [service, environment, version, limit]);
  const [value, problem] = seen;
  if (!value) return problem?.status === 404 ? html`<p class="quiet">No rollout yet.</p>` : html`<${Waiting} problem=${problem} what="history" />`;
  return html`
    <table class="stack">
      <thead><tr><th>Rollout</th><th>From</th><th>To</th><th>Outcome</th><th>By</th><th class="num">Took</th><th class="num">Began</th></tr></thead>
      <tbody>${value.rollouts.map((past) => html`
        <tr key=${past.id}>
          <td><a href=${link(past)}>${past.id.split("/")[2]}</a></td>
          <td data-name="From">${name(past.from)}</td>
          <td data-name="To"><b>${name(past.to)}</b></td>
          <td data-name="Outcome" class="wide"><${Outcome} outcome=${past.outcome} /> <span class="quiet">${reason(past.outcome)}</span></td>
          <td data-name="By">${past.by}</td>
          <td data-name="Took" class="num">${past.seconds === null ? "–" : lasting(past.seconds)}</td>
          <td data-name="Began" class="num"><${Time} at=${past.started} /></td>
        </tr>`)}</tbody>
    </table>
    ${value.removals.length > 0 && html`<ul class="seen">${value.removals.map((each) => html`
      <li key=${each.at}>Removed by ${each.by}, <${Time} at=${each.at} />${each.reason && `: ${each.reason}`}</li>`)}</ul>`}
    ${value.rollouts.length === limit && html`<button class="plain" onClick=${() => more(limit * 5)}>Show more</button>`}`;
}

/** One rollout: every decision with its reason and what was seen. */
export function RolloutPage({ me, names: [service, number] }) {
  const [seen, see] = useState([null, null]);
  const id = `${me.environment}/${service}/${number}`;
  useEffect(() => {
    document.title = `${id} · Bleen`;
    get(`/v1/rollouts/${id.split("/").map(encodeURIComponent).join("/")}/explanation`, { few: true })
      .then((value) => see([value, null]))
      .catch((problem) => see([null, problem]));
  }, [id]);
  const [value, problem] = seen;
  if (!value) return html`<${Waiting} problem=${problem} what=${id} />`;
  const { rollout, lines } = value;
  return html`
    <div class="title">
      <p class="crumb"><a href="#/">Services</a> / <a href="#/services/${encodeURIComponent(service)}">${service}</a></p>
      <h1>${name(rollout.from)} → ${name(rollout.to)}</h1>
      <${Outcome} outcome=${rollout.outcome} />
      <span class="quiet">by ${rollout.by}, <${Time} at=${rollout.started} />${rollout.seconds !== null && `, took ${lasting(rollout.seconds)}`}</span>
    </div>
    ${reason(rollout.outcome) && html`<p class="lead">${reason(rollout.outcome)}</p>`}
    <section class="sheet" aria-label="Decisions">
      <ol class="lines">${lines.map((line) => html`<${Line} key=${line.sequence} line=${line} />`)}</ol>
    </section>`;
}

// A command's reason is who gave it; a decision that names its reason needs it no second time.
const sentence = ({ what, why, by }) => [what.includes(why) ? "" : why, by && `by ${by}`].filter(Boolean).join(" · ");

function Line({ line }) {
  return html`
    <li class="line ${line.kind}">
      <span class="after">${lasting(line.after)}</span>
      <div>
        <p><b>${line.what}</b> <span class="quiet">${sentence(line)}</span></p>
        ${line.words?.length > 0 && html`<ul class="seen">${line.words.map((each) => html`<li>${each}</li>`)}</ul>`}
        ${line.seen && html`<p class="seen">${line.seen}</p>`}
      </div>
      <span class="at quiet"><${Time} at=${line.at} /></span>
    </li>`;
}
