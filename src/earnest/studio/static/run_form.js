// A run is started from a form whose fields, defaults, choices and bounds come from the recipe's own schema.

import { ask, part, send } from "./api.js";
import { el, field, fill, problem } from "./dom.js";
import { known, t } from "./language.js";

const SECTIONS = [
  { key: "form data", fields: ["corpus", "pattern", "target", "split.name", "split.group", "split.folds", "sample_rate", "clips.window_s", "clips.short"] },
  { key: "form model", fields: ["task", "frontend", "model"] },
  { key: "form training", fields: ["training.epochs", "training.batch_size", "training.learning_rate", "training.optimizer",
    "training.schedule", "training.weight_decay", "training.patience", "training.members"] },
];
const CHOSEN = { corpus: "corpus", task: "task", frontend: "frontend", model: "model" }; // field → its list among the choices

/** Open the form; the answer closes it. */
export function openForm(page) {
  const host = el("div", { "aria-busy": "true" });
  let again = () => {};
  const speak = () => again();
  document.addEventListener("language", speak);
  fill(page, el("p", { class: "back" }, el("a", { href: "#/runs", t: "all runs" })), el("h2", { t: "start a run" }), host);
  Promise.all([ask("/api/recipes"), ask("/api/schema")]).then(([recipes, schema]) => {
    fill(host, form(recipes, schema, (action) => (again = action)));
  }).catch((error) => fill(host, problem(error))).finally(() => host.removeAttribute("aria-busy"));
  return () => document.removeEventListener("language", speak);
}

/** The form itself; `onLanguage` takes what must be said again after a switch. */
function form(recipes, schema, onLanguage) {
  const controls = new Map(); // dotted key → control
  const yaml = el("details", { hidden: true }, el("summary", { t: "the recipe" }), el("pre", { tabindex: "0" }));
  const about = el("p", { class: "hint" });
  const recipe = el("select", { name: "recipe" }, el("option", { value: "", t: "no recipe" }), groups(recipes));
  const sections = SECTIONS.map(({ key, fields }) => section(key, fields, schema, controls));
  const rest = el("details", {}, el("summary", { t: "all training numbers" }),
    el("div", { class: "fields" }, others(schema).map((key) => control(key, schema, controls))));
  sections.at(-1).append(rest);
  const extra = el("textarea", { name: "extra", rows: 3, spellcheck: "false", placeholder: "augment=[spec_augment]\nseeds=[0, 1, 2]" });
  const twin = el("input", { type: "checkbox", role: "switch", name: "twin", id: "twin" });
  const wrong = el("div", {});
  const start = el("button", { class: "primary", t: "start" });
  const again = () => chooseRecipe(recipe.value, recipes, controls, yaml, about);
  recipe.addEventListener("change", again);
  again();
  onLanguage(again);
  return el("form", { class: "form", novalidate: true, on: { submit: async (event) => {
    event.preventDefault();
    start.disabled = true;
    fill(wrong);
    try {
      const overrides = gather(controls, extra.value, Boolean(recipe.value));
      const started = await send("POST", "/api/runs", { recipe: recipe.value || null, overrides, twin: twin.checked });
      location.hash = `#/runs/${part(started.id)}`;
    } catch (error) {
      fill(wrong, problem(error));
      start.disabled = false;
    }
  } } },
  el("fieldset", {}, el("legend", { t: "recipe" }), field("begin with", recipe, about), yaml), sections,
  el("fieldset", {}, el("legend", { t: "more" }), field("advanced keys", extra, el("p", { class: "hint", t: "advanced hint" })),
    el("div", { class: "switch" }, twin, el("label", { for: "twin", t: "twin" }), el("p", { class: "hint", t: "twin hint" }))),
  wrong, el("div", { class: "actions" }, start));
}

function groups(recipes) {
  const group = (key, list) => (list.length ? el("optgroup", { "t-label": key }, list.map((one) => el("option", { value: one.name }, one.name))) : null);
  return [group("own recipes", recipes.filter((one) => !one.shipped)), group("shipped recipes", recipes.filter((one) => one.shipped))];
}

/** Fields that are left empty show what would run: what the recipe says, else the default. */
async function chooseRecipe(name, recipes, controls, yaml, about) {
  about.textContent = "";
  yaml.hidden = true;
  hint(controls, {});
  if (!name) return;
  about.textContent = recipes.find((one) => one.name === name)?.summary ?? "";
  try {
    const found = await ask(`/api/recipes/${part(name)}`);
    yaml.querySelector("pre").textContent = found.yaml;
    yaml.hidden = false;
    hint(controls, found.values);
  } catch (error) {
    about.textContent = error.message;
  }
}

function hint(controls, values) {
  for (const [key, one] of controls) {
    const said = values[key] === undefined ? null : t("in the recipe", { value: values[key] });
    if (one.placeholder !== undefined) one.placeholder = said ?? one.dataset.default ?? "";
    const first = one.options?.[0];
    if (first?.value === "") first.textContent = said ?? blank(one, key);
  }
}

const blank = (select, key) => (select.dataset.default ? t("default value", { value: select.dataset.default }) : t(key in CHOSEN ? "choose" : "none"));

function section(key, fields, schema, controls) {
  return el("fieldset", {}, el("legend", { t: key }), el("div", { class: "fields" }, fields.map((name) => control(name, schema, controls))));
}

/** The fields of the training section that no other part of the form shows. */
function others(schema) {
  const shown = new Set(SECTIONS.flatMap(({ fields }) => fields));
  return Object.keys(resolve(schema, "training").properties).map((name) => `training.${name}`)
    .filter((key) => !shown.has(key) && ["number", "integer", "boolean", "choice"].includes(kindOf(property(schema, key))));
}

/** Follow `$ref` to the section that a top-level key holds. */
function resolve(schema, key) {
  const found = key === "" ? schema : schema.properties[key];
  const ref = found.$ref ?? found.allOf?.[0]?.$ref ?? found.anyOf?.find((one) => one.$ref)?.$ref;
  return ref ? schema.$defs[ref.split("/").at(-1)] : found;
}

/** What the schema says of a dotted key, with `null` alternatives left out. */
function property(schema, key) {
  const [first, second] = key.split(".");
  const found = second ? resolve(schema, first).properties[second] : schema.properties[first];
  const real = found?.anyOf?.find((one) => one.type !== "null");
  return { ...found, ...real };
}

function kindOf(found) {
  if (found.enum) return "choice";
  return found.type ?? "text";
}

function control(key, schema, controls) {
  const found = property(schema, key);
  const made = CHOSEN[key] ? picker(key, schema) : kindOf(found) === "choice" ? choice(found.enum, found.default)
    : kindOf(found) === "boolean" ? choice(["true", "false"], found.default) : input(found);
  made.name = key;
  controls.set(key, made);
  const text = known(`about ${key}`) ? el("p", { class: "hint", t: `about ${key}` }) : found.description ? el("p", { class: "hint" }, found.description) : null;
  const label = known(`field ${key}`) ? `field ${key}` : key.split(".").at(-1).replaceAll("_", " ");
  const list = made.list_of_choices;
  return [field(label, made, text), list ?? null].reduce((box, node) => (node ? (box.append(node), box) : box), el("div", { class: `of-${key.replace(".", "-")}` }));
}

/** A choice of a part by name; a corpus may also be a folder or a list, so it is written with suggestions. */
function picker(key, schema) {
  const names = schema.choices?.[CHOSEN[key]] ?? [];
  const standard = schema.properties[key].default;
  if (key !== "corpus") return choice(names, standard?.name ?? standard);
  const made = el("input", { type: "text", list: "corpora", spellcheck: "false", autocomplete: "off", "data-default": "fsdd, clips.csv, folder:words …" });
  made.list_of_choices = el("datalist", { id: "corpora" }, names.map((name) => el("option", { value: name })));
  return made;
}

function choice(values, standard) {
  return el("select", standard === undefined || standard === null ? {} : { "data-default": String(standard) },
    el("option", { value: "" }), values.map((value) => el("option", { value }, String(value))));
}

function input(found) {
  const numeric = ["number", "integer"].includes(found.type);
  const standard = found.default === undefined || found.default === null ? "" : String(found.default);
  return el("input", { type: numeric ? "number" : "text", step: found.type === "integer" ? 1 : "any", spellcheck: "false",
    min: found.minimum ?? found.exclusiveMinimum, max: found.maximum ?? found.exclusiveMaximum, "data-default": standard });
}

/** The overrides: what differs from the recipe, or from the defaults. */
function gather(controls, extra, hasRecipe) {
  const overrides = [];
  for (const [key, one] of controls) {
    const value = one.value.trim();
    if (value) overrides.push(`${key}=${key === "split.group" ? `[${value}]` : value}`);
    else if (one.validity.badInput) throw new Error(t("not a number", { key }));
  }
  for (const line of extra.split("\n").map((text) => text.trim()).filter(Boolean)) {
    if (!line.includes("=")) throw Object.assign(new Error(t("not an override", { line })), { remedy: t("override example") });
    overrides.push(line);
  }
  for (const key of hasRecipe ? [] : ["corpus", "model"])
    if (!overrides.some((one) => one.startsWith(`${key}=`) || one.startsWith(`${key}.name=`)))
      throw Object.assign(new Error(t(`no ${key}`)), { remedy: t("no recipe remedy") });
  return overrides;
}
