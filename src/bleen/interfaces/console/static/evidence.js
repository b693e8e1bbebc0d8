// What the traffic has shown, against what it takes.

import { html } from "./vendor/preact.js";
import { counted, figure } from "./words.js";

export function Evidence({ evidence }) {
  return html`
    <h2>Evidence</h2>
    <p class="verdict">${evidence.sentence}</p>
    <p class="quiet">${counted(evidence.requests, "request")} to the new release beside ${evidence.compared.toLocaleString("en")}</p>
    <div class="readings">
      ${evidence.readings.map((reading) => html`
        <div class="reading" key=${reading.metric}>
          <h3>${reading.metric}</h3>
          <p class="pair"><b>${figure(reading.new, reading.unit)}</b> <span class="quiet">beside ${figure(reading.beside, reading.unit)}</span></p>
          <${Meter} label="against it" value=${reading.worse} at=${reading.worse_at} kind="against" />
          ${reading.fine_at > 0 && html`<${Meter} label="for it" value=${reading.fine} at=${reading.fine_at} kind="for" />`}
        </div>`)}
    </div>`;
}

function Meter({ label, value, at, kind }) {
  const share = at > 0 ? Math.min(100, (100 * value) / at) : 0;
  const words = `${value.toFixed(1)} of ${at.toFixed(1)}`;
  return html`
    <p class="meter">
      <span>${label}</span>
      <span class="bar ${kind}" role="img" aria-label="${label}: ${words}"><span style=${{ width: `${share}%` }}></span></span>
      <span class="num">${words}</span>
    </p>`;
}
