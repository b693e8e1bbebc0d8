// The console: signing in, the frame of every page, and which page is shown.

import { html, render, useEffect, useState } from "./vendor/preact.js";
import { forget, get, openLink, signOut, signedIn } from "./api.js";
import { Trouble, Waiting } from "./words.js";
import { Services } from "./services.js";

const later = (file, name) => async () => (await import(file))[name];
const PAGES = [
  [/^\/services\/([^/]+)$/, later("./service.js", "ServicePage"), "services"],
  [/^\/services\/([^/]+)\/history\/(\d+)$/, later("./history.js", "RolloutPage"), "services"],
  [/^\/services\/([^/]+)\/logs$/, later("./logs.js", "LogsPage"), "services"],
  [/^\/images$/, later("./images.js", "ImagesPage"), "images"],
  [/^\/images\/(.+)$/, later("./image.js", "ImagePage"), "images"],
  [/^\/audit$/, later("./audit.js", "AuditPage"), "audit"],
];
const ROOMS = [["services", "Services"], ["images", "Images"], ["audit", "Audit"]];

function useRoute() {
  const read = () => location.hash.slice(1).split("?")[0] || "/";
  const [route, set] = useState(read);
  useEffect(() => {
    const moved = () => {
      set(read());
      scrollTo(0, 0);
      document.querySelector("main")?.focus({ preventScroll: true });
    };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return route;
}

function Page({ route, me }) {
  const [shown, show] = useState(null);
  useEffect(() => {
    const found = PAGES.find(([pattern]) => pattern.test(route));
    if (!found) return show(null);
    const names = route.match(found[0]).slice(1).map(decodeURIComponent);
    let here = true;
    found[1]().then((view) => here && show({ route, view, names }));
    return () => (here = false);
  }, [route]);
  if (!PAGES.some(([pattern]) => pattern.test(route))) return html`<${Services} me=${me} />`;
  if (shown?.route !== route) return html`<${Waiting} />`;
  return html`<${shown.view} key=${route} me=${me} names=${shown.names} />`;
}

function Frame({ me, out }) {
  const route = useRoute();
  const room = PAGES.find(([pattern]) => pattern.test(route))?.[2] || "services";
  const skip = (event) => {
    event.preventDefault();
    document.querySelector("main").focus();
  };
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the page</a>
    <header class="top">
      <a class="mark" href="#/" aria-label="Bleen, services"><img src="/console/icon.svg" alt="" width="18" height="18" /><span>Bleen</span></a>
      <nav aria-label="Rooms">
        ${ROOMS.map(([name, label]) => html`
          <a href="#/${name === "services" ? "" : name}" aria-current=${room === name ? "page" : null}>${label}</a>`)}
      </nav>
      <div class="who">
        <span class="env" title="The environment of this platform">${me.environment}</span>
        <span class="person">${me.name}<span class="role"> · ${me.role}</span></span>
        <button class="plain" onClick=${out}>Sign out</button>
      </div>
    </header>
    <main id="main" tabindex="-1"><${Page} route=${route} me=${me} /></main>`;
}

function SignedOut({ problem }) {
  const [label, name] = useState("");
  useEffect(() => {
    get("/v1/sign-in").then((found) => name(found.label), () => {});
  }, []);
  return html`
  <main class="door" id="main" tabindex="-1">
    <img src="/console/icon.svg" alt="" width="40" height="40" />
    <h1>Bleen</h1>
    ${problem && problem.status !== 401 && html`<${Trouble} problem=${problem} />`}
    ${label && html`<a class="button strong" href="/v1/sign-in/start">Sign in with ${label}</a>`}
    <p>This browser is not signed in. On a machine that has a token, type</p>
    <pre>bleen console</pre>
    <p class="quiet">It prints a link that signs one browser in. The link is good once, for five minutes.</p>
  </main>`;
}

function roleOf({ grants, environment }) {
  const ladder = ["viewer", "deployer", "approver", "admin"];
  return ladder.filter((role) => grants[environment] === role || grants["*"] === role).pop() || "no role here";
}

function Console() {
  const [state, set] = useState({ at: "opening" });
  const [links, count] = useState(0);
  useEffect(() => {
    const again = () => location.hash.startsWith("#code=") && count((n) => n + 1);
    addEventListener("hashchange", again);
    return () => removeEventListener("hashchange", again);
  }, []);
  useEffect(() => {
    (async () => {
      try {
        await openLink();
        if (!signedIn()) return set({ at: "out" });
        const me = await get("/v1/identity");
        set({ at: "in", me: { ...me, role: roleOf(me) } });
      } catch (problem) {
        if (problem.status === 401) forget();
        set({ at: "out", problem });
      }
    })();
  }, [links]);
  const out = () => signOut().catch(() => {}).then(() => set({ at: "out" }));
  if (state.at === "opening") return html`<main class="door"><${Waiting} what="who you are" /></main>`;
  return state.at === "in" ? html`<${Frame} me=${state.me} out=${out} />` : html`<${SignedOut} problem=${state.problem} />`;
}

render(html`<${Console} />`, document.getElementById("app"));
