// The bar above the picture: play, speed, loop, zoom, and how the spectrogram looks.

import { MAP_NAMES } from "./colours.js";
import { clock, say } from "./words.js";

export const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2];
const RANGES_DB = [40, 60, 80, 100, 120];

/** An element with attributes, listeners (`on`) and children. */
export function make(tag, { on = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) element.setAttribute(name, value);
  for (const [name, heard] of Object.entries(on)) element.addEventListener(name, heard);
  element.append(...children);
  return element;
}

/** The bar of a player; `update` shows its state. */
export class Controls {
  constructor(player, language) {
    const word = (key, values) => say(language, key, values);
    this.word = word;
    const button = (key, text, click) => make("button", { type: "button", class: "ep-button", "aria-label": word(key), title: word(key), on: { click } }, text);
    this.play = button("play", "▶", () => player.toggle());
    this.play.classList.add("ep-play");
    this.time = make("span", { class: "ep-time" });
    this.speed = this.#choice("speed", SPEEDS.map((speed) => [speed, `${speed}×`]), 1, (value) => player.rate(Number(value)));
    this.loop = button("loop", "⟲", () => player.toggleLoop());
    this.element = make("div", { class: "ep-bar" }, this.play, this.time, this.speed, this.loop,
      make("span", { class: "ep-group", role: "group" }, button("zoom out", "−", () => player.zoomBy(0.5)),
        button("whole", "↔", () => player.zoom(0)), button("zoom in", "+", () => player.zoomBy(2))),
      make("span", { class: "ep-space" }), ...this.#looks(player));
  }

  #looks(player) {
    const look = (name) => (value) => player.look({ [name]: name === "db" ? Number(value) : value });
    return [
      this.#choice("frequencies", player.scales.map((scale) => [scale, this.word(scale)]), player.scales[0], look("scale")),
      this.#choice("range", RANGES_DB.map((db) => [db, `${db} dB`]), 80, look("db")),
      this.#choice("colours", MAP_NAMES.map((map) => [map, map === "grey" ? this.word("grey") : map]), "viridis", look("map")),
    ];
  }

  #choice(key, options, chosen, change) {
    const select = make("select", { class: "ep-choice", "aria-label": this.word(key), title: this.word(key), on: { change: () => change(select.value) } },
      ...options.map(([value, text]) => make("option", { value }, text)));
    select.value = String(chosen);
    return select;
  }

  update({ playing, time_s, duration_s, rate, looping }) {
    const key = playing ? "pause" : "play";
    if (this.play.dataset.key !== key) {
      Object.assign(this.play, { textContent: playing ? "❚❚" : "▶", title: this.word(key) });
      this.play.setAttribute("aria-label", this.word(key));
      this.play.dataset.key = key;
    }
    const text = `${clock(time_s)} / ${clock(duration_s)}`;
    if (this.time.textContent !== text) this.time.textContent = text;
    if (Number(this.speed.value) !== rate) this.speed.value = String(rate);
    this.loop.setAttribute("aria-pressed", String(looping));
  }
}
