// Asking the server: JSON in and out, one error class. It knows nothing of what is shown.

export class Refused extends Error {
  constructor(status, told) {
    super(told?.error?.message ?? `the server answered ${status}`);
    this.status = status;
    this.position = told?.error?.position ?? null;
  }
}

export class Unreachable extends Error {
  constructor() {
    super("The server cannot be reached. It is tried again.");
  }
}

const BASE = "/api/v1";

export async function ask(path, { method = "GET", json, body, headers = {}, signal, keepalive } = {}) {
  const given = { method, headers: { ...headers }, signal, keepalive };
  if (json !== undefined) {
    given.body = JSON.stringify(json);
    given.headers["Content-Type"] = "application/json";
  } else if (body !== undefined) {
    given.body = body;
  }
  let answer;
  try {
    answer = await fetch(BASE + path, given);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unreachable();
  }
  if (!answer.ok) {
    if (answer.status === 401) document.dispatchEvent(new CustomEvent("signed-out"));
    throw new Refused(answer.status, await answer.json().catch(() => null));
  }
  return answer;
}

export async function get(path, query = {}, signal) {
  return (await ask(address(path, query), { signal })).json();
}

export function address(path, query) {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") said.append(name, value);
  }
  const text = said.toString();
  return text ? `${path}?${text}` : path;
}

export const link = (path, query = {}) => BASE + address(path, query);
