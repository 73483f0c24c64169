// Numbers as people read them, in the page's language.

import { language, t } from "./language.js";

const PLAIN = new Set(["ccc", "pearson", "rmse", "mae", "log_loss"]); // never in per cent, as in the report

const number = (digits) => new Intl.NumberFormat(language() === "zh" ? "zh-CN" : "en-GB", {
  minimumFractionDigits: digits, maximumFractionDigits: digits,
});

/** A count, with separators. */
export const count = (value) => number(0).format(value);

/** A number with that many decimals. */
export const fixed = (value, digits) => number(digits).format(value).replace("-", "−");

/** Whether a metric is a share that is said in percent. */
export const isShare = (metric) => !PLAIN.has(metric);

/** A score: 93.4 % for shares, three decimals for others, a dash for none. */
export function score(value, metric) {
  if (value === null || value === undefined) return "–";
  return isShare(metric) ? `${fixed(100 * value, 1)} %` : fixed(value, 3);
}

/** An interval in the unit of its score, without the unit. */
export function interval(pair, metric) {
  if (!pair || pair.some((end) => end === null || end === undefined)) return "";
  const [low, high] = pair.map((end) => (isShare(metric) ? fixed(100 * end, 1) : fixed(end, 3)));
  return `${low}–${high}`;
}

/** The name of a metric: UAR, accuracy, macro F1. */
export function metricName(metric) {
  const words = String(metric ?? "").replaceAll("_", " ");
  return words.replace(/\b(uar|f1|map|auc|eer|der|wer|cer|rmse|mae|ccc|lwlrap)\b/gi, (word) => word.toUpperCase());
}

/** Bytes as 812 B, 93.1 kB, 4.2 MB. */
export function bytes(value) {
  if (value < 1000) return `${count(value)} B`;
  return value < 1e6 ? `${fixed(value / 1e3, 1)} kB` : `${fixed(value / 1e6, 1)} MB`;
}

/** How long something took or lasts: 0.84 s, 12.3 s, 4 min 05 s, 2 h 10 min. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${fixed(seconds, 2)} s`;
  if (seconds < 60) return `${fixed(seconds, 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
}

/** A day and time, short; the text itself where it is none. */
export function date(text) {
  const moment = typeof text === "number" ? new Date(1000 * text) : new Date(text ?? NaN);
  if (Number.isNaN(moment.getTime())) return text ?? "";
  const locale = language() === "zh" ? "zh-CN" : "en-GB";
  return moment.toLocaleString(locale, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}

/** A value of a table's cell: lists joined, numbers short, nothing as nothing. */
export function cell(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(cell).join(", ");
  if (typeof value === "number") return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** "1 clip", "3,000 clips". */
export const clips = (n) => t("n clips", { n, text: count(n) });
