// The server, asked. Every failure becomes an error with a message and, where there is one, a remedy.

import { t } from "./language.js";

/** What the server refused, or that it is not there. */
export class ServerError extends Error {
  constructor(message, remedy = "", status = 0) {
    super(message);
    this.remedy = remedy;
    this.status = status;
  }
}

/** One part of a path, safe for any id. */
export const part = encodeURIComponent;

/** Ask and read JSON. `options` are those of fetch; `signal` gives up. */
export async function ask(path, options = {}) {
  const answer = await reach(path, options);
  return (answer.headers.get("content-type") ?? "").includes("json") ? answer.json() : answer.text();
}

/** Ask with a JSON body. */
export function send(method, path, values = {}) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method, headers, body: JSON.stringify(values) });
}

/** The response itself, for its status. */
export async function reach(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError(t("server gone"), t("server gone remedy"));
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  const message = said.error ?? `${answer.status} ${answer.statusText}`;
  throw new ServerError(String(message), said.remedy ?? "", answer.status);
}

/** A path with a query; lists repeat their key, null and "" are left out. */
export function query(path, values) {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(values))
    for (const one of [value].flat()) if (one !== null && one !== undefined && one !== "") search.append(key, one);
  return search.size ? `${path}?${search}` : path;
}
