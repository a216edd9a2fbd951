// The gateway's answers. A refusal becomes an error that says what the gateway said.

export class Refused extends Error {
  constructor(status, body) {
    super(body?.message || body?.error || `The gateway answered ${status}.`);
    this.status = status;
  }
}

const csrf = () => document.documentElement.dataset.csrf;

async function call(method, path, body) {
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-CSRF-Token"] = csrf();
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, {
    method,
    headers,
    credentials: "same-origin",
    cache: "no-store",
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const read = await answer.json().catch(() => null);
  // The session is over: back to the door, and from there to this very page.
  if (answer.status === 401) location.reload();
  if (!answer.ok) throw new Refused(answer.status, read);
  return read;
}

export const get = (path) => call("GET", path);
export const put = (path, body) => call("PUT", path, body);
export const post = (path, body) => call("POST", path, body);

/** A path with its parts escaped: path`/api/battles/${id}`. */
export const path = (parts, ...values) =>
  String.raw({ raw: parts }, ...values.map((value) => encodeURIComponent(value)));
