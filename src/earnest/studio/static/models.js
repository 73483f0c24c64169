// Models: every bundle of this folder as a card, with the scores of each file in it and how to use it from elsewhere.

import { ask, part } from "./api.js";
import { el, fill, problem } from "./dom.js";
import * as format from "./format.js";

const LABELS = 14; // that a card names

/** Open the page. */
export function open(page) {
  const host = el("div", { class: "bundles", "aria-busy": "true" });
  fill(page, el("p", { class: "lead", t: "models lead" }), host, api());
  let bundles = null;
  const draw = () => bundles && fill(host, bundles.length ? bundles.map(card) : empty());
  ask("/api/bundles").then((found) => {
    bundles = found;
    draw();
  }).catch((error) => fill(host, problem(error))).finally(() => host.removeAttribute("aria-busy"));
  document.addEventListener("language", draw);
  return { close: () => document.removeEventListener("language", draw) };
}

function empty() {
  return el("div", { class: "empty" }, el("p", { class: "big", t: "no bundles" }), el("p", { t: "no bundles remedy" }),
    el("p", {}, el("a", { class: "primary", href: "#/runs/new", t: "start a run" })));
}

function card(bundle) {
  const id = part(bundle.id);
  const model = el("pre", { tabindex: "0", class: "model-card" });
  const about = el("details", { on: { toggle: () => about.open && !model.textContent && readCard(bundle, model) } },
    el("summary", { t: "model card" }), model);
  return el("article", { class: "card bundle", "aria-label": bundle.name },
    el("header", {}, el("h2", { class: "path" }, bundle.name), el("span", { class: "tag" }, bundle.task)),
    el("p", { class: "soft" }, named(bundle.labels)),
    el("dl", { class: "facts" }, [["sample rate", `${format.count(bundle.sample_rate)} Hz`], ["window", format.duration(bundle.window_s)],
      ["labels", format.count(bundle.labels.length)]].map(([key, value]) => el("div", {}, el("dt", { t: key }), el("dd", {}, value)))),
    files(bundle),
    el("div", { class: "actions" }, el("a", { class: "primary", href: `#/try/${id}`, t: "try it" }),
      el("a", { class: "plain", href: `/api/bundles/${id}/download`, download: "", t: "download" })),
    about, el("details", {}, el("summary", { t: "use by http" }), el("p", { class: "fine", t: "token hint" }), el("pre", { tabindex: "0", class: "command" }, el("code", {}, curl(bundle)))));
}

const named = (labels) => (labels.length > LABELS ? `${labels.slice(0, LABELS).join(", ")} … (+${labels.length - LABELS})` : labels.join(", "));

async function readCard(bundle, host) {
  try {
    host.textContent = await ask(bundle.card ?? `/api/bundles/${part(bundle.id)}/card`);
  } catch (error) {
    host.textContent = error.message;
  }
}

/** The table of what ships: each file, its size, its own score, and whether it holds what was promised. */
function files(bundle) {
  const listed = bundle.files.filter(({ file }) => !/\.(md|json|ya?ml|txt)$/i.test(file));
  const streamed = bundle.measured?.streamed ? [{ file: "streamed" }] : []; // the model fed in small pieces
  const rows = [...listed, ...streamed].flatMap((one) => fileRows(one, bundle));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "t-aria-label": "shipped files" }, el("table", { class: "rows shipped" },
    el("caption", { class: "hidden", t: "shipped files" }),
    el("thead", {}, el("tr", {}, ["file", "size", "score", "interval", "takes"].map((key) =>
      el("th", { scope: "col", class: ["file", "interval"].includes(key) ? null : "n", t: key })), el("th", { scope: "col", t: "state" }))),
    el("tbody", {}, rows)));
}

/** What is known of a file: its own entry, what was measured of it, and the run's score where that is all there is. */
function known(one, bundle) {
  const own = typeof one.score === "object" && one.score ? { ...one, ...one.score } : one;
  const filled = Object.fromEntries(Object.entries(own).filter(([, value]) => value !== null && value !== undefined));
  return { ...bundle.scores?.[one.file], ...bundle.measured?.[one.file], ...filled };
}

function fileRows(one, bundle) {
  const found = known(one, bundle);
  const name = one.file === "streamed" ? el("span", { t: "streamed" })
    : el("a", { href: `/api/bundles/${part(bundle.id)}/files/${part(one.file)}`, download: "" }, one.file);
  const row = el("tr", { class: found.passes === false ? "void" : null }, el("th", { scope: "row" }, name),
    el("td", { class: "n" }, one.bytes ? format.bytes(one.bytes) : ""), el("td", { class: "n strong" }, format.score(found.score, found.primary)),
    el("td", { class: "nowrap" }, format.interval(found.interval, found.primary)),
    el("td", { class: "n" }, found.median_ms ? `${format.fixed(found.median_ms, 1)} ms` : ""), el("td", {}, verdict(found, bundle)));
  return found.note ? [row, el("tr", { class: "about" }, el("td", { colspan: 6 }, el("span", { class: "fine" }, found.note)))] : [row];
}

function verdict(found, bundle) {
  const gate = bundle.gate === undefined ? "–" : format.fixed(100 * bundle.gate, 1);
  const below = typeof found.difference === "number" ? ["below", { points: format.fixed(100 * found.difference, 1), gate }] : null;
  if (found.passes === false) return el("span", { class: "tag void", "t-title": below, t: "fell through" });
  if (found.score === undefined || found.score === null) return el("span", { class: "tag", t: "not scored" });
  return el("span", { class: "tag good", "t-title": below, t: "scored" });
}

const curl = (bundle) => `curl -H "Authorization: Bearer $TOKEN" -F audio=@recording.wav \\\n  ${location.origin}/api/bundles/${part(bundle.id)}/predict`;

function api() {
  return el("section", { class: "api" }, el("h2", { t: "http api" }), el("p", {}, el("span", { t: "http api text" }), " ",
    el("a", { href: "/docs", target: "_blank", rel: "noopener" }, "/docs"), " · ", el("a", { href: "/openapi.json", target: "_blank", rel: "noopener" }, "/openapi.json")));
}
