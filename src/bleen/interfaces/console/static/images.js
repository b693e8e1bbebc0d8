// Every image: what keeps it, and which published fixes the services that run have not.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get } from "./api.js";
import { useValue } from "./live.js";
import { ago, bytes, counted, lasting, short, Trouble, Waiting } from "./words.js";

export function ImagesPage() {
  const [seen, problem] = useValue(() => get("/v1/image-uses"), []);
  const [asked, ask] = useState("");
  useEffect(() => void (document.title = "Images · Bleen"), []);
  if (!seen) return html`<${Waiting} problem=${problem} what="images" />`;
  const words = asked.trim().toLowerCase().split(/\s+/);
  const text = ({ image, why }) => `${image.name} ${image.version} ${image.digest} ${why}`.toLowerCase();
  const shown = seen.images.filter((kept) => words.every((word) => text(kept).includes(word)));
  return html`
    <div class="head"><h1>Images</h1><p class="tally"><span>${counted(seen.images.length, "image")}</span></p>
      <input type="search" aria-label="Filter images" placeholder="Filter: name, version, digest" value=${asked} onInput=${(event) => ask(event.target.value)} /></div>
    <section class="sheet" aria-label="Age of patches"><h2>Age of patches</h2><${Patches} /></section>
    <section class="sheet" aria-label="All images">
      <table class="stack">
        <thead><tr><th>Image</th><th>Version</th><th>Digest</th><th>Stands on</th><th>Kept because</th><th class="num">Size</th><th class="num">Age</th></tr></thead>
        <tbody>${shown.map(({ image, why }) => html`
          <tr key=${image.digest}>
            <td><a href="#/images/${encodeURIComponent(image.digest)}"><b>${image.name}</b></a></td>
            <td data-name="Version">${image.version || "–"}</td>
            <td data-name="Digest" class="mono">${short(image.digest)}</td>
            <td data-name="Stands on" class="mono">${image.base.startsWith("sha256:") ? short(image.base) : image.base}</td>
            <td data-name="Kept because it" class="wide">${why || html`<span class="quiet">nothing needs it</span>`}</td>
            <td data-name="Size" class="num">${bytes(image.size)}</td>
            <td data-name="Age" class="num">${Date.parse(image.created) ? ago(image.created) : "–"}</td>
          </tr>`)}</tbody>
      </table>
      ${!shown.length && html`<p class="empty">${seen.images.length ? `No image matches “${asked}”.` : "Nothing was built yet."}</p>`}
    </section>`;
}

function Patches() {
  const [seen, problem] = useValue(() => get("/v1/image-status"), []);
  if (!seen) return html`<${Waiting} problem=${problem} what="what the mirrors say" />`;
  if (!seen.services.length) return html`<p class="quiet">Nothing runs.</p>`;
  return html`
    <table class="stack">
      <thead><tr><th>Service</th><th>Release</th><th>Patched</th><th>Fixes that it has not</th></tr></thead>
      <tbody>${seen.services.map(({ service, release, image, patching }) => html`
        <tr key=${service + release}>
          <td><a href="#/services/${encodeURIComponent(service)}">${service}</a></td>
          <td data-name="Release"><a href="#/images/${encodeURIComponent(image)}">${release}</a></td>
          <td data-name="Patched">${patching.patched ? `${ago(patching.patched, Date.parse(seen.at))} ago` : "–"}</td>
          <td data-name="Fixes" class="wide"><${Pending} patching=${patching} now=${Date.parse(seen.at)} /></td>
        </tr>`)}</tbody>
    </table>`;
}

const PROMISE = 48 * 3600;

function Pending({ patching, now }) {
  if (patching.base === "host") return html`<span class="quiet">host-based: the machine's own updates count</span>`;
  if (!patching.checked) return html`<span class="short">not checked: ${patching.trouble}</span>`;
  if (!patching.fixes.length) return html`nothing is pending`;
  const oldest = Math.min(...patching.fixes.map((fix) => Date.parse(fix.since)));
  const left = PROMISE - (now - oldest) / 1000;
  return html`<span class=${left < 0 ? "late" : ""}>${counted(patching.fixes.length, "fix").replace("fixs", "fixes")} pending, ${left < 0 ? `overdue by ${lasting(-left)}` : `${lasting(left)} left`}</span>
    <span class="quiet"> ${patching.fixes.map((fix) => `${fix.package} ${fix.fixed}`).join(", ")}</span>`;
}

/** What an error is shown as where the rest of the page goes on. */
export const Missing = ({ problem, what }) => (problem ? html`<${Trouble} problem=${problem} />` : html`<${Waiting} what=${what} />`);
