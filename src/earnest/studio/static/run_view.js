// One run: how far it is, its learning curves as they grow, what it says, and its result.

import { ask, part, send } from "./api.js";
import { curves } from "./charts.js";
import { announce, el, fill, problem } from "./dom.js";
import * as format from "./format.js";
import { silence, t, translate } from "./language.js";
import { reportLink, state } from "./runs.js";

const LINES = 400; // of the log that are kept on the page
const DRAW_MS = 250; // the curves are drawn at most this often

/** Open one run's page; the answer closes it. */
export function openRun(page, id) {
  const view = new RunView(page, id);
  return () => view.close();
}

class RunView {
  constructor(page, id) {
    this.id = id;
    this.epochs = new Map(); // "seed fold member epoch" → record
    this.summary = el("div", { class: "run-summary", "aria-busy": "true" });
    this.bar = el("progress", { max: 1, "t-aria-label": "progress" });
    this.stage = el("p", { class: "stage fine" });
    this.charts = el("div", { class: "panels" });
    this.log = el("pre", { class: "log", tabindex: "0", role: "log", "aria-live": "off", "t-aria-label": "log" });
    this.words = el("section", { hidden: true }, el("h2", { t: "log" }), this.log);
    this.live = el("section", { class: "live", hidden: true }, this.bar, this.stage);
    this.learning = el("section", { hidden: true }, el("h2", { t: "learning curves" }), legend(), this.charts);
    fill(page, el("p", { class: "back" }, el("a", { href: "#/runs", t: "all runs" })), this.summary, this.live, this.learning,
      this.words);
    this.redraw = () => {
      this.#summary();
      this.#curves();
    };
    document.addEventListener("language", this.redraw);
    this.#read();
  }

  close() {
    this.source?.close();
    clearTimeout(this.timer);
    document.removeEventListener("language", this.redraw);
  }

  async #read() {
    try {
      this.run = await ask(`/api/runs/${part(this.id)}`);
    } catch (error) {
      fill(this.summary, problem(error));
      return;
    }
    this.summary.removeAttribute("aria-busy");
    this.#summary();
    if (!this.source) this.#listen();
  }

  /** Hear the run from its beginning on. */
  #listen() {
    fill(this.log);
    this.epochs.clear();
    this.bar.removeAttribute("value");
    translate(this.stage, "", "starting");
    this.source = new EventSource(`/api/runs/${part(this.id)}/events`);
    this.live.hidden = this.run.state !== "running";
    this.source.addEventListener("progress", (event) => this.#progress(JSON.parse(event.data)));
    this.source.addEventListener("epoch", (event) => this.#epoch(JSON.parse(event.data)));
    this.source.addEventListener("log", (event) => this.#line(JSON.parse(event.data).line));
    this.source.addEventListener("end", (event) => this.#end(JSON.parse(event.data)));
  }

  #progress({ stage, done, total, text }) {
    this.live.hidden = false;
    if (total) {
      this.bar.max = total;
      this.bar.value = done;
    } else this.bar.removeAttribute("value");
    silence(this.stage);
    this.stage.textContent = text || [stage, total ? `${format.count(done)} / ${format.count(total)}` : ""].filter(Boolean).join("  ");
    if (stage !== this.announced) announce(`${stage}`);
    this.announced = stage;
  }

  #epoch(record) {
    this.epochs.set(`${record.seed} ${record.fold} ${record.member} ${record.epoch}`, record);
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.#curves();
    }, DRAW_MS);
  }

  #line(text) {
    this.words.hidden = false;
    const below = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 40;
    this.log.append(`${text}\n`);
    while (this.log.childNodes.length > LINES) this.log.firstChild.remove();
    if (below) this.log.scrollTop = this.log.scrollHeight;
  }

  async #end({ state: ended }) {
    this.source.close();
    this.live.hidden = true;
    announce(t(`state ${ended}`));
    await this.#read();
  }

  #summary() {
    if (!this.run) return;
    const run = this.run;
    const scored = typeof run.score === "number";
    fill(this.summary,
      el("header", { class: "run-head" }, el("h2", { class: "path" }, run.name, " ", state(run.state)), this.#buttons(run)),
      scored ? el("p", { class: "verdict" }, el("strong", {}, format.score(run.score, run.primary)), ` ${format.metricName(run.primary)}`,
        run.interval ? el("span", { class: "soft" }, `  [${format.interval(run.interval, run.primary)}]`) : null) : null,
      run.problem ? problem(typeof run.problem === "string" ? new Error(run.problem) : { message: run.problem.error, remedy: run.problem.remedy }) : null,
      facts(run), scored ? folds(run) : null);
  }

  #buttons(run) {
    const act = (verb) => async (event) => {
      event.target.disabled = true;
      try {
        await send("POST", `/api/runs/${part(this.id)}/${verb}`);
        this.source?.close();
        this.source = null;
        await this.#read();
      } catch (error) {
        this.summary.append(problem(error));
      }
    };
    const resumable = ["stopped", "failed", "unfinished"].includes(run.state);
    return el("div", { class: "actions" },
      run.has_report ? el("span", { class: "as-button" }, reportLink(run, "open report")) : null,
      run.has_bundle && run.state === "done" ? el("a", { class: "plain", href: `#/try/${part(this.id)}`, t: "try it" }) : null,
      run.state === "running" ? el("button", { type: "button", class: "plain", t: "stop", on: { click: act("stop") } }) : null,
      resumable ? el("button", { type: "button", class: "primary", t: "resume", on: { click: act("resume") } }) : null);
  }

  #curves() {
    const runs = new Map();
    for (const record of this.epochs.values()) {
      const name = `${record.fold} ${record.seed} ${record.member}`;
      runs.set(name, [...(runs.get(name) ?? []), record]);
    }
    const all = [...runs.values()];
    this.learning.hidden = !all.length;
    const series = (key, kind) => all.map((records) => ({ kind, faint: all.length > 1,
      points: records.filter((one) => typeof one[key] === "number").map((one) => [one.epoch, one[key]]).sort((a, b) => a[0] - b[0]) }));
    const panel = (key, lines) => (lines.some((one) => one.points.length)
      ? el("figure", {}, el("figcaption", {}, el("strong", {}, t(key))), curves(lines, { label: t(key) })) : null);
    fill(this.charts, panel("loss", [...series("train_loss", "train"), ...series("validation_loss", "validation")]),
      panel("validation score", series("validation_score", "validation")),
      panel("learning rate", series("learning_rate", "train")));
  }
}

const legend = () => el("p", { class: "legend" }, el("span", { class: "key train" }), el("span", { t: "training" }),
  el("span", { class: "key validation" }), el("span", { t: "validation" }));

function facts(run) {
  const shown = [["corpus", run.corpus], ["task", run.task], ["model", run.model], ["protocol", run.protocol],
    ["took", run.seconds ? format.duration(run.seconds) : null], ["date", format.date(run.date)]];
  return el("dl", { class: "facts" }, shown.filter(([, value]) => value).map(([key, value]) =>
    el("div", {}, el("dt", { t: key }), el("dd", {}, value))));
}

function folds(run) {
  const rows = run.folds ?? [];
  if (!rows.length) return null;
  return el("details", {}, el("summary", { t: ["n folds", { n: rows.length }] }), el("div", { class: "scroll" }, el("table", { class: "rows narrow" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col", t: "fold" }), el("th", { scope: "col", class: "n", t: "score" }),
      el("th", { scope: "col", class: "n", t: "clips" }))),
    el("tbody", {}, rows.map((fold) => el("tr", {}, el("th", { scope: "row" }, String(fold.name)),
      el("td", { class: "n" }, format.score(fold.score, run.primary)), el("td", { class: "n" }, format.count(fold.n ?? 0))))))));
}
