// Try a model: drop a recording or speak, and see on the player what the model hears when.

import { ask, part } from "./api.js";
import { announce, el, field, fill, problem } from "./dom.js";
import * as format from "./format.js";
import { t } from "./language.js";
import { Ear, LiveScores, scoreBars } from "./live.js";
import { makePlayer } from "./playing.js";
import { Recorder } from "./recorder.js";

const LARGEST = 100e6; // bytes, as the server takes
const MOST = 5; // scores in the answer

/** Open the page; `rest` may name a bundle. */
export function open(page, rest) {
  const view = new Trial(page, rest[0]);
  return { update: ([id]) => view.choose(id), close: () => view.close() };
}

class Trial {
  constructor(page, wanted) {
    this.wanted = wanted;
    this.select = el("select", { on: { change: () => this.#facts() } });
    this.about = el("p", { class: "hint" });
    this.file = el("input", { type: "file", accept: "audio/*,video/*,.wav,.flac,.ogg,.opus,.mp3,.aiff,.au", class: "hidden", tabindex: "-1",
      "t-aria-label": "choose a file", on: { change: () => this.#send(this.file.files[0]) } });
    this.choose_file = el("button", { type: "button", class: "plain", t: "choose a file", on: { click: () => this.file.click() } });
    this.record = el("button", { type: "button", class: "primary record", on: { click: () => (this.recorder ? this.#stop() : this.#start()) } });
    this.clock = el("span", { class: "clock", "aria-live": "off" }, "");
    this.level = el("meter", { class: "level", min: 0, max: 1, value: 0, "t-aria-label": "level" });
    this.drop = el("div", { class: "drop", on: {
      dragover: (event) => this.#over(event, true), dragleave: (event) => this.#over(event, false),
      drop: (event) => {
        this.#over(event, false);
        this.#send(event.dataTransfer.files[0]);
      } } },
    el("p", { class: "big", t: "drop here" }), el("div", { class: "actions" }, this.choose_file, this.file,
      el("span", { class: "soft", t: "or" }), this.record),
    el("p", { class: "hearing" }, this.clock, this.level));
    this.wrong = el("div", {});
    this.result = el("section", { class: "result", "aria-live": "polite", "t-aria-label": "result" }, el("p", { class: "empty", t: "nothing tried" }));
    this.host = el("div", { class: "player-host" });
    this.events = el("div", {});
    this.ground = el("div", { class: "trial" });
    this.#say();
    fill(page, this.ground);
    fill(this.ground, el("p", { class: "fine", t: "loading" }));
    this.redraw = () => {
      this.#say();
      this.#facts();
      if (this.shown) this.#show(this.shown);
    };
    document.addEventListener("language", this.redraw);
    this.#bundles();
  }

  close() {
    document.removeEventListener("language", this.redraw);
    this.recorder?.stop();
    this.ear?.socket.close();
    this.player?.destroy();
    this.closed = true;
  }

  choose(id) {
    if (id && this.bundles?.some((one) => one.id === id)) this.select.value = id;
    this.#facts();
  }

  async #bundles() {
    try {
      this.bundles = await ask("/api/bundles");
    } catch (error) {
      fill(this.ground, problem(error));
      return;
    }
    if (!this.bundles.length) {
      fill(this.ground, el("div", { class: "empty" }, el("p", { class: "big", t: "no bundles" }), el("p", { t: "no bundles remedy" }),
        el("p", {}, el("a", { class: "primary", href: "#/runs/new", t: "start a run" }))));
      return;
    }
    fill(this.select, this.bundles.map((one) => el("option", { value: one.id }, one.name === one.id ? one.id : `${one.name}`)));
    fill(this.ground, el("div", { class: "of-bundle" }, field("model file", this.select, this.about)), this.drop, this.wrong, this.result, this.host, this.events);
    this.choose(this.wanted);
  }

  get bundle() {
    return this.bundles?.find((one) => one.id === this.select.value);
  }

  #facts() {
    const one = this.bundle;
    if (!one) return;
    const labels = one.labels.length > 12 ? `${one.labels.slice(0, 12).join(", ")} …` : one.labels.join(", ");
    this.about.textContent = t("bundle facts", { task: one.task, n: one.labels.length, labels, window: format.duration(one.window_s) });
  }

  #say() {
    this.record.textContent = t(this.recorder ? "stop recording" : "record");
    this.record.setAttribute("aria-pressed", String(Boolean(this.recorder)));
    this.drop.classList.toggle("recording", Boolean(this.recorder));
  }

  #over(event, on) {
    event.preventDefault();
    this.drop.classList.toggle("over", on);
  }

  async #start() {
    fill(this.wrong);
    this.record.disabled = true;
    this.player?.destroy();
    this.player = null;
    this.shown = null;
    fill(this.host);
    fill(this.events);
    const live = new LiveScores();
    const heard = [];
    try {
      this.recorder = await Recorder.start((piece) => this.#hear(piece), () => this.#stop());
      if (this.closed) return void this.recorder.stop();
      this.ear = new Ear(this.bundle.id, this.recorder.rate, { scores: (said) => live.add(said),
        event: (one) => heard.push(one) && this.#events(heard), fail: (error) => fill(this.wrong, problem(error)) });
      fill(this.result, live.element);
      announce(t("recording"));
    } catch (error) {
      this.recorder = null;
      fill(this.wrong, problem(error));
    }
    this.record.disabled = false;
    this.#say();
  }

  #hear(piece) {
    this.ear?.feed(piece);
    let peak = 0;
    for (const sample of piece) peak = Math.max(peak, Math.abs(sample));
    this.level.value = peak / 32768;
    this.clock.textContent = format.duration(this.recorder?.seconds ?? 0);
  }

  async #stop() {
    const file = this.recorder.stop();
    this.recorder = null;
    this.level.value = 0;
    this.record.disabled = true;
    this.#say();
    await this.ear.end();
    this.record.disabled = false;
    if (!this.closed) await this.#send(new File([file], "recording.wav", { type: "audio/wav" }));
  }

  async #send(file) {
    if (!file || !this.bundle) return;
    fill(this.wrong);
    if (file.size > LARGEST) {
      fill(this.wrong, problem({ message: t("too large", { size: format.bytes(file.size) }), remedy: t("too large remedy") }));
      return;
    }
    fill(this.result, el("p", { class: "empty", t: "listening" }), el("progress", { "t-aria-label": "listening" }));
    this.ground.setAttribute("aria-busy", "true");
    const body = new FormData();
    body.append("audio", file, file.name);
    try {
      await readable(file);
      const said = await ask(`/api/bundles/${part(this.bundle.id)}/predict`, { method: "POST", body });
      if (!this.closed) await this.#show({ ...said, name: file.name, bundle: this.bundle });
    } catch (error) {
      fill(this.result, el("p", { class: "empty", t: "nothing tried" }));
      fill(this.wrong, problem(error));
    } finally {
      this.ground.removeAttribute("aria-busy");
      this.file.value = "";
    }
  }

  async #show(said) {
    this.shown = said;
    fill(this.result, answer(said.prediction, said.name, said.bundle));
    this.#events(said.events ?? []);
    this.player?.destroy();
    this.player = null;
    const player = await makePlayer(this.host, said.upload, lanesOf(said));
    if (this.closed || this.shown !== said) player.destroy();
    else this.player = player;
  }

  #events(list) {
    if (!list.length) return void fill(this.events);
    const recent = list.slice(-100);
    fill(this.events, el("details", {}, el("summary", { t: ["n events", { n: list.length }] }),
      el("div", { class: "scroll" }, el("table", { class: "rows narrow" },
        el("thead", {}, el("tr", {}, ["from", "to"].map((key) => el("th", { scope: "col", class: "n", t: key })), el("th", { scope: "col", t: "label" }), el("th", { scope: "col", class: "n", t: "score" }))),
        el("tbody", {}, recent.map((one) => el("tr", {}, [one.start_s, one.end_s].map((time) => el("td", { class: "n" }, `${format.fixed(time, 2)} s`)),
          el("th", { scope: "row" }, one.label), el("td", { class: "n" }, format.fixed(one.score, 3)))))))));
  }
}

/** Fails where a file cannot be read any more: a browser sends such a file as a broken request. */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    throw Object.assign(new Error(t("file gone", { name: file.name })), { remedy: t("file gone remedy") });
  }
}

/** What the model says of the whole recording. */
function answer(prediction, name, bundle) {
  if (prediction.values)
    return el("div", { class: "answer" }, el("p", { class: "soft path" }, name), el("dl", { class: "facts" },
      Object.entries(prediction.values).map(([key, value]) => el("div", {}, el("dt", {}, key), el("dd", {}, format.fixed(value, 3))))));
  const given = prediction.labels ?? [prediction.label];
  const labels = bundle.labels;
  const best = Object.entries(prediction.scores).sort((a, b) => b[1] - a[1]).slice(0, MOST);
  const list = el("ul", { class: "score-bars" });
  scoreBars(list, best, labels);
  return el("div", { class: "answer" }, el("div", {}, el("p", { class: "soft path" }, name), el("p", { class: "said" }, given.join(", ") || t("no tag")),
    prediction.remark ? el("p", { class: "fine" }, prediction.remark) : null), list);
}

function lanesOf({ over_time: over, events }) {
  const lanes = [];
  if (over?.times_s?.length) lanes.push({ name: t("scores"), kind: "scores", times_s: over.times_s, labels: over.labels, values: byLabel(over) });
  if (events?.length) lanes.push({ name: t("events"), kind: "labels", items: events });
  return lanes;
}

/** Scores as one row per label: the server sends one per label, or one per time. */
function byLabel({ times_s: times, labels, scores }) {
  if (scores.length === labels.length && scores[0]?.length === times.length) return scores;
  return labels.map((_, at) => scores.map((row) => row[at]));
}
