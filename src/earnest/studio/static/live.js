// What a model says of a microphone while it listens: bars of the newest scores, and lines of those before.

import { LabelColours } from "/player/colours.js";

import { part } from "./api.js";
import { el, fill, svg } from "./dom.js";
import { fixed } from "./format.js";
import { t } from "./language.js";

const SHOWN_S = 20; // how much of the past the lines show
const MOST = 5; // labels with a bar: those that scored highest of late, in their own order
const LATE_S = 3;
const LONGEST = 2 ** 19; // bytes of one frame; the server takes up to 2 ** 20

/** A connection to a bundle's ear: `feed` samples, `end` for the last events. */
export class Ear {
  constructor(bundle, rate, { scores, event, fail }) {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}/api/bundles/${part(bundle)}/live?rate=${Math.round(rate)}`);
    this.socket.binaryType = "arraybuffer";
    this.waiting = [];
    this.closed = new Promise((resolve) => this.socket.addEventListener("close", resolve));
    this.socket.addEventListener("open", () => {
      for (const message of this.waiting) this.socket.send(message);
      this.waiting = [];
    });
    this.socket.addEventListener("message", ({ data }) => {
      const said = JSON.parse(data);
      if (said.error) {
        this.failed = true;
        fail(Object.assign(new Error(said.error), { remedy: said.remedy }));
      } else if (said.event) event(said.event);
      else if (said.scores) scores(said);
    });
    this.socket.addEventListener("close", ({ code, reason }) => {
      if (code !== 1000 && code !== 1005 && !this.failed && !this.ended) fail(Object.assign(new Error(reason || t("ear closed")), { remedy: t("ear closed remedy") }));
    });
  }

  /** Samples, Int16Array, to be heard. */
  feed(samples) {
    const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
    for (let at = 0; at < bytes.length; at += LONGEST) this.#send(bytes.slice(at, at + LONGEST));
  }

  /** No more samples; resolves when the last events are here. */
  async end() {
    this.ended = true;
    this.#send(JSON.stringify({ end: true }));
    await Promise.race([this.closed, new Promise((resolve) => setTimeout(resolve, 3000))]);
    this.socket.close();
  }

  #send(message) {
    if (this.socket.readyState === WebSocket.CONNECTING) this.waiting.push(message);
    else if (this.socket.readyState === WebSocket.OPEN) this.socket.send(message);
  }
}

/** The picture of live scores; give it each answer by `add`. */
export class LiveScores {
  constructor() {
    this.past = [];
    this.answer = el("p", { class: "live-label" }, "…");
    this.bars = el("ul", { class: "score-bars" });
    this.lines = svg("svg", { class: "live-lines", viewBox: "0 0 600 120", preserveAspectRatio: "none", role: "img", "t-aria-label": "scores over time" });
    this.times = [el("span", {}, "0 s"), el("span", {}, `${SHOWN_S} s`)];
    this.element = el("div", { class: "live-scores" }, el("div", {}, this.answer, this.bars),
      el("figure", {}, this.lines, el("figcaption", { class: "fine" }, this.times)));
  }

  /** One answer: the time in seconds, and label → score. */
  add({ time_s: time, scores }) {
    this.past.push([time, scores]);
    while (this.past[0][0] < time - SHOWN_S) this.past.shift();
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.#draw();
    });
  }

  #draw() {
    const [now, scores] = this.past.at(-1);
    const labels = Object.keys(scores);
    const late = this.past.filter(([time]) => time > now - LATE_S);
    const highest = new Map(labels.map((label) => [label, Math.max(...late.map(([, one]) => one[label] ?? 0))]));
    const heard = [...labels].sort((a, b) => highest.get(b) - highest.get(a)).slice(0, MOST);
    const best = labels.filter((label) => heard.includes(label));
    this.answer.textContent = labels.reduce((a, b) => (scores[b] > scores[a] ? b : a));
    scoreBars(this.bars, best.map((label) => [label, scores[label]]), labels);
    const from = Math.max(0, now - SHOWN_S);
    const colours = coloursOf(labels);
    const lines = best.map((label) => svg("polyline", { class: "line", style: `color: ${colours.of(label)}`,
      points: this.past.map(([time, one]) => `${(((time - from) / SHOWN_S) * 600).toFixed(1)},${(118 - 116 * (one[label] ?? 0)).toFixed(1)}`).join(" ") }));
    [from, from + SHOWN_S].forEach((time, at) => (this.times[at].textContent = `${fixed(time, 0)} s`));
    fill(this.lines, [2, 60, 118].map((y) => svg("line", { class: "grid-line", x1: 0, x2: 600, y1: y, y2: y })), lines);
  }
}

/** The colours that the player gives these labels, met in this order. */
function coloursOf(labels) {
  const colours = new LabelColours();
  labels.forEach((label) => colours.of(label));
  return colours;
}

/** Labels with a bar for each score from 0 to 1, in the colour that its line has. */
export function scoreBars(list, pairs, labels) {
  const colours = coloursOf(labels);
  fill(list, pairs.map(([label, score]) => el("li", {}, el("span", { class: "name" }, label),
    el("span", { class: "n" }, `${fixed(100 * score, 1)} %`),
    svg("svg", { class: "bar", viewBox: "0 0 100 6", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: "track", width: 100, height: 6 }),
      svg("rect", { class: "fill", style: `color: ${colours.of(label)}`, width: 100 * Math.min(1, Math.max(0, score)), height: 6 })))));
}
