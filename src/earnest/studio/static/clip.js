// One recording: the player with its lanes, and labels that are drawn, moved, renamed, deleted, saved and exported.

import { ask, part } from "./api.js";
import { el, fill, problem } from "./dom.js";
import * as format from "./format.js";
import { LabelTable } from "./labels.js";
import { makePlayer } from "./playing.js";

const HIDDEN = ["id", "audio", "licence", "corpus"]; // not among the facts

/** Show a clip in a host element. The answer's `close` ends the player and keeps what was drawn. */
export async function openClip(host, table, id) {
  const view = new ClipView(host, table, id);
  await view.open();
  return view;
}

class ClipView {
  constructor(host, table, id) {
    Object.assign(this, { host, id });
    this.address = `/api/clips/${part(table)}/${part(id)}`;
    this.close = () => this.#close();
    this.redraw = () => this.#play();
  }

  async open() {
    this.host.setAttribute("aria-busy", "true");
    try {
      const [clip, labels] = await Promise.all([ask(this.address), ask(`${this.address}/labels`)]);
      this.clip = clip;
      this.labels = new LabelTable(this.address, labels.lanes, {
        changed: () => this.player?.setLanes(this.#lanes()), play: (start, end) => this.#hear(start, end), now: () => this.#selected() });
      this.stage = el("div", { class: "player-host" });
      fill(this.host, this.#head(), this.stage, this.labels.element);
      await this.#play();
      document.addEventListener("language", this.redraw);
    } catch (error) {
      fill(this.host, problem(error));
    }
    this.host.removeAttribute("aria-busy");
  }

  #head() {
    const { clip } = this;
    const facts = Object.entries(clip.labels ?? {}).filter(([key, value]) => !HIDDEN.includes(key) && value !== null && value !== "" && !["start_s", "end_s"].includes(key));
    return el("header", { class: "clip-head" }, el("h2", { class: "path" }, clip.id),
      el("dl", { class: "facts small" }, facts.map(([key, value]) => el("div", {}, el("dt", {}, key), el("dd", {}, format.cell(value)))),
        el("div", {}, el("dt", { t: "length" }), el("dd", {}, format.duration(clip.duration_s))),
        el("div", {}, el("dt", { t: "sample rate" }), el("dd", {}, `${format.count(clip.sample_rate)} Hz`)),
        clip.channels > 1 ? el("div", {}, el("dt", { t: "channels" }), el("dd", {}, String(clip.channels))) : null));
  }

  #lanes() {
    const reference = (this.clip.lanes ?? []).map((lane) => ({ ...lane, editable: false }));
    return [...reference, ...this.labels.lanes.map((lane) => ({ ...lane, kind: "labels", editable: true }))];
  }

  async #play() {
    this.player?.destroy();
    this.player = await makePlayer(this.stage, this.clip, this.#lanes(), { editable: true });
    this.player.addEventListener("lanes", ({ detail }) => this.labels.take(detail.lanes ?? detail));
    this.player.addEventListener("loop", ({ detail }) => (this.region = detail?.start_s === undefined || detail?.start_s === null ? null : detail));
    this.player.addEventListener("timeupdate", ({ detail }) => (this.time_s = detail.time_s ?? detail.time));
    this.player.addEventListener("seek", ({ detail }) => (this.time_s = detail.time_s ?? detail.time));
  }

  #hear(start, end) {
    this.player.loop(start, end);
    this.player.seek(start);
    this.player.play();
  }

  /** Where a new label lies: the looped region, else half a second (or what is left) from the playhead on. */
  #selected() {
    if (this.region) return [this.region.start_s, this.region.end_s];
    const length = this.clip.duration_s;
    const start = Math.min(this.time_s ?? 0, Math.max(0, length - 0.1));
    return [start, Math.min(length, start + Math.min(0.5, length))];
  }

  #close() {
    document.removeEventListener("language", this.redraw);
    this.labels?.close();
    this.player?.destroy();
  }
}
