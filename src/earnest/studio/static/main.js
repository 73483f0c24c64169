// The studio: four pages behind one address, chosen by what follows the #.

import { el, fill } from "./dom.js";
import { apply, language, switchTo, t, translate } from "./language.js";
import * as models from "./models.js";
import * as recordings from "./recordings.js";
import * as runs from "./runs.js";
import * as trial from "./try.js";

const PAGES = { recordings, runs, try: trial, models };
const main = document.getElementById("main");
let shown = null; // {name, close, update}

/** The page's name and the rest of the address: "#/runs/a%20b" → ["runs", ["a b"]]. */
function address() {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent);
  return name in PAGES ? [name, rest] : ["recordings", []];
}

function route(event) {
  const [name, rest] = address();
  if (shown?.name === name && shown.update) shown.update(rest);
  else open(name, rest, Boolean(event));
  for (const link of document.querySelectorAll("#pages a")) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}

function open(name, rest, byUser) {
  shown?.close?.();
  const title = el("h1", { t: `page ${name}`, tabindex: "-1" });
  const body = el("div", { class: `page ${name}` });
  fill(main, title, body);
  shown = { name, ...PAGES[name].open(body, rest, title) };
  translate(document.querySelector("title"), "", "title", { get page() { return t(`page ${name}`); } });
  if (byUser) title.focus({ preventScroll: true });
  scrollTo(0, 0);
}

function languageSwitch() {
  const buttons = [["en", "EN", "English"], ["zh", "中文", "中文"]].map(([code, text, name]) =>
    el("button", { type: "button", lang: code, title: name, "aria-pressed": String(language() === code),
      on: { click: () => choose(code) } }, text));
  const choose = (code) => {
    switchTo(code);
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.lang === code)));
  };
  return buttons;
}

fill(document.getElementById("pages"), el("ul", {}, Object.keys(PAGES).map((name) =>
  el("li", {}, el("a", { href: `#/${name}`, "data-page": name, t: `page ${name}` })))));
fill(document.getElementById("language"), languageSwitch());
translate(document.getElementById("language"), "aria-label", "language");
translate(document.getElementById("pages"), "aria-label", "pages");
translate(document.getElementById("skip"), "", "skip");
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address belongs to the pages
  main.focus();
});
addEventListener("hashchange", route);
apply();
route();
