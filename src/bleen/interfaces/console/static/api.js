// The API, as a page of this server asks it: the cookie goes along by itself, the page's half of the secret as a header.

const KEEP = "bleen-key";
const HEADER = "x-bleen-key";

export class Problem extends Error {
  constructor(status, told) {
    super(told.what || `the server answered ${status}`);
    this.status = status;
    this.what = this.message;
    this.why = told.why || "";
    this.next = told.next || "";
  }
}

export const signedIn = () => Boolean(localStorage.getItem(KEEP));

/** Exchange the code in the address, if there is one, and take it out of the address and of the history. */
export async function openLink() {
  const code = new URLSearchParams(location.hash.slice(1)).get("code");
  if (!code) return;
  history.replaceState(null, "", location.pathname + "#/");
  const answer = await send("POST", "/v1/sessions", { code });
  localStorage.setItem(KEEP, answer.key);
}

export async function signOut() {
  try {
    await send("DELETE", "/v1/session");
  } finally {
    forget();
  }
}

export const forget = () => localStorage.removeItem(KEEP);

export const get = (path, query = {}) => send("GET", path + encoded(query));
export const remove = (path, query = {}, headers = {}) => send("DELETE", path + encoded(query), undefined, headers);
export const post = (path, body, query = {}, headers = {}) => send("POST", path + encoded(query), body, headers);

/** Return the answer to a request, not yet read; throws a Problem. */
export async function open(method, path, body, { headers = {}, signal } = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      signal,
      cache: "no-store",
      headers: {
        [HEADER]: localStorage.getItem(KEEP) || "",
        ...(body === undefined ? {} : { "content-type": "application/json", "idempotency-key": unique() }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { what: "the controller does not answer", next: "bleen doctor says what runs" });
  }
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

async function send(method, path, body, headers) {
  const answer = await open(method, path, body, { headers });
  return answer.status === 204 ? null : answer.json();
}

/** Yield the lines of an answer that comes bit by bit. */
export async function* lines(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let left = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (left + value).split("\n");
    left = parts.pop();
    yield* parts;
  }
}

function encoded(query) {
  const pairs = Object.entries(query).flatMap(([name, value]) => [value].flat().map((each) => [name, each]));
  const text = new URLSearchParams(pairs.filter(([, value]) => value !== "" && value !== undefined)).toString();
  return text && `?${text}`;
}

// crypto.randomUUID is missing where a page is served by plain HTTP under another name than localhost.
const unique = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
