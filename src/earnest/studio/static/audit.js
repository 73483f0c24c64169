// The audit of a table: what training and test would share, and copies of the same audio side by side.

import { ask, part, reach } from "./api.js";
import { announce, el, fill, problem } from "./dom.js";
import * as format from "./format.js";
import { known, t } from "./language.js";
import { makePlayer } from "./playing.js";

const AGAIN_MS = 800; // how often a running audit is asked whether it is done
const PAIRS = 200; // of copies that are listed

/** Begin (or read) a table's audit in a host element; `openClip(id)` shows one of its clips. The answer ends it. */
export function openAudit(host, table, openClip) {
  const view = new AuditView(host, table, openClip);
  view.read();
  return () => view.close();
}

class AuditView {
  constructor(host, table, openClip) {
    Object.assign(this, { host, table, openClip, players: [] });
    this.side = el("div", { class: "side-by-side" });
    fill(host, el("h2", { t: "audit", tabindex: "-1" }), el("p", { class: "empty", t: "auditing" }), el("progress", { "t-aria-label": "auditing" }));
    this.redraw = () => this.found && this.#draw();
    document.addEventListener("language", this.redraw);
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    document.removeEventListener("language", this.redraw);
    this.#silence();
    fill(this.host);
  }

  async read() {
    try {
      const answer = await reach(`/api/tables/${part(this.table)}/audit`);
      if (this.closed) return;
      if (answer.status === 202) {
        this.timer = setTimeout(() => this.read(), AGAIN_MS);
        return;
      }
      this.found = await answer.json();
      if (!this.closed) this.#draw();
    } catch (error) {
      if (!this.closed) fill(this.host, el("h2", { t: "audit" }), problem(error));
    }
  }

  #draw() {
    const { found } = this;
    const leaks = Object.entries(found.leaks ?? {}).filter(([, n]) => n);
    const copies = found.duplicates ?? [];
    const verdict = leaks.length ? leaks.map(([kind, n]) => t("leak", { n: format.count(n), kind })).join(" ")
      : copies.length ? t("copies found", { n: copies.length, text: format.count(copies.length) }) : t("nothing shared");
    announce(verdict);
    const facts = [["clips", found.clips], ["speakers", found.speakers || null], ["sources", found.sources || null], ["copies", copies.length], ["rejected files", found.rejected?.length ?? 0]];
    fill(this.host, el("h2", { t: "audit" }),
      el("p", { class: leaks.length || copies.length ? "say void" : "say" }, verdict),
      el("dl", { class: "facts" }, facts.map(([key, value]) => el("div", {}, el("dt", { t: key }), el("dd", {}, value === null ? "–" : format.count(value ?? 0))))),
      found.protocol ? el("p", { class: "fine" }, found.protocol) : null,
      ...(found.notes ?? []).map((note) => el("p", { class: "fine" }, note)),
      copies.length ? [el("h3", { t: "copies" }), this.#pairs(copies), this.side] : null,
      found.rejected?.length ? [el("h3", { t: "rejected files" }), rejected(found.rejected)] : null);
  }

  #pairs(copies) {
    const details = new Map((this.found.rows ?? []).filter((row) => row.ids?.length === 2).map((row) => [row.ids.join("\n"), row]));
    return el("div", { class: "scroll tall", tabindex: "0", role: "region", "t-aria-label": "copies" }, el("table", { class: "rows aligned" },
      el("thead", {}, el("tr", {}, ["", "clip", "copy", "kind", "shared"].map((key) => el("th", { scope: "col", ...(key ? { t: key } : {}), ...(key === "shared" ? { class: "n" } : {}) })))),
      el("tbody", {}, copies.slice(0, PAIRS).map(([a, b, kind]) => {
        const shared = details.get([a, b].join("\n"))?.shared_s;
        return el("tr", {}, el("td", {}, el("button", { type: "button", class: "plain quiet", t: "compare", "t-aria-label": ["hear both", { a, b }], on: { click: () => this.#compare(a, b) } })),
          [a, b].map((id) => el("td", {}, el("button", { type: "button", class: "as-link path", on: { click: () => this.openClip(id) } }, id))),
          el("td", {}, copyKind(kind)), el("td", { class: "n" }, shared ? format.duration(shared) : ""));
      }))));
  }

  #silence() {
    for (const player of this.players) player.destroy();
    this.players = [];
  }

  async #compare(...ids) {
    this.#silence();
    const hosts = ids.map((id) => el("div", { class: "one-side" }, el("p", { class: "path soft" }, id), el("div", { class: "player-host" })));
    fill(this.side, hosts);
    try {
      const clips = await Promise.all(ids.map((id) => ask(`/api/clips/${part(this.table)}/${part(id)}`)));
      this.players = await Promise.all(clips.map((clip, at) => makePlayer(hosts[at].lastChild, clip, clip.lanes ?? [])));
      this.side.scrollIntoView({ block: "nearest" });
    } catch (error) {
      fill(this.side, problem(error));
    }
  }
}

const copyKind = (kind) => el("span", { class: "tag void", ...(known(`copy ${kind}`) ? { t: `copy ${kind}` } : {}) }, known(`copy ${kind}`) ? null : kind);

function rejected(list) {
  return el("div", { class: "scroll tall" }, el("table", { class: "rows" }, el("tbody", {}, list.slice(0, PAIRS).map((one) =>
    el("tr", {}, el("th", { scope: "row", class: "path" }, one.path ?? String(one.id)), el("td", {}, one.reason, one.remedy ? el("span", { class: "fine" }, one.remedy) : null))))));
}
