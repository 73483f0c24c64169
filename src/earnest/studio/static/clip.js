// One recording: the player with its lanes, and labels that are drawn, moved, renamed, deleted, saved and exported.

import { ask, part } from "./api.js";
import { el, fill, problem } from "./dom.js";
import * as format from "./format.js";
import { LabelTable } from "./labels.js";
import { makePlayer } from "./playing.js";

const HIDDEN = ["id", "audio", "start_s", "end_s", "licence", "corpus"]; // not among the facts

/** Show a clip in a host element. The answer's `close` ends the player and saves what was drawn. */
export function openClip(host, table, id) {
  const view = new ClipView(host, table, id);
  view.open();
  return view;
}

class ClipView {
  constructor(host, table, id) {
    Object.assign(this, { host, id });
    this.address = `/api/clips/${part(table)}/${part(id)}`;
    this.redraw = () => this.#play();
  }

  async open() {
    this.host.setAttribute("aria-busy", "true");
    try {
      const [clip, labels] = await Promise.all([ask(this.address), ask(`${this.address}/labels`)]);
      if (this.closed) return;
      this.clip = clip;
      this.labels = new LabelTable(this.address, labels.lanes, {
        changed: () => this.player?.setLanes(this.#lanes()), play: (start, end) => this.#hear(start, end), now: () => this.player?.region() ?? [0, clip.duration_s] });
      this.stage = el("div", { class: "player-host" });
      fill(this.host, this.#head(), this.stage, this.labels.element);
      document.addEventListener("language", this.redraw);
      await this.#play();
    } catch (error) {
      if (!this.closed) fill(this.host, problem(error));
    }
    if (!this.closed) this.host.removeAttribute("aria-busy");
  }

  close() {
    this.closed = true;
    document.removeEventListener("language", this.redraw);
    this.labels?.close();
    this.player?.destroy();
  }

  #head() {
    const { clip } = this;
    const facts = Object.entries(clip.labels ?? {}).filter(([key, value]) => !HIDDEN.includes(key) && (value ?? "") !== "");
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
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const player = await makePlayer(this.stage, this.clip, this.#lanes(), { editable: true });
    if (this.closed || turn !== this.turn) {
      player.destroy();
      return;
    }
    this.player = player;
    player.addEventListener("lanes", ({ detail }) => this.labels.take(detail.lanes));
  }

  #hear(start, end) {
    this.player.loop(start, end);
    this.player.seek(start);
    this.player.play();
  }
}
