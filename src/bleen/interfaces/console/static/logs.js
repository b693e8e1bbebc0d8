// What the instances of a service wrote, and what they write now.

import { html, useEffect, useRef, useState } from "./vendor/preact.js";
import { lines, open } from "./api.js";
import { clock, Trouble } from "./words.js";

const KEPT = 2000;
const wanted = () => new URLSearchParams(location.hash.split("?")[1] || "").get("instance") || "";

export function LogsPage({ names: [service] }) {
  const [instance, choose] = useState(wanted);
  const [follow, set] = useState(true);
  const [asked, ask] = useState("");
  const [rows, problem] = useLog(service, instance, follow);
  const end = useRef(null);
  useEffect(() => void (document.title = `Logs of ${service} · Bleen`), [service]);
  useEffect(() => void (follow && end.current?.scrollTo({ top: end.current.scrollHeight })), [rows, follow]);
  const shown = asked ? rows.filter((row) => row.text.toLowerCase().includes(asked.toLowerCase())) : rows;
  const names = [...new Set([...rows.map((row) => row.instance), ...(instance ? [instance] : [])])].sort();
  return html`
    <div class="title">
      <p class="crumb"><a href="#/">Services</a> / <a href="#/services/${encodeURIComponent(service)}">${service}</a></p>
      <h1>Logs</h1>
    </div>
    <div class="head">
      <label class="sort">Instance <select value=${instance} onChange=${(event) => choose(event.target.value)}>
        <option value="">all</option>${names.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}</select></label>
      <label class="check"><input type="checkbox" checked=${follow} onChange=${(event) => set(event.target.checked)} /> follow</label>
      <input type="search" aria-label="Filter lines" placeholder="Filter lines" value=${asked} onInput=${(event) => ask(event.target.value)} />
    </div>
    ${problem && html`<${Trouble} problem=${problem} />`}
    <div class="log mono" ref=${end} tabindex="0" role="log" aria-label="Lines" aria-live="off">
      ${shown.map((row) => html`<p key=${row.key}><span class="quiet">${clock(row.at)} ${instance ? "" : row.instance}</span> ${row.text}</p>`)}
      ${!shown.length && !problem && html`<p class="quiet">${rows.length ? "No line matches." : "Nothing was written yet."}</p>`}
    </div>`;
}

function useLog(service, instance, follow) {
  const [state, set] = useState([[], null]);
  useEffect(() => {
    const stop = new AbortController();
    let kept = [], key = 0, timer = 0;
    const show = () => {
      timer = 0;
      if (!stop.signal.aborted) set([kept, null]);
    };
    const read = async () => {
      const query = new URLSearchParams({ instance, lines: 200, follow });
      const answer = await open("GET", `/v1/services/${encodeURIComponent(service)}/logs?${query}`, undefined, { signal: stop.signal });
      for await (const line of lines(answer)) {
        kept = [...kept.slice(-KEPT), { ...JSON.parse(line), key: key++ }];
        timer ||= setTimeout(show, 100);
      }
      show();
    };
    set([[], null]);
    read().catch((problem) => problem.name === "AbortError" || set([kept, problem]));
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [service, instance, follow]);
  return state;
}
