// Who did what, and the proof that nobody changed it since.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { counted, lasting, Time, Trouble, Waiting } from "./words.js";

const NOISE = ["decided", "measured"];
const PEOPLE = ["commanded", "rollout-started", "settled", "release-made", "scaled", "hosts-changed", "service-removed", "glass-broken", "token-made", "token-revoked", "session-opened", "session-closed", "gated", "checked"];

export function AuditPage({ me }) {
  const [asked, ask] = useState({ service: "", by: "", all: false });
  const [pages, see] = useState({ entries: [], next: 0, problem: null, asked: null });
  useEffect(() => void (document.title = "Audit · Bleen"), []);
  const read = async (before) => {
    const query = { service: asked.service.trim(), by: asked.by.trim(), kind: asked.all ? [] : PEOPLE, before: before || "", limit: 50 };
    // Without an environment the token must see all of them.
    if (!me.grants["*"]) query.environment = me.environment;
    try {
      const page = await get("/v1/audit", query);
      see((old) => ({ entries: before ? [...old.entries, ...page.entries] : page.entries, next: page.next, problem: null, asked }));
    } catch (problem) {
      see((old) => ({ ...old, problem, asked }));
    }
  };
  useEffect(() => {
    const timer = setTimeout(() => read(0), 200);
    return () => clearTimeout(timer);
  }, [asked]);
  const change = (name) => (event) => ask({ ...asked, [name]: event.target.type === "checkbox" ? event.target.checked : event.target.value });
  return html`
    <div class="head"><h1>Audit</h1><${Proof} />
      <label class="check"><input type="checkbox" checked=${asked.all} onChange=${change("all")} /> every decision and measurement</label>
      <input class="half" type="search" aria-label="Service" placeholder="Service" value=${asked.service} onInput=${change("service")} />
      <input class="half" type="search" aria-label="Who" placeholder="Who" value=${asked.by} onInput=${change("by")} /></div>
    ${pages.problem && html`<${Trouble} problem=${pages.problem} />`}
    ${!pages.asked && html`<${Waiting} what="the ledger" />`}
    <section class="sheet" aria-label="Entries" aria-busy=${pages.asked !== asked}>
      <table class="stack">
        <thead><tr><th class="num">Entry</th><th>When</th><th>Where</th><th>What</th><th>By</th></tr></thead>
        <tbody>${pages.entries.map((entry) => html`
          <tr key=${entry.sequence} class=${NOISE.includes(entry.kind) ? "quiet" : entry.kind === "glass-broken" ? "late" : ""}>
            <td class="num">${entry.sequence}</td>
            <td><${Time} at=${entry.at} /></td>
            <td><${Where} entry=${entry} /></td>
            <td class="wide">${entry.what}${entry.why && !entry.what.includes(entry.why) && html` <span class="quiet">${entry.why}</span>`}</td>
            <td data-name="By">${entry.by || "–"}</td>
          </tr>`)}</tbody>
      </table>
      ${pages.asked && !pages.entries.length && html`<p class="empty">No entry matches.</p>`}
      ${pages.next > 0 && html`<button class="plain" onClick=${() => read(pages.next)}>Show older entries</button>`}
    </section>`;
}

function Where({ entry }) {
  if (!entry.service) return html`<span class="quiet">the platform</span>`;
  const number = entry.rollout.split("/")[2];
  const page = `#/services/${encodeURIComponent(entry.service)}`;
  return html`<a href=${number ? `${page}/history/${number}` : page}>${entry.service}${number ? ` ${number}` : ""}</a>`;
}

/** Reads all of the log when asked to, which takes a while: a button, and never by itself. */
function Proof() {
  const [state, set] = useState({});
  const verify = async () => {
    set({ busy: true });
    try {
      set({ report: await get("/v1/audit/verification") });
    } catch (problem) {
      set({ problem });
    }
  };
  const { report, problem, busy } = state;
  return html`
    <span class="proof" role="status">
      <button disabled=${busy} onClick=${verify}>${busy ? "Reading the log …" : "Verify the log"}</button>
      ${report && html`<span class=${report.findings.length ? "late" : "good"}>${report.findings.length
        ? `${counted(report.findings.length, "trace")} of tampering: bleen audit verify names them`
        : `${counted(report.size, "entry").replace("entrys", "entries")} proved in ${lasting(report.seconds)}: nothing changed, removed or reordered`}</span>`}
      ${problem && html`<${Trouble} problem=${problem} />`}
    </span>`;
}
