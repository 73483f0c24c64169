// Lanes under the spectrogram: labels (which can be drawn, moved, resized, renamed, deleted) and scores over time.

import { drawLabels, drawScores, labelHeight, scoreHeight } from "./lane_pictures.js";
import { say } from "./words.js";
import { prepare } from "./view.js";

const GRIP = 5; // pixels around an edge that resize
const LEAST_S = 0.01; // length of a label
const STEP_S = 0.01; // by keyboard
const CLICK = 4; // pixels that a hand may tremble in a click

let numbers = 0;

/** All lanes in their host. `player` is heard for `seek`, `now()`, `region()`, `announce`, `edited()`, `redraw`. */
export class Lanes {
  constructor(host, view, colours, player) {
    Object.assign(this, { host, view, colours, player, rows: [] });
  }

  set(lanes) {
    const focus = this.rows.findIndex((row) => row.body === document.activeElement);
    const chosen = this.rows.map((row) => row.chosen);
    for (const row of this.rows) row.remove();
    const { language, editable } = this.player;
    const make = (lane) => (lane.kind === "scores" ? new ScoreRow(lane, this, language) : new LabelRow(lane, this, language, editable && lane.editable !== false));
    this.rows = lanes.map(make);
    this.host.append(...this.rows.flatMap((row) => [row.name, row.body]));
    this.rows.forEach((row, at) => row.restore?.(chosen[at]));
    if (focus >= 0) this.rows[focus]?.body.focus();
  }

  /** Copies of the lanes as they are now. */
  get() {
    return this.rows.map((row) => row.lane_now());
  }

  /** The label chosen in a lane, the one with the focus first. */
  chosen() {
    const rows = [...this.rows].sort((a, b) => (b.body === document.activeElement) - (a.body === document.activeElement));
    return rows.find((row) => row.chosen)?.chosen ?? null;
  }

  draw(ink) {
    for (const row of this.rows) row.draw(ink);
  }
}

class Row {
  constructor(lane, lanes) {
    Object.assign(this, { lane, lanes, view: lanes.view, colours: lanes.colours });
    this.name = Object.assign(document.createElement("div"), { className: "ep-name", textContent: lane.name, title: lane.name });
    this.body = Object.assign(document.createElement("div"), { className: "ep-lane" });
    this.canvas = document.createElement("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.body.append(this.canvas);
    this.body.dataset.lane = lane.name;
  }

  size(height) {
    this.height = height;
    this.body.style.height = `${height}px`;
  }

  remove() {
    this.name.remove();
    this.body.remove();
  }
}

class ScoreRow extends Row {
  constructor(lane, lanes, language) {
    super(lane, lanes);
    this.size(scoreHeight(lane));
    this.body.classList.add("ep-scores");
    this.body.setAttribute("role", "img");
    this.body.setAttribute("aria-label", say(language, "scores", { name: lane.name, labels: lane.labels.join(", ") }));
    this.legend = document.createElement("ul");
    for (const label of lane.labels) {
      const line = Object.assign(document.createElement("li"), { textContent: label });
      line.style.setProperty("--ep-colour", lanes.colours.of(label));
      this.legend.append(line);
    }
    this.name.append(this.legend);
  }

  lane_now() {
    return this.lane;
  }

  draw(ink) {
    drawScores(prepare(this.canvas, this.view.width, this.height), this.view, this.lane, this.colours, ink, this.height);
  }
}

class LabelRow extends Row {
  constructor(lane, lanes, language, editable) {
    super(lane, lanes);
    Object.assign(this, { language, editable, chosen: null, grip: null });
    this.items = lane.items.map((item) => ({ ...item }));
    this.option = document.createElement("div");
    Object.assign(this.option, { id: `ep-option-${++numbers}`, className: "ep-hidden" });
    this.option.setAttribute("role", "option");
    this.body.append(this.option);
    Object.assign(this.body, { tabIndex: 0 });
    this.body.setAttribute("role", "listbox");
    this.body.classList.toggle("ep-editable", editable);
    this.#arrange();
    const hear = (name, heard) => this.body.addEventListener(name, heard);
    hear("keydown", (event) => this.#key(event));
    hear("pointerdown", (event) => this.#down(event));
    hear("pointermove", (event) => this.#move(event));
    hear("pointerup", (event) => this.#up(event));
    hear("pointercancel", () => (this.grip = null));
    hear("dblclick", (event) => this.editable && this.#rename(this.#hit(event)?.item));
  }

  lane_now() {
    return { ...this.lane, items: this.items.map(({ row, ...item }) => ({ ...item })) };
  }

  /** Choose the label that was chosen before the lanes were set again. */
  restore(item) {
    if (!item) return;
    const same = this.items.find((one) => one.start_s === item.start_s && one.end_s === item.end_s && one.label === item.label);
    if (same) this.#choose(same, false);
  }

  draw(ink) {
    const pen = prepare(this.canvas, this.view.width, this.height);
    drawLabels(pen, this.view, this.items, this.colours, ink, this.chosen);
  }

  #arrange() {
    this.items.sort((a, b) => a.start_s - b.start_s || a.end_s - b.end_s);
    const ends = [];
    for (const item of this.items) {
      const free = ends.findIndex((end) => end <= item.start_s + 1e-9);
      item.row = free >= 0 ? free : ends.length < 4 ? ends.length : 3;
      ends[item.row] = Math.max(item.end_s, free >= 0 ? 0 : ends[item.row] ?? 0);
    }
    this.size(labelHeight(ends.length));
    this.body.setAttribute("aria-label", say(this.language, "lane", { name: this.lane.name, count: this.items.length }));
  }

  #choose(item, tell = true) {
    this.chosen = item;
    this.body.toggleAttribute("aria-activedescendant", false);
    if (item) {
      const values = { label: item.label || say(this.language, "unnamed"), start: item.start_s.toFixed(2), end: item.end_s.toFixed(2),
        place: this.items.indexOf(item) + 1, count: this.items.length };
      this.option.textContent = say(this.language, "item", values);
      this.option.setAttribute("aria-selected", "true");
      this.body.setAttribute("aria-activedescendant", this.option.id);
      if (tell) this.lanes.player.announce(this.option.textContent);
    }
    this.lanes.player.redraw();
  }

  #edited() {
    this.#arrange();
    this.lanes.player.edited();
    this.lanes.player.redraw();
  }

  // Pointer: press on an edge resizes, on a label moves, beside labels draws a new one; without editing it only seeks.

  #hit(event) {
    const box = this.body.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const row = Math.floor(y / (this.height / Math.max(1, ...this.items.map((item) => item.row + 1))));
    let nearest = null;
    for (const item of this.items) {
      if (item.row !== row) continue;
      const [left, right] = [this.view.x(item.start_s), this.view.x(item.end_s)];
      if (x < left - GRIP || x > right + GRIP) continue;
      const wide = right - left > 4 * GRIP;
      const part = wide && x < left + GRIP ? "start_s" : wide && x > right - GRIP ? "end_s" : x >= left && x <= right ? "all" : x < left ? "start_s" : "end_s";
      if (!nearest || part === "all" || item === this.chosen) nearest = { item, part, x };
    }
    return nearest;
  }

  #down(event) {
    if (event.button !== 0 || event.target.tagName === "INPUT") return;
    event.stopPropagation();
    const x = event.clientX - this.body.getBoundingClientRect().left;
    const hit = this.#hit(event);
    this.#choose(hit?.item ?? null, false);
    this.grip = { x, time_s: this.view.time(x), hit, before: hit && { ...hit.item }, moved: false };
    this.body.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const x = event.clientX - this.body.getBoundingClientRect().left;
    if (!this.grip) {
      if (this.editable) this.body.dataset.grip = this.#hit(event)?.part ?? "none";
      return;
    }
    const { grip } = this;
    if (!this.editable || (!grip.moved && Math.abs(x - grip.x) < CLICK)) return;
    grip.moved = true;
    const time_s = this.view.time(x);
    if (!grip.hit) this.#draw_new(grip, time_s);
    else if (grip.hit.part === "all") this.#shift(grip.hit.item, grip.before, time_s - grip.time_s);
    else this.#stretch(grip.hit.item, grip.hit.part, time_s);
    this.lanes.player.redraw();
  }

  #draw_new(grip, time_s) {
    grip.item ??= this.#add(grip.time_s, grip.time_s);
    grip.item.start_s = round(Math.min(grip.time_s, time_s));
    grip.item.end_s = round(Math.max(grip.time_s, time_s));
  }

  #up(event) {
    const { grip } = this;
    this.grip = null;
    if (!grip) return;
    if (!grip.moved) return this.lanes.player.seek(grip.time_s);
    if (grip.item && grip.item.end_s - grip.item.start_s < LEAST_S) this.items.splice(this.items.indexOf(grip.item), 1);
    else if (grip.item) this.#rename(grip.item);
    this.#edited();
  }

  #add(start_s, end_s) {
    const item = { start_s: round(start_s), end_s: round(end_s), label: "", row: 0 };
    this.items.push(item);
    this.chosen = item;
    return item;
  }

  #shift(item, { start_s, end_s }, by_s) {
    const bounded = Math.min(this.view.duration_s - end_s, Math.max(-start_s, by_s));
    Object.assign(item, { start_s: round(start_s + bounded), end_s: round(end_s + bounded) });
  }

  #stretch(item, edge, time_s) {
    if (edge === "start_s") item.start_s = round(Math.max(0, Math.min(time_s, item.end_s - LEAST_S)));
    else item.end_s = round(Math.min(this.view.duration_s, Math.max(time_s, item.start_s + LEAST_S)));
  }

  // Keyboard.

  #key(event) {
    if (event.target !== this.body || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = { ArrowDown: () => this.#step(1), ArrowUp: () => this.#step(-1), ...(this.editable ? this.#edits() : {}) }[event.key];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  #edits() {
    const changes = (change) => () => {
      if (!this.chosen) return;
      change(this.chosen);
      this.#edited();
      this.#choose(this.chosen);
    };
    const draw = () => {
      const [start_s, end_s] = this.lanes.player.region();
      const item = this.#add(start_s, end_s);
      this.#edited();
      this.#rename(item);
    };
    const remove = () => this.chosen && this.#delete(this.chosen);
    return {
      n: draw, N: draw, Insert: draw, Delete: remove, Backspace: remove,
      Enter: () => this.#rename(this.chosen), F2: () => this.#rename(this.chosen),
      ",": changes((item) => this.#shift(item, item, -STEP_S)),
      ".": changes((item) => this.#shift(item, item, STEP_S)),
      "<": changes((item) => this.#stretch(item, "end_s", item.end_s - STEP_S)),
      ">": changes((item) => this.#stretch(item, "end_s", item.end_s + STEP_S)),
    };
  }

  #step(by) {
    if (!this.items.length) return;
    const now_s = this.lanes.player.now();
    const from = this.chosen ? this.items.indexOf(this.chosen) + by : by > 0 ? this.items.findIndex((item) => item.start_s >= now_s) : this.items.findLastIndex((item) => item.start_s <= now_s);
    const item = this.items[Math.min(this.items.length - 1, Math.max(0, from))];
    this.#choose(item);
    this.lanes.player.seek(item.start_s);
  }

  #delete(item) {
    const at = this.items.indexOf(item);
    this.items.splice(at, 1);
    this.lanes.player.announce(say(this.language, "deleted", { label: item.label || say(this.language, "unnamed") }));
    this.#edited();
    this.#choose(this.items[Math.min(at, this.items.length - 1)] ?? null, false);
  }

  #rename(item) {
    if (!item) return;
    this.input?.blur();
    this.#choose(item, false);
    const input = Object.assign(document.createElement("input"), { className: "ep-rename", value: item.label });
    input.setAttribute("aria-label", say(this.language, "name of label"));
    const left = Math.min(Math.max(0, this.view.x(item.start_s)), Math.max(0, this.view.width - 120));
    Object.assign(input.style, { left: `${left}px`, width: `${Math.max(120, this.view.x(item.end_s) - this.view.x(item.start_s))}px` });
    let done = false;
    const finish = (take, focus) => {
      if (done) return;
      done = true;
      this.input = null;
      const label = input.value.trim();
      input.remove();
      if (focus) this.body.focus();
      if (!take || label === item.label) return this.lanes.player.redraw();
      item.label = label;
      this.#edited();
      this.#choose(item);
    };
    input.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter" || event.key === "Escape") finish(event.key === "Enter", true);
    });
    input.addEventListener("blur", () => finish(true, false));
    this.input = input;
    this.body.append(input);
    input.focus();
    input.select();
  }
}

const round = (seconds) => Math.round(seconds * 1000) / 1000;
