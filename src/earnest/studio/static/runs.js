// Runs: what has been trained and how well it scored, two of them compared, one of them watched, a new one started.

import { ask, part, send } from "./api.js";
import { whisker } from "./charts.js";
import { announce, el, fill, problem } from "./dom.js";
import * as format from "./format.js";
import { t } from "./language.js";
import { openForm } from "./run_form.js";
import { openRun } from "./run_view.js";

const HEADS = [["", "tick-box"], ["run"], ["state"], ["score", "n"], ["", "plot"], ["interval"], ["protocol", "protocol"], ["took", "n"], ["date"], ["report"]];
const AGAIN_MS = 5000; // how often the list is read anew while a run is going

/** Open the page: the list, `new` for the form, or one run by its id. */
export function open(page, rest, title) {
  let close = show(page, rest, title);
  const update = (next) => {
    close();
    page.replaceChildren();
    close = show(page, next, title);
    title.focus({ preventScroll: true });
    scrollTo(0, 0);
  };
  return { update, close: () => close() };
}

function show(page, rest) {
  if (rest[0] === "new") return openForm(page);
  if (rest[0]) return openRun(page, rest[0]);
  return openList(page);
}

function openList(page) {
  const list = el("div", { class: "list-of-runs", "aria-busy": "true" });
  const compared = el("div", { class: "compared", "aria-live": "polite" });
  const button = el("button", { type: "button", class: "plain", disabled: true, t: "compare", on: { click: () => compare(chosen, compared) } });
  const chosen = [];
  fill(page, el("div", { class: "actions" },
    el("a", { class: "primary", href: "#/runs/new", t: "start a run" }), button,
    el("span", { class: "fine", t: "compare hint" })), compared, list);
  const choose = (run, on) => {
    const at = chosen.findIndex((one) => one.id === run.id);
    if (on && at < 0) chosen.push(run);
    if (!on && at >= 0) chosen.splice(at, 1);
    if (chosen.length > 2) chosen.shift();
    for (const box of list.querySelectorAll("input[type=checkbox]")) box.checked = chosen.some((one) => one.id === box.value);
    button.disabled = chosen.length !== 2;
  };
  let timer = 0;
  let last = "";
  const read = async () => {
    try {
      const runs = await ask("/api/runs");
      const now = JSON.stringify(runs);
      if (now !== last) draw(list, runs, choose, chosen);
      last = now;
      if (runs.some((run) => run.state === "running")) timer = setTimeout(read, AGAIN_MS);
    } catch (error) {
      fill(list, problem(error));
    }
    list.removeAttribute("aria-busy");
  };
  const redraw = () => {
    last = "";
    clearTimeout(timer);
    read();
  };
  document.addEventListener("language", redraw);
  read();
  return () => {
    clearTimeout(timer);
    document.removeEventListener("language", redraw);
  };
}

function draw(list, runs, choose, chosen) {
  if (!runs.length) {
    fill(list, el("div", { class: "empty" }, el("p", { class: "big", t: "no runs" }), el("p", { t: "no runs remedy" }),
      el("p", {}, el("a", { class: "primary", href: "#/runs/new", t: "start a run" }))));
    return;
  }
  fill(list, el("div", { class: "scroll", tabindex: "0", role: "region", "t-aria-label": "page runs" },
    el("table", { class: "rows runs-table" },
      el("thead", {}, el("tr", {}, HEADS.map(([key, kind]) => el("th", { scope: "col", class: kind, ...(key ? { t: key } : {}) })))),
      el("tbody", {}, runs.map((run) => line(run, choose, chosen))))));
}

function line(run, choose, chosen) {
  const box = el("input", { type: "checkbox", value: run.id, "t-aria-label": ["choose to compare", { name: run.name }],
    disabled: run.state !== "done", on: { change: () => choose(run, box.checked) } });
  box.checked = chosen.some((one) => one.id === run.id);
  const scored = typeof run.score === "number";
  return el("tr", { class: run.void ? "void" : null },
    el("td", { class: "tick-box" }, box),
    el("th", { scope: "row" }, el("a", { href: `#/runs/${part(run.id)}` }, run.name),
      el("span", { class: "fine" }, [run.corpus, run.model].filter(Boolean).join(" · "))),
    el("td", {}, state(run.state)),
    el("td", { class: "n" }, el("span", { class: "strong" }, scored ? format.score(run.score, run.primary) : "–"),
      el("span", { class: "fine" }, scored ? format.metricName(run.primary) : "")),
    el("td", { class: "plot" }, scored && format.isShare(run.primary) ? whisker(run.score, run.interval) : null),
    el("td", { class: "nowrap" }, format.interval(run.interval, run.primary)),
    el("td", { class: "note protocol" }, run.protocol ?? ""),
    el("td", { class: "n" }, run.seconds ? format.duration(run.seconds) : "–"),
    el("td", { class: "nowrap note" }, format.date(run.date)),
    el("td", {}, run.has_report ? reportLink(run) : null));
}

/** A link to a run's report, in a page of its own. */
export function reportLink(run, key = "open") {
  return el("a", { href: `/api/runs/${part(run.id)}/report`, target: "_blank", rel: "noopener", t: key,
    "t-aria-label": ["open report of", { name: run.name }] });
}

/** A run's state as a tag: word and colour. */
export function state(name) {
  return el("span", { class: `tag state ${name}`, t: `state ${name}` });
}

async function compare(pair, host) {
  fill(host, el("p", { class: "fine", t: "comparing" }));
  try {
    const found = await send("POST", "/api/compare", { a: pair[0].id, b: pair[1].id });
    fill(host, comparison(found, pair));
    announce(found.sentence);
  } catch (error) {
    fill(host, problem(error));
  }
}

function comparison(found, [a, b]) {
  const points = (value) => (found.metric === "squared_error" ? format.fixed(value, 3) : `${value > 0 ? "+" : ""}${format.fixed(100 * value, 1)}`);
  const rows = [
    [t("difference of", { metric: format.metricName(found.metric) }), `${points(found.difference)}  [${found.interval.map(points).join(", ")}]`],
    [t("p value"), found.p_value < 0.001 ? "< 0.001" : format.fixed(found.p_value, 3)],
    [t("clips and groups"), [format.count(found.n_clips), found.n_groups ? `${format.count(found.n_groups)} (${found.group ?? "–"})` : "–"].join(" · ")],
    [t("method"), found.method],
  ];
  return el("section", { class: "card wide-card", "aria-label": t("compare") },
    el("p", { class: "verdict small" }, found.sentence),
    el("div", { class: "scroll" }, el("table", { class: "rows" },
      el("thead", {}, el("tr", {}, ["run", "score", "interval"].map((key) => el("th", { scope: "col", t: key })))),
      el("tbody", {}, [a, b].map((run, at) => el("tr", {}, el("th", { scope: "row" }, `${"AB"[at]}  ${run.name}`),
        el("td", { class: "strong" }, format.score(run.score, run.primary)), el("td", {}, format.interval(run.interval, run.primary))))))),
    el("dl", { class: "list" }, rows.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    found.notes?.length ? el("ul", { class: "plain fine" }, found.notes.map((note) => el("li", {}, note))) : null);
}
