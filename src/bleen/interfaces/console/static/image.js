// One image: its layers, what is wrong with it, its packages and its files.

import { html, useEffect, useState } from "./vendor/preact.js";
import { get, post } from "./api.js";
import { useValue } from "./live.js";
import { bytes, counted, short, Waiting } from "./words.js";
import { Missing } from "./images.js";

const MANY = 200;

export function ImagePage({ me, names: [digest] }) {
  const path = `/v1/images/${digest}`;
  const [seen, problem] = useValue(() => layersOf(digest), [digest]);
  useEffect(() => void (document.title = `${seen ? seen[0].image.name : short(digest)} · Bleen`), [digest, seen]);
  if (!seen) return html`<${Waiting} problem=${problem} what="the image" />`;
  const [{ image, files, packages }] = seen;
  return html`
    <div class="title">
      <p class="crumb"><a href="#/images">Images</a></p>
      <h1>${image.name} ${image.version}</h1>
      <span class="mono quiet">${image.digest}</span>
    </div>
    <section class="sheet" aria-label="Layers"><h2>Layers</h2><${Layers} layers=${seen} /></section>
    <section class="sheet" aria-label="Findings"><h2>Findings</h2><${Findings} path=${path} environment=${me.environment} /></section>
    <section class="sheet" aria-label="Packages"><h2>Packages</h2>
      ${packages.length ? html`<${Long} what="package" rows=${packages.map((each) => [each.name, each.version])} />`
        : html`<p class="quiet">It stands on the machine's own system: its packages are not part of the image.</p>`}</section>
    <section class="sheet" aria-label="Files"><h2>Files</h2>
      <${Long} what="file" rows=${files.map((file) => [file.path, file.link ? `→ ${file.link}` : bytes(file.size)])} /></section>`;
}

/** The image, and what it stands on, from the top down. */
async function layersOf(digest) {
  const layers = [await get(`/v1/images/${digest}`)];
  while (layers[layers.length - 1].image.base.startsWith("sha256:")) {
    layers.push(await get(`/v1/images/${layers[layers.length - 1].image.base}`));
  }
  return layers;
}

function Layers({ layers }) {
  const last = layers[layers.length - 1].image;
  return html`
    <ol class="layers">
      ${layers.map(({ image }) => html`
        <li key=${image.digest}><b>${image.name} ${image.version}</b>
          <span class="quiet">${counted(image.files, "file")}, ${bytes(image.size)}${image.runtime && `, ${image.runtime}`}</span>
          <a class="mono end" href="#/images/${encodeURIComponent(image.digest)}">${short(image.digest)}</a></li>`)}
      ${last.base === "host" && html`<li class="quiet">the machine's own system: no part of the image</li>`}
    </ol>`;
}

const RANK = ["critical", "high", "medium", "low", "not-checked"];

function Findings({ path, environment }) {
  const [seen, problem] = useValue(() => post(`${path}/scan`, { environment }), [path]);
  if (!seen) return html`<${Missing} problem=${problem} what="what is inside" />`;
  const { scan, judgement } = seen;
  const found = [
    ...judgement.blocking.map((finding) => ({ finding, answer: "blocks" })),
    ...judgement.open.map((finding) => ({ finding })),
    ...judgement.waived,
  ].sort((a, b) => RANK.indexOf(a.finding.severity) - RANK.indexOf(b.finding.severity));
  return html`
    <${Verdict} judgement=${judgement} environment=${environment} />
    ${found.length ? html`<table class="stack">
      <thead><tr><th>Severity</th><th>Finding</th><th>What</th><th>Where</th><th>Answer</th></tr></thead>
      <tbody>${found.map(({ finding: each, answer, waiver }) => html`
        <tr key=${each.id + each.package + each.where}>
          <td class="severity ${each.severity}">${each.severity}</td>
          <td data-name="Finding" class="mono">${each.id}</td>
          <td data-name="What" class="wide">${each.what}${each.fixed && html` <span class="quiet">fixed in ${each.fixed}</span>`}</td>
          <td data-name="Where" class="mono wide">${each.where || each.package}</td>
          <td data-name="Answer" class="wide ${answer ? "short" : ""}">${answer || (waiver
            ? html`waived by ${waiver.owner} until ${waiver.expires} <span class="quiet">${waiver.reason}</span>` : html`<span class="quiet">does not block</span>`)}</td>
        </tr>`)}</tbody></table>` : html`<p>Nothing was found by those who looked.</p>`}
    <details class="looked"><summary>${counted(scan.checks.length, "check")} looked</summary>
      <ul>${scan.checks.map((check) => html`<li key=${check.name}><b>${check.name}</b> <span class="quiet">${check.looked_at}</span></li>`)}</ul></details>`;
}

function Verdict({ judgement, environment }) {
  const { blocking, waived, blocks } = judgement;
  const said = blocking.length ? html`<b class="late">${counted(blocking.length, "finding")} would keep it</b> from ${environment}`
    : html`<b class="good">It may be released</b> to ${environment}`;
  return html`<p>${said}, where ${blocks.join(" and ") || "nothing"} blocks${waived.length > 0 && `; somebody answers for ${waived.length}`}.</p>`;
}

function Long({ rows, what }) {
  const [all, show] = useState(false);
  const shown = all ? rows : rows.slice(0, MANY);
  return html`
    <table><tbody>${shown.map(([name, more]) => html`<tr key=${name}><td class="mono breaks">${name}</td><td class="num quiet">${more}</td></tr>`)}</tbody></table>
    ${shown.length < rows.length && html`<button class="plain" onClick=${() => show(true)}>Show all of ${counted(rows.length, what)}</button>`}`;
}
