// Small charts as SVG, in the report's colours: bars, learning curves, a score with its interval, scores over time.

import { el, svg } from "./dom.js";
import { cell, clips, count, fixed } from "./format.js";
import { t } from "./language.js";

const ALL = 500; // bars that a list may hold

/**
 * How many clips have each value: a list of bars, the first `most` of them and the rest on demand. With `pick`, a bar is a button that
 * narrows the table to its value.
 */
export function bars(bins, { most = 8, pick = null, chosen = () => false } = {}) {
  const highest = Math.max(...bins.map((bin) => bin.clips), 1);
  const items = (part) => part.map((bin) => el("li", {}, bar(bin, highest, pick, chosen)));
  const list = el("ul", { class: "bars" }, items(bins.slice(0, most)));
  const rest = el("button", { type: "button", class: "plain quiet small", t: ["n more values", { n: count(bins.length - most) }], on: { click: () => {
    list.append(...items(bins.slice(most, ALL)));
    list.children[most].querySelector("button")?.focus();
    rest.remove();
  } } });
  return el("div", {}, list, bins.length > most ? rest : null);
}

function bar(bin, highest, pick, chosen) {
  const picture = svg("svg", { class: "bar", "aria-hidden": "true", preserveAspectRatio: "none", viewBox: "0 0 100 6" },
    svg("rect", { class: "track", width: 100, height: 6 }),
    svg("rect", { class: "fill", width: (100 * bin.clips) / highest, height: 6 }));
  const inside = [el("span", { class: "name" }, cell(bin.value) || "–"), el("span", { class: "n" }, count(bin.clips)), picture];
  if (!pick) return el("div", { class: "line" }, inside);
  return el("button", { type: "button", class: "line", "aria-pressed": String(chosen(bin)), on: { click: () => pick(bin) } }, inside);
}

/**
 * How a number is spread: columns over its range, with the range written below. Each is a button that narrows the table to its part of
 * the range: one stop of the Tab key, within which the arrow keys go from column to column. Dragging, or Shift and an arrow, takes all
 * columns from the first to the last.
 */
export function histogram(bins, name, { pick, chosen }) {
  const highest = Math.max(...bins.map((bin) => bin.clips), 1);
  const wide = 100 / Math.max(bins.length, 1);
  let [dragged, held] = [null, null]; // where a drag began; where Shift was first held
  const span = (from, to) => ({ from: bins[Math.min(from, to)].from, to: bins[Math.max(from, to)].to });
  const sweep = (to) => columns.forEach((column, at) => column.classList.toggle("swept", dragged !== null && (at - dragged) * (at - to) <= 0));
  const heard = (at) => ({
    click: () => pick(bins[at]),
    pointerdown: (event) => {
      if (event.currentTarget.hasPointerCapture(event.pointerId)) event.currentTarget.releasePointerCapture(event.pointerId); // of touch
      dragged = event.button === 0 ? at : null;
    },
    pointerenter: ({ buttons }) => {
      if (!(buttons & 1)) dragged = null; // let go elsewhere
      sweep(at);
    },
    pointerup: () => {
      if (dragged !== null && dragged !== at) pick(span(dragged, at));
      dragged = null;
      sweep(at);
    },
    keydown: (event) => {
      const next = columns[at + ({ ArrowLeft: -1, ArrowRight: 1 }[event.key] ?? 0)];
      if (event.key === "Enter" || event.key === " ") pick(bins[at]);
      else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        held = event.shiftKey ? (held ?? at) : null;
        next?.focus();
        if (next && event.shiftKey) pick(span(held, columns.indexOf(next)));
      } else return;
      event.preventDefault();
    },
  });
  const columns = bins.map((bin, at) => svg("g", { class: "column", role: "button", tabindex: at ? -1 : 0, "aria-pressed": String(chosen(bin)),
    "data-value": rangeOf(bin, bins), "aria-label": `${rangeText(bin)}: ${clips(bin.clips)}`, on: heard(at) },
  svg("title", {}, `${rangeText(bin)}: ${clips(bin.clips)}`),
  svg("rect", { class: "reach", x: at * wide, width: wide, height: 40 }),
  svg("rect", { class: "fill", x: at * wide + 0.4, width: Math.max(wide - 0.8, 0.5), y: 40 - (40 * bin.clips) / highest,
    height: (40 * bin.clips) / highest })));
  return el("figure", { class: "histogram" },
    svg("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none", role: "group", "t-aria-label": ["distribution of", { name }] }, columns),
    el("figcaption", {}, el("span", {}, cell(bins[0]?.from)), el("span", {}, cell(bins.at(-1)?.to))));
}

/** What a filter for a part of a histogram is called: `FROM..TO` without the end, and up to the last column `FROM..`. */
export const rangeOf = ({ from, to }, bins) => `${from}..${to === bins.at(-1).to ? "" : to}`;

export const rangeText = (bin) => `${cell(bin.from)}–${cell(bin.to)}`;

/** Whether one such filter lets through all that another does. */
export function covers(outer, inner) {
  const ends = (range) => range.split("..").map((end, at) => (end === "" ? (at ? Infinity : -Infinity) : Number(end)));
  const [[from, to], [first, last]] = [ends(String(outer)), ends(inner)];
  return from <= first && last <= to;
}

/** A score on a line from 0 to 1, with its interval behind it. */
export function whisker(score, pair) {
  const at = (value) => 2 + 96 * Math.min(1, Math.max(0, value));
  return svg("svg", { class: "whisker-plot", viewBox: "0 0 100 12", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { class: "track", x: 2, width: 96, y: 5, height: 2 }),
    pair ? svg("rect", { class: "interval", x: at(pair[0]), width: Math.max(0.8, at(pair[1]) - at(pair[0])), y: 2.5, height: 7 }) : null,
    svg("rect", { class: "mark", x: at(score) - 0.6, width: 1.2, y: 0.5, height: 11 }));
}

/**
 * Learning curves: `series` of {name, kind: "train" | "validation", points: [[x, y], …]}; all on one pair of axes.
 * The y axis spans what is drawn.
 */
export function curves(series, { label, x = "epoch", width = 360, height = 190 } = {}) {
  const points = series.flatMap((one) => one.points);
  const [left, right] = span(points.map(([value]) => value));
  const [low, high] = span(points.map(([, value]) => value));
  const frame = { left: 46, right: width - 8, top: 10, bottom: height - 30 };
  const place = ([a, b]) => [frame.left + ((a - left) / (right - left)) * (frame.right - frame.left),
    frame.bottom - ((b - low) / (high - low)) * (frame.bottom - frame.top)];
  const ticks = [low, (low + high) / 2, high].map((value) => {
    const y = place([left, value])[1];
    return [svg("line", { class: "grid-line", x1: frame.left, x2: frame.right, y1: y, y2: y }),
      svg("text", { class: "tick", x: frame.left - 6, y: y + 4, "text-anchor": "end" }, tickText(value, high))];
  });
  const lines = series.map((one) => svg("polyline", { class: `curve ${one.kind}${one.faint ? " faint" : ""}`,
    points: one.points.map((point) => place(point).map((number) => number.toFixed(1)).join(",")).join(" ") }));
  return svg("svg", { class: "chart", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ticks,
    svg("text", { class: "tick", x: frame.left, y: height - 10 }, cell(left)),
    svg("text", { class: "tick", x: (frame.left + frame.right) / 2, y: height - 10, "text-anchor": "middle" }, t(x)),
    svg("text", { class: "tick", x: frame.right, y: height - 10, "text-anchor": "end" }, cell(right)), lines);
}

const tickText = (value, high) => (Math.abs(high) < 0.05 ? (value === 0 ? "0" : value.toExponential(0)) : fixed(value, Math.abs(high) >= 100 ? 0 : 2));

/** From the lowest to the highest of some numbers; around them where they are all the same. */
function span(values) {
  const finite = values.filter(Number.isFinite);
  if (!finite.length) return [0, 1];
  const [low, high] = [Math.min(...finite), Math.max(...finite)];
  const around = 0.1 * Math.abs(low) || 1;
  return high > low ? [low, high] : [low - around, high + around];
}
