// Elements made of data: text goes in as text, never as markup.

import { translate } from "./language.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element. Of the attributes, `on` maps events to listeners, `t` is the key of its text (or `[key, values]`),
 * `t-NAME` the key of an attribute's text; true and false switch an attribute on and off. null children are left out.
 */
export function el(name, attributes = {}, ...children) {
  return furnish(document.createElement(name), attributes, children);
}

/** An SVG element, with the same attributes. */
export function svg(name, attributes = {}, ...children) {
  return furnish(document.createElementNS(SVG, name), attributes, children);
}

function furnish(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (name === "t") translate(node, "", ...[value].flat());
    else if (name.startsWith("t-")) translate(node, name.slice(2), ...[value].flat());
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Put other children in the place of a node's own. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Say something to a screen reader, where what is seen says it without words. */
export function announce(text) {
  document.getElementById("status").textContent = text;
}

/** What went wrong and what to do, from an error of the server or of this page. */
export function problem(error) {
  return el("div", { class: "problem", role: "alert" },
    el("p", {}, el("strong", {}, error.message)), error.remedy ? el("p", {}, error.remedy) : null);
}

/** A labelled field of a form: the label's key, the control, and what it is for. */
export function field(key, control, hint = null) {
  const id = control.id || `field-${(field.count = (field.count ?? 0) + 1)}`;
  control.id = id;
  if (hint) {
    hint.id = `${id}-hint`;
    control.setAttribute("aria-describedby", hint.id);
  }
  return el("div", { class: "field" }, el("label", { for: id, t: key }), control, hint);
}

/** A function that runs once, `wait_ms` after its last call. */
export function later(wait_ms, action) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), wait_ms);
  };
}
