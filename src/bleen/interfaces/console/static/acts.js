// What the viewer may tell the rollout now: a button each, and a question before anything is done.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { post, remove } from "./api.js";
import { Trouble } from "./words.js";

const LABELS = { promote: "Promote", pause: "Pause", resume: "Resume", abort: "Abort", rollback: "Roll back", remove: "Remove" };
const BACK = ["abort", "rollback", "remove"];
const ASKED = ["promote", "remove"];

export function Acts({ me, service, acts, etag, motion, done }) {
  const [asked, ask] = useState(null);
  const [told, tell] = useState(null);
  if (!acts.length && !told) return null;
  const label = (verb) => (verb === "promote" && motion?.asks ? "Approve" : LABELS[verb]);
  return html`
    <div class="acts">
      ${acts.map(({ verb, means }) => html`
        <button class=${BACK.includes(verb) ? "bad" : verb === "promote" && motion?.asks ? "strong" : ""} title=${means}
          onClick=${() => ask({ verb, means, etag, label: label(verb) })}>${label(verb)}</button>`)}
      ${told && html`<p class="told quiet" role="status">${told}</p>`}
    </div>
    ${asked && html`<${Confirm} me=${me} service=${service} act=${asked} close=${(words) => {
      ask(null);
      if (words) tell(words), done();
    }} />`}`;
}

function Confirm({ me, service, act, close }) {
  const dialog = useRef(null);
  const [state, set] = useState({});
  useEffect(() => dialog.current.showModal(), []);
  const [glass, breaks] = useState("");
  const [reason, because] = useState("");
  const four = ASKED.includes(act.verb) && me.four_eyes.includes(me.environment);
  const go = async () => {
    set({ busy: true });
    try {
      await send(me, service, act, glass, reason);
      close(`${act.label}: asked for.`);
    } catch (problem) {
      set({ problem });
    }
  };
  return html`
    <dialog ref=${dialog} aria-labelledby="asked" onClose=${() => close(null)}>
      <h2 id="asked">${act.label} ${service} ${act.verb === "remove" ? "from" : "in"} ${me.environment}?</h2>
      <p>${act.means}</p>
      ${state.problem && html`<${Trouble} problem=${state.problem} />`}
      ${act.verb === "remove" && html`<label class="glass">Why, for the history
        <input value=${reason} maxlength="500" onInput=${(event) => because(event.target.value)} /></label>`}
      ${four && html`<label class="glass">In an emergency, without the approval by somebody else: the reason, of which everybody hears
        <input value=${glass} maxlength="500" onInput=${(event) => breaks(event.target.value)} /></label>`}
      <div class="acts">
        <button onClick=${() => dialog.current.close()}>Cancel</button>
        <button class="strong" disabled=${state.busy} onClick=${go}>${act.label}</button>
      </div>
    </dialog>`;
}

// A yes is to what was looked at, and to nothing that came since; to pause and to go back makes sense whatever came.
function send(me, service, { verb, etag }, glass, reason) {
  const path = `/v1/services/${encodeURIComponent(service)}`;
  const where = { environment: me.environment };
  if (verb === "rollback") return post(`${path}/rollback`, { by: me.name }, where);
  const headers = ASKED.includes(verb) && etag ? { "if-match": etag } : {};
  if (verb === "remove") return remove(path, { ...where, by: me.name, reason, break_glass: glass }, headers);
  return post(`${path}/commands`, { type: verb, by: me.name }, { ...where, break_glass: glass }, headers);
}
