// A table of any length: only the rows that are seen exist, and they are asked for by pages of 200.

import { el, fill } from "./dom.js";
import { cell, clips } from "./format.js";

const ROW = 34; // px, as .grid .row in style.css
const PAGE = 200; // rows of one request
const KEPT = 40; // pages that are remembered
const SPARE = 8; // rows drawn beyond the visible ones

/**
 * The rows of a table, in their order, with keyboard and screen reader.
 *
 * `fetchPage(offset, limit)` resolves to the server's answer; `open(row)` hears a click or Enter, `sort(column)` a
 * click on a heading, `narrow(value)` one on a group.
 */
export class Grid {
  constructor({ fetchPage, open, sort, narrow, fail }) {
    Object.assign(this, { fetchPage, open, sort, narrow, fail });
    this.head = el("div", { class: "head", role: "row", "aria-rowindex": 1 });
    this.body = el("div", { class: "body", role: "rowgroup" });
    this.element = el("div", { class: "grid", role: "grid", tabindex: "0", "t-aria-label": "grid name", "aria-readonly": "true",
      on: { scroll: () => this.#soon(), keydown: (event) => this.#key(event) } },
      el("div", { role: "rowgroup", class: "heads" }, this.head), this.body);
    this.pool = [];
    this.resizes = new ResizeObserver(() => this.#soon());
    this.resizes.observe(this.element);
    this.show({ columns: [], total: 0, groups: null, rows: [] }, {});
  }

  /** Begin anew with the first page of an answer; `order` is {sort, descending, hidden}. */
  show(answer, order) {
    this.version = (this.version ?? 0) + 1;
    this.order = order;
    this.columns = answer.columns.filter((column) => !order.hidden?.has(column.name));
    this.total = answer.total;
    this.pages = new Map(answer.rows.length ? [[0, answer.rows]] : []);
    this.#group(answer.groups);
    this.active = this.wanted = -1;
    this.element.removeAttribute("aria-activedescendant");
    this.element.scrollTop = 0;
    this.element.setAttribute("aria-rowcount", this.length + 1);
    this.element.setAttribute("aria-colcount", this.columns.length);
    this.element.style.setProperty("--columns", this.columns.map(width).join(" ") || "1fr");
    this.element.style.setProperty("--least", `${this.columns.reduce((sum, column) => sum + least(column), 0)}rem`);
    this.body.style.height = `${this.length * ROW}px`;
    fill(this.head, this.columns.map((column) => this.#heading(column)));
    this.pool.forEach((row) => row.remove());
    this.pool = [];
    this.#draw();
  }

  /** Write all rows again, in another language. */
  again() {
    for (const row of this.pool) row.dataset.state = "";
    this.#draw();
  }

  /** Mark the row of an opened clip. */
  mark(id) {
    this.opened = id;
    this.#draw();
  }

  close() {
    this.resizes.disconnect();
  }

  #group(groups) {
    this.groups = [];
    let place = 0;
    for (const { value, clips: n } of groups ?? []) {
      this.groups.push({ value, n, place });
      place += n + 1;
    }
    this.length = this.total + this.groups.length;
  }

  /** What stands at a place: a group's heading, or the number of a row. */
  #at(place) {
    if (!this.groups.length) return { row: place };
    let low = 0;
    for (let high = this.groups.length - 1; low < high;) {
      const middle = Math.ceil((low + high) / 2);
      if (this.groups[middle].place <= place) low = middle;
      else high = middle - 1;
    }
    const group = this.groups[low];
    return group.place === place ? { group } : { row: place - low - 1 };
  }

  #heading({ name, kind }) {
    const sorted = this.order.sort === name ? (this.order.descending ? "descending" : "ascending") : "none";
    return el("div", { role: "columnheader", class: kind === "number" ? "cell n" : "cell", "aria-sort": sorted },
      el("button", { type: "button", on: { click: () => this.sort(name) } }, name,
        el("span", { class: "arrow", "aria-hidden": "true" }, { ascending: "↑", descending: "↓", none: "" }[sorted])));
  }

  #soon() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.#draw();
    });
  }

  #draw() {
    const height = this.element.clientHeight || 400;
    const first = Math.max(0, Math.floor(this.element.scrollTop / ROW) - SPARE);
    const last = Math.min(this.length, first + Math.ceil(height / ROW) + 2 * SPARE);
    while (this.pool.length < last - first) this.pool.push(this.#blank());
    const size = this.pool.length;
    const used = new Set();
    for (let place = first; place < last; place++) {
      const row = this.pool[place % size];
      used.add(row);
      this.#write(row, place);
    }
    for (const row of this.pool) row.hidden = !used.has(row);
  }

  #blank() {
    const row = el("div", { class: "row", role: "row", on: { click: () => this.#choose(Number(row.dataset.place)) } },
      this.columns.map(({ kind }) => el("div", { class: kind === "number" ? "cell n" : "cell", role: "gridcell" })));
    row.id = `row-${this.version}-${this.pool.length}`;
    this.body.append(row);
    return row;
  }

  #write(row, place) {
    const { group, row: number } = this.#at(place);
    const record = group ? null : this.#record(number);
    const state = `${place} ${group ? "group" : record ? "row" : "wait"}`;
    row.classList.toggle("active", place === this.active);
    row.setAttribute("aria-selected", String(Boolean(record) && record.id === this.opened));
    if (row.dataset.state === state) return;
    Object.assign(row.dataset, { state, place });
    row.style.transform = `translateY(${place * ROW}px)`;
    row.setAttribute("aria-rowindex", place + 2);
    row.classList.toggle("group", Boolean(group));
    row.classList.toggle("wait", !group && !record);
    [...row.children].forEach((node, at) => {
      const text = group ? (at === 0 ? `${cell(group.value) || "–"}` : at === 1 ? clips(group.n) : "") : cell(record?.[this.columns[at].name]);
      node.textContent = text;
      node.title = text.length > 18 ? text : "";
    });
  }

  /** A row that is here, or nothing and a request for its page. */
  #record(number) {
    const page = Math.floor(number / PAGE);
    const rows = this.pages.get(page);
    if (Array.isArray(rows)) return rows[number - page * PAGE];
    if (!rows) this.#fetch(page);
    return null;
  }

  async #fetch(page) {
    const version = this.version;
    this.pages.set(page, "asked");
    try {
      const answer = await this.fetchPage(page * PAGE, PAGE);
      if (version !== this.version) return;
      this.pages.set(page, answer.rows);
      if (Math.floor(this.wanted / PAGE) === page) this.open(answer.rows[this.wanted - page * PAGE]);
      for (const old of this.pages.keys()) {
        if (this.pages.size <= KEPT) break;
        if (old !== page) this.pages.delete(old);
      }
      this.#draw();
    } catch (error) {
      if (version === this.version) this.fail(error);
    }
  }

  #key(event) {
    if (event.target !== this.element) return;
    const step = Math.max(1, Math.floor(this.element.clientHeight / ROW) - 2);
    const moves = { ArrowDown: this.active + 1, ArrowUp: this.active - 1, PageDown: this.active + step,
      PageUp: this.active - step, Home: 0, End: this.length - 1 };
    if (event.key in moves) this.#move(Math.min(this.length - 1, Math.max(0, moves[event.key])));
    else if (event.key === "Enter" || event.key === " ") this.#choose(this.active);
    else return;
    event.preventDefault();
  }

  #move(place) {
    this.active = place;
    const top = place * ROW;
    const room = this.element.clientHeight - this.head.offsetHeight;
    if (top < this.element.scrollTop) this.element.scrollTop = top;
    else if (top + ROW > this.element.scrollTop + room) this.element.scrollTop = top + ROW - room;
    this.#draw();
    const row = this.pool.find((one) => !one.hidden && Number(one.dataset.place) === place);
    if (row) this.element.setAttribute("aria-activedescendant", row.id);
  }

  #choose(place) {
    if (place < 0 || place >= this.length) return;
    this.active = place;
    const { group, row } = this.#at(place);
    if (group) this.narrow(group.value);
    else {
      const record = this.#record(row);
      this.wanted = record ? -1 : row; // opened when its page is here
      if (record) this.open(record);
    }
    this.#draw();
  }
}

const least = ({ kind, name }) => (kind === "number" ? 6.5 : name === "id" ? 13 : kind === "list" ? 10 : 8.5);
const width = (column) => (column.kind === "number" ? "6.5rem" : `minmax(${least(column)}rem, ${column.name === "id" ? 1.8 : 1}fr)`);
