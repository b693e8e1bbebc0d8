// Figures and times as people read them.

import { html } from "./vendor/preact.js";

export const percent = (value) => `${trim(value)} %`;

const trim = (value) => String(Math.round(value * 100) / 100);

export function figure(value, unit = "") {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  const text = size >= 1000 ? Math.round(value).toLocaleString("en") : String(Number(value.toFixed(digits)));
  return unit ? `${text} ${unit}` : text;
}

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB"];
  let at = 0;
  for (; value >= 1000 && at < units.length - 1; at++) value /= 1000;
  return `${value < 10 && at ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

export function lasting(seconds) {
  const left = Math.max(0, seconds);
  if (left < 9.95) return `${left.toFixed(1)} s`;
  if (left < 59.5) return `${Math.round(left)} s`;
  const minutes = Math.round(left / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.round(hours / 24)} d`;
}

export const ago = (time, now = Date.now()) => lasting((now - Date.parse(time)) / 1000);

const two = (number) => String(number).padStart(2, "0");

export function clock(time) {
  const at = new Date(time);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

export function day(time) {
  const at = new Date(time);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
}

export const moment = (time) => (day(time) === day(Date.now()) ? clock(time) : `${day(time)} ${clock(time)}`);

export const Time = ({ at }) => html`<time datetime=${at} title=${new Date(at).toString()}>${moment(at)}</time>`;

export const short = (digest) => digest.replace("sha256:", "").slice(0, 12);

export const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

/** What is being fetched, or why it could not be. */
export function Waiting({ problem, what = "the page" }) {
  if (!problem) return html`<p class="quiet" role="status">Reading ${what} …</p>`;
  return html`<${Trouble} problem=${problem} />`;
}

export const Trouble = ({ problem }) => html`
  <div class="trouble" role="alert">
    <strong>${problem.what || String(problem)}</strong>
    ${problem.why && html`<span>${problem.why}</span>`}
    ${problem.next && html`<span>Next: ${problem.next}</span>`}
  </div>`;
