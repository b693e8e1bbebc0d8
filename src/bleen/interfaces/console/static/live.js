// What happens, as it happens: one stream of events for the page, and values that are read anew when something changed.

import { useEffect, useRef, useState } from "./vendor/preact.js";
import { get, lines, open, signedIn } from "./api.js";

const listeners = new Set();
let last = "";
let running = null;

/** Hear of every entry of the ledger until the returned function is called. */
export function listen(told) {
  listeners.add(told);
  connect();
  return () => {
    listeners.delete(told);
    if (!listeners.size) disconnect();
  };
}

// A browser has six connections to a server, for all its tabs together: a tab that nobody sees keeps none.
document.addEventListener("visibilitychange", () => (document.hidden ? disconnect() : connect()));

function connect() {
  if (running || document.hidden || !listeners.size) return;
  running = new AbortController();
  follow(running.signal).catch(() => {});
}

function disconnect() {
  running?.abort();
  running = null;
}

async function follow(signal) {
  for (let pause = 500; !signal.aborted; pause = Math.min(pause * 2, 8000)) {
    try {
      const headers = last ? { "last-event-id": last } : {};
      const answer = await open("GET", "/v1/events", undefined, { headers, signal });
      for (const told of listeners) told(null);
      for await (const line of lines(answer)) {
        pause = 500;
        if (line.startsWith("id: ")) last = line.slice(4);
        else if (line.startsWith("data: ")) tell(JSON.parse(line.slice(6)));
      }
    } catch (error) {
      if (error.name === "AbortError" || error.status === 401) return;
    }
    await new Promise((go) => setTimeout(go, pause));
  }
}

function tell(entry) {
  for (const told of listeners) told(entry);
}

/** Return [value, problem, again]: what `read` returns, read anew every `every` seconds while the page is seen. */
export function useValue(read, keys, every = 0) {
  const [state, set] = useState([null, null]);
  const again = useRef(() => {});
  useEffect(() => {
    let alive = true, busy = false, asked = false;
    const look = async () => {
      if (busy) return void (asked = true);
      busy = true;
      try {
        const value = await read();
        if (alive) set([value, null]);
      } catch (problem) {
        if (alive) set(([value]) => [value, problem]);
      }
      busy = false;
      if (asked && alive) {
        asked = false;
        look();
      }
    };
    again.current = look;
    set([null, null]);
    look();
    const timer = every && setInterval(() => document.hidden || look(), every * 1000);
    return () => {
      alive = false;
      clearInterval(timer);
    };
  }, keys);
  return [...state, () => again.current()];
}

/** Call `changed` with the names of services that something happened to, a few times a second at most. */
export function useEvents(changed, keys) {
  useEffect(() => {
    const names = new Set();
    let timer = 0;
    const soon = () => {
      timer = 0;
      changed(new Set(names));
      names.clear();
    };
    const stop = listen((entry) => {
      names.add(entry ? entry.service : "*");
      timer ||= setTimeout(soon, 120);
    });
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, keys);
}

// The first page asks for its rows while it is still being told who looks.
let early = signedIn() && ["", "#/"].includes(location.hash) ? get("/v1/overview").catch(() => null) : null;

export async function overview(environment, service = []) {
  const asked = service.length ? null : early;
  if (asked) early = null;
  const told = await asked;
  return told?.environment === environment ? told : get("/v1/overview", { environment, service });
}
