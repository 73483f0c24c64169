// The labels that people draw: the same lanes as on the player, as a table that can be edited by keyboard alone.

import { send } from "./api.js";
import { announce, el, fill, problem } from "./dom.js";
import * as format from "./format.js";
import { t, translate } from "./language.js";

const EXPORTS = [["rttm", "RTTM"], ["TextGrid", "TextGrid"], ["txt", "Audacity"], ["csv", "CSV"]];
const FIRST = "labels"; // the lane that is there before any was drawn

/** `changed` hears edits made here, `play(start, end)` plays a label, `now()` says where a new one lies. */
export class LabelTable {
  constructor(address, lanes, { changed, play, now }) {
    Object.assign(this, { address, changed, play, now });
    this.lanes = lanes.length ? lanes.map(({ name, items }) => ({ name, items: [...items] })) : [{ name: FIRST, items: [] }];
    this.dirty = false;
    this.rows = el("tbody", {});
    this.lane = el("select", { "t-aria-label": "lane" });
    this.state = el("span", { class: "fine", role: "status" });
    this.save_button = el("button", { type: "button", class: "plain", t: "save", on: { click: () => this.save() } });
    this.element = el("section", { class: "labels", "t-aria-label": "labels" },
      el("div", { class: "actions" }, el("h3", { t: "labels" }), el("button", { type: "button", class: "plain", t: "add label", on: { click: () => this.#add() } }),
        el("label", { class: "soft inline" }, el("span", { t: "lane" }), this.lane),
        el("button", { type: "button", class: "plain quiet", t: "new lane", on: { click: () => this.#newLane() } }), el("span", { class: "space" }),
        this.state, this.save_button, el("span", { class: "soft", t: "export" }), EXPORTS.map(([suffix, name]) => this.#exporter(suffix, name))),
      el("p", { class: "hint", t: "labels hint" }),
      el("div", { class: "scroll tall" }, el("table", { class: "rows label-table" },
        el("thead", {}, el("tr", {}, ["lane", "from", "to", "label"].map((key) => el("th", { scope: "col", t: key })), el("th", {}, ""))), this.rows)));
    this.leave = (event) => this.dirty && event.preventDefault();
    addEventListener("beforeunload", this.leave);
    this.#draw();
  }

  /** Lanes as they were changed on the player. */
  take(lanes) {
    const own = lanes.filter((lane) => lane.kind !== "scores" && lane.editable !== false);
    const now = own.map(({ name, items }) => ({ name, items: items.map(plain) }));
    if (JSON.stringify(now) === JSON.stringify(this.lanes)) return;
    this.lanes = now;
    this.#touched();
    this.#draw();
  }

  /** Write the labels to the server's annotations. */
  async save() {
    if (!this.dirty) return;
    this.dirty = false;
    translate(this.state, "", "saving");
    try {
      await send("PUT", `${this.address}/labels`, { lanes: this.lanes });
      translate(this.state, "", "saved");
    } catch (error) {
      this.dirty = true;
      translate(this.state, "", "unsaved");
      this.element.prepend(problem(error));
      announce(error.message);
    }
    this.save_button.disabled = !this.dirty;
  }

  /** Leave the clip; what was not saved yet is saved. */
  close() {
    removeEventListener("beforeunload", this.leave);
    return this.save();
  }

  #touched() {
    this.dirty = true;
    this.save_button.disabled = false;
    translate(this.state, "", "unsaved");
  }

  #edited() {
    this.#touched();
    this.changed();
  }

  #draw() {
    const chosen = this.lane.value;
    fill(this.lane, this.lanes.map(({ name }) => el("option", { value: name }, name)));
    if (this.lanes.some(({ name }) => name === chosen)) this.lane.value = chosen;
    this.save_button.disabled = !this.dirty;
    const all = this.lanes.flatMap((lane) => lane.items.map((item) => [lane, item])).sort((a, b) => a[1].start_s - b[1].start_s);
    fill(this.rows, all.length ? all.map(([lane, item]) => this.#row(lane, item)) : el("tr", {}, el("td", { colspan: 5, class: "note", t: "no labels" })));
  }

  #row(lane, item) {
    const time = (key, word) => el("input", { type: "number", step: "0.01", min: 0, value: item[key].toFixed(3), "t-aria-label": word, on: { change: (event) => {
      const value = Number(event.target.value);
      const right = Number.isFinite(value) && value >= 0 && (key === "start_s" ? value < item.end_s : value > item.start_s);
      if (right) item[key] = value;
      event.target.value = item[key].toFixed(3);
      if (right) this.#edited();
      name();
    } } });
    const words = el("input", { type: "text", value: item.label, "t-aria-label": "label", on: { change: () => {
      item.label = words.value.trim();
      this.#edited();
      name();
    } } });
    const remove = () => {
      lane.items.splice(lane.items.indexOf(item), 1);
      announce(t("deleted", { label: item.label }));
      this.#edited();
      this.#draw();
      this.element.querySelector("button")?.focus();
    };
    const buttons = { play: () => this.play(item.start_s, item.end_s), delete: remove };
    const made = Object.entries(buttons).map(([key, click]) => el("button", { type: "button", class: "plain quiet", t: key, on: { click } }));
    const name = () => Object.keys(buttons).forEach((key, at) =>
      translate(made[at], "aria-label", `${key} label`, { label: item.label, from: format.fixed(item.start_s, 2) }));
    name();
    return el("tr", {}, el("td", { class: "note" }, lane.name), el("td", {}, time("start_s", "from")), el("td", {}, time("end_s", "to")), el("td", {}, words),
      el("td", { class: "nowrap" }, made));
  }

  #add() {
    const [start_s, end_s] = this.now();
    const lane = this.lanes.find(({ name }) => name === this.lane.value) ?? this.lanes[0];
    const item = { start_s: round(start_s), end_s: round(end_s), label: "" };
    lane.items.push(item);
    this.#edited();
    this.#draw();
    const inputs = [...this.rows.querySelectorAll("input[type=text]")];
    inputs.find((input) => !input.value)?.focus();
  }

  #newLane() {
    let n = this.lanes.length + 1;
    while (this.lanes.some(({ name }) => name === `${FIRST} ${n}`)) n++;
    const name = `${FIRST} ${n}`;
    this.lanes.push({ name, items: [] });
    this.#edited();
    this.#draw();
    this.lane.value = name;
  }

  /** A link to the labels as a file of another program; what is not saved is saved before. */
  #exporter(suffix, name) {
    const link = el("a", { href: `${this.address}/labels.${suffix}`, download: "", on: { click: async (event) => {
      if (!this.dirty) return;
      event.preventDefault();
      await this.save();
      if (!this.dirty) link.click();
    } } }, name);
    return link;
  }
}

const round = (seconds) => Math.round(seconds * 1000) / 1000;
const plain = ({ start_s, end_s, label }) => ({ start_s: round(start_s), end_s: round(end_s), label: label ?? "" });
