// Recordings: a table of clips that is sorted, filtered, grouped and searched; a clip is seen, heard and labelled.

import { ask, part, query } from "./api.js";
import { openAudit } from "./audit.js";
import { bars, covers, histogram, rangeOf, rangeText } from "./charts.js";
import { openClip } from "./clip.js";
import { announce, el, field, fill, later, problem } from "./dom.js";
import * as format from "./format.js";
import { Grid } from "./grid.js";
import { t, translate } from "./language.js";

const PAGE = 200; // rows of the first answer
const TYPING_MS = 200; // a search begins this long after the last letter
const UNSEEN = ["audio", "start_s", "end_s", "corpus", "licence"]; // columns not shown unless asked for
const NOT_SPREAD = ["id", "audio", "start_s", "end_s", "corpus", "licence", "text"]; // columns without a distribution
const SPREAD = 6; // distributions at the side
let kept = null; // what was chosen when the page was left: {table, order}

/** Open the page; the address may name a table and a clip of it. */
export function open(page, rest) {
  const view = new Recordings(page, rest);
  return { update: (next) => view.go(next), close: () => view.close() };
}

class Recordings {
  constructor(page, rest) {
    this.order = kept?.order ?? fresh();
    this.#controls();
    this.grid = new Grid({ fetchPage: (offset, limit) => this.#rows(offset, limit), open: (row) => this.#open(row.id),
      sort: (column) => this.#sort(column), narrow: (value) => this.#filter(this.order.group, value), fail: (error) => this.#fail(error) });
    this.facets = el("aside", { class: "facets", "t-aria-label": "distributions" });
    this.wrong = el("div", {});
    this.audit = el("div", { class: "audit" });
    this.clip = el("section", { class: "clip", "t-aria-label": "clip" }, nothingOpen());
    fill(page, el("div", { class: "toolbar" }, this.tools), this.chips, this.wrong,
      el("div", { class: "with-facets" }, el("details", { class: "facets-box", open: innerWidth > 900 },
        el("summary", { t: "distributions" }), this.facets), this.grid.element), this.clip, this.audit);
    this.page = page;
    this.redraw = () => this.grid.again();
    document.addEventListener("language", this.redraw);
    this.begun = this.#begin(rest);
  }

  close() {
    kept = { table: this.table, order: this.order };
    document.removeEventListener("language", this.redraw);
    this.grid.close();
    this.opened?.close();
    this.audited?.();
  }

  async go([table, clip]) {
    await this.begun;
    if (table && table !== this.table) await this.#choose(table);
    if (clip && clip !== this.opened?.id) this.#open(clip);
  }

  #controls() {
    this.tables = el("select", { on: { change: () => this.#visit(this.tables.value) } });
    const search = later(TYPING_MS, () => {
      this.order.search = this.search.value.trim();
      this.#reload();
    });
    this.search = el("input", { type: "search", "t-placeholder": "search hint", on: { input: search } });
    this.search.value = this.order.search;
    this.group = el("select", { on: { change: () => {
      this.order.group = this.group.value || null;
      this.#reload();
    } } });
    this.columns = el("div", { class: "menu" });
    this.total = el("p", { class: "total", role: "status" }, " ");
    this.chips = el("div", { class: "chips", role: "group", "t-aria-label": "filters" });
    this.tools = [field("table", this.tables), field("search", this.search), field("group by", this.group),
      el("details", { class: "columns" }, el("summary", { t: "columns" }), this.columns),
      el("button", { type: "button", class: "plain", t: "audit", on: { click: () => this.#audit() } }), this.total];
  }

  async #begin([table, clip]) {
    let tables;
    try {
      tables = await ask("/api/tables");
    } catch (error) {
      fill(this.wrong, problem(error));
      return;
    }
    if (!tables.length) {
      fill(this.page, el("div", { class: "empty" }, el("p", { class: "big", t: "no tables" }), el("p", { t: "no tables remedy" }),
        el("pre", { class: "command" }, el("code", {}, "earnest demo")), el("p", {}, el("a", { class: "primary", href: "#/runs/new", t: "start a run" }))));
      return;
    }
    const kinds = ["run", "file", "folder", "corpus"];
    fill(this.tables, kinds.map((kind) => [kind, tables.filter((one) => one.kind === kind)]).filter(([, list]) => list.length)
      .map(([kind, list]) => el("optgroup", { "t-label": `kind ${kind}` }, list.map((one) =>
        el("option", { value: one.id }, one.clips === null || one.clips === undefined ? one.title : `${one.title} (${format.count(one.clips)})`)))));
    const wanted = [table, kept?.table, tables[0].id].find((id) => tables.some((one) => one.id === id));
    await this.#choose(wanted, wanted === kept?.table ? this.order : fresh());
    if (clip) this.#open(clip);
  }

  #visit(table) {
    location.hash = `#/recordings/${part(table)}`;
  }

  async #choose(table, order = fresh()) {
    this.table = table;
    this.order = order;
    this.spread = null;
    this.known = null;
    this.tables.value = table;
    this.search.value = order.search;
    this.opened?.close();
    this.opened = null;
    fill(this.clip, nothingOpen());
    this.audited?.();
    fill(this.audit);
    fill(this.facets, el("p", { class: "fine", t: "loading" }));
    await this.#reload();
  }

  #rows(offset, limit) {
    const { sort, descending, search, filters, group } = this.order;
    return ask(query(`/api/tables/${part(this.table)}/rows`, { sort, descending: descending ? 1 : 0, search, group, offset, limit,
      filter: filters.map(({ column, value }) => `${column}:${value ?? ""}`) })); // an empty value finds empty cells
  }

  async #reload() {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    this.grid.element.setAttribute("aria-busy", "true");
    try {
      const answer = await this.#rows(0, PAGE);
      if (turn !== this.turn) return;
      fill(this.wrong);
      this.#know(answer);
      this.grid.show(answer, this.order);
      if (this.opened) this.grid.mark(this.opened.id);
      const all = this.order.filters.length || this.order.search ? "clips found" : "clips in all";
      translate(this.total, "", ...(answer.total ? [all, { n: answer.total, text: format.count(answer.total) }] : ["nothing found"]));
    } catch (error) {
      if (turn === this.turn) this.#fail(error);
    }
    this.grid.element.removeAttribute("aria-busy");
    this.#chips();
    if (!this.spread) this.#distributions(turn);
  }

  #fail(error) {
    fill(this.wrong, problem(error));
  }

  /** The columns of a table, once: which can group, and which are shown. */
  #know({ columns, rows }) {
    if (this.known) return;
    this.known = columns;
    const empty = (name) => rows.every((row) => (row[name] ?? "") === "");
    this.order.hidden ??= new Set(columns.map(({ name }) => name).filter((name) => UNSEEN.includes(name) || empty(name)));
    fill(this.group, el("option", { value: "", t: "nothing" }), columns.filter(({ name, kind }) => kind === "text" && !["id", "audio"].includes(name))
      .map(({ name }) => el("option", { value: name }, name)));
    this.group.value = this.order.group ?? "";
    fill(this.columns, columns.map(({ name }) => {
      const box = el("input", { type: "checkbox", checked: !this.order.hidden.has(name), on: { change: () => {
        this.order.hidden[box.checked ? "delete" : "add"](name);
        this.#reload();
      } } });
      return el("label", {}, box, name);
    }));
  }

  #sort(column) {
    const again = this.order.sort === column;
    this.order.descending = again && !this.order.descending;
    this.order.sort = again && !this.order.descending ? null : column;
    this.#reload();
    announce(this.order.sort ? t(this.order.descending ? "sorted down" : "sorted up", { column }) : t("unsorted"));
    this.grid.head.querySelectorAll("button")[[...this.known].filter(({ name }) => !this.order.hidden.has(name)).findIndex(({ name }) => name === column)]?.focus();
  }

  /** Show only the clips with this value, in the place of another one of its column; a second time, all again. */
  #filter(column, value, text = value ?? "–") {
    const again = this.#isChosen(column, value);
    this.order.filters = this.order.filters.filter((one) => one.column !== column);
    if (!again) this.order.filters.push({ column, value, text });
    this.#reload();
    this.#facetStates();
  }

  #chips() {
    fill(this.chips, this.order.filters.map(({ column, value, text }) => el("button", { type: "button", class: "chip", "t-aria-label": ["remove filter", { column, value: text }],
      on: { click: () => this.#filter(column, value) } }, `${column}: ${text}`, el("span", { "aria-hidden": "true" }, " ×"))));
  }

  async #distributions() {
    const columns = this.known?.filter(({ name, kind }) => kind !== "list" && !NOT_SPREAD.includes(name)).slice(0, SPREAD) ?? [];
    this.spread = columns;
    const table = this.table;
    fill(this.facets, columns.length ? [] : el("p", { class: "fine", t: "no distributions" }));
    for (const { name } of columns) {
      const found = await ask(query(`/api/tables/${part(table)}/distribution`, { column: name })).catch(() => null);
      if (table !== this.table || !found) return;
      if (found.bins.some(({ value, from }) => (value ?? from ?? "") !== "")) this.facets.append(this.#facet(name, found));
    }
  }

  #facet(name, { kind, bins }) {
    const inside = kind === "number"
      ? histogram(bins, name, { pick: (bin) => this.#filter(name, rangeOf(bin, bins), rangeText(bin)), chosen: (bin) => this.#isWithin(name, rangeOf(bin, bins)) })
      : bars(bins, { pick: (bin) => this.#filter(name, bin.value), chosen: (bin) => this.#isChosen(name, bin.value) });
    return el("section", { class: "facet", "data-column": name }, el("h3", {}, name), inside);
  }

  #isChosen = (column, value) => this.order.filters.some((one) => one.column === column && String(one.value) === String(value));

  #isWithin = (column, range) => this.order.filters.some((one) => one.column === column && covers(one.value, range));

  #facetStates() {
    for (const facet of this.facets.querySelectorAll(".facet"))
      for (const button of facet.querySelectorAll("[aria-pressed]"))
        button.setAttribute("aria-pressed", String(button.dataset.value === undefined
          ? this.#isChosen(facet.dataset.column, button.querySelector(".name").textContent)
          : this.#isWithin(facet.dataset.column, button.dataset.value)));
  }

  #open(id) {
    this.opened?.close();
    this.grid.mark(id);
    history.replaceState(null, "", `#/recordings/${part(this.table)}/${part(id)}`);
    this.opened = openClip(this.clip, this.table, id);
  }

  #audit() {
    this.audited?.();
    this.audited = openAudit(this.audit, this.table, (id) => this.#open(id));
    this.audit.scrollIntoView({ block: "start", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }
}

const fresh = () => ({ sort: null, descending: false, search: "", filters: [], group: null, hidden: null });

const nothingOpen = () => el("p", { class: "empty", t: "nothing open" });
