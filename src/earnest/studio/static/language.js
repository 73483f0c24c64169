// English and Chinese. Every text remembers its key, so that a switch changes words and nothing else on the page.

import { MESSAGES } from "./messages.js";

const REMEMBERED = "earnest-language";
const LANGUAGES = ["en", "zh"];
const texts = new WeakMap();

let current = choose();

function choose() {
  const kept = recall();
  if (LANGUAGES.includes(kept)) return kept;
  return (navigator.language ?? "en").toLowerCase().startsWith("zh") ? "zh" : "en";
}

function recall() {
  try {
    return localStorage.getItem(REMEMBERED);
  } catch {
    return null; // storage is switched off: the browser's own language decides
  }
}

/** The language the page speaks: "en" or "zh". */
export function language() {
  return current;
}

/** The text of a key, with `{name}` replaced by values. A message may be a function of its values. */
export function t(key, values = {}) {
  const pair = MESSAGES[key];
  if (!pair) return key;
  const message = pair[LANGUAGES.indexOf(current)];
  if (typeof message === "function") return message(values);
  return message.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Whether there is a text of this key. */
export function known(key) {
  return key in MESSAGES;
}

/** Give a node (its text, or an attribute of it) the text of a key, now and after each switch. */
export function translate(node, attribute, key, values = {}) {
  const kept = texts.get(node) ?? new Map();
  texts.set(node, kept.set(attribute, [key, values]));
  node.setAttribute("data-t", "");
  say(node, attribute, key, values);
}

/** A node's texts are no longer those of keys. */
export function silence(node) {
  texts.delete(node);
}

function say(node, attribute, key, values) {
  if (attribute) node.setAttribute(attribute, t(key, values));
  else node.textContent = t(key, values);
}

/** Speak another language; the document hears `language`. */
export function switchTo(chosen) {
  current = chosen;
  try {
    localStorage.setItem(REMEMBERED, chosen);
  } catch {
    // storage is switched off: the choice lasts as long as the page
  }
  apply();
  document.dispatchEvent(new CustomEvent("language", { detail: chosen }));
}

/** Say all texts of the page again. */
export function apply() {
  document.documentElement.lang = current === "zh" ? "zh-Hans" : "en";
  for (const node of document.querySelectorAll("[data-t]"))
    for (const [attribute, [key, values]] of texts.get(node) ?? []) say(node, attribute, key, values);
}
