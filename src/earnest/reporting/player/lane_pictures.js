// How lanes are drawn: labels as blocks with their names, scores as lines or, where there are many, as rows of heat.

const LABEL_ROW = 24;
const SCORE_LINES = 84;
const HEAT_ROW = 12;
const MOST_LINES = 6;
const DASHES = [[], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [12, 3]]; // lines differ in more than colour

export const labelHeight = (rows) => LABEL_ROW * Math.max(1, rows) + 4;

export const scoreHeight = ({ labels }) => (labels.length > MOST_LINES ? Math.max(SCORE_LINES, HEAT_ROW * labels.length) : SCORE_LINES);

/** Blocks of the labels that are seen; `ink` holds the theme's colours. */
export function drawLabels(pen, view, items, colours, ink, chosen) {
  pen.font = ink.font;
  pen.textBaseline = "middle";
  for (const item of items) {
    const colour = colours.of(item.label);
    if (item.end_s < view.start_s || item.start_s > view.end_s) continue;
    const [left, right, top] = [view.x(item.start_s), view.x(item.end_s), 2 + item.row * LABEL_ROW];
    const wide = Math.max(1.5, right - left - 1);
    pen.globalAlpha = 0.28;
    pen.fillStyle = colour;
    pen.fillRect(left, top + 1, wide, LABEL_ROW - 3);
    pen.globalAlpha = 1;
    pen.fillRect(left, top + LABEL_ROW - 5, wide, 3);
    if (item === chosen) {
      pen.strokeStyle = ink.accent;
      pen.lineWidth = 2;
      pen.strokeRect(left + 1, top + 1, Math.max(1, wide - 1), LABEL_ROW - 3);
    }
    if (wide > 14 && item.label) write(pen, item.label, Math.max(2, left + 5), top + LABEL_ROW / 2 - 1, right - 5, ink.text);
  }
}

function write(pen, text, x, y, end, colour) {
  const room = end - x;
  if (room < 8) return;
  let shown = text;
  if (pen.measureText(shown).width > room) {
    while (shown && pen.measureText(`${shown}…`).width > room) shown = shown.slice(0, -1);
    if (!shown) return;
    shown += "…";
  }
  pen.fillStyle = colour;
  pen.fillText(shown, x, y);
}

/** Scores between 0 and 1 over time, as lines from below to above. */
export function drawScores(pen, view, lane, colours, ink, height) {
  const { times_s } = lane;
  const first = Math.max(0, lower(times_s, view.start_s) - 1);
  const last = Math.min(times_s.length - 1, lower(times_s, view.end_s));
  pen.fillStyle = ink.line;
  for (const share of [0, 0.5, 1]) pen.fillRect(0, Math.round((height - 5) * (1 - share)) + 2, view.x(view.duration_s), 1);
  const lines = lane.labels.length <= MOST_LINES;
  lane.labels.forEach((label, at) => {
    if (lines) line(pen, view, lane, at, first, last, colours.of(label), height);
    else heat(pen, view, lane, at, first, last, colours.of(label), height / lane.labels.length);
  });
}

function line(pen, view, lane, at, first, last, colour, height) {
  const values = lane.values[at];
  const y = (score) => 2 + (height - 5) * (1 - Math.min(1, Math.max(0, score)));
  pen.beginPath();
  for (const [from, to] of groups(first, last, 2 * view.width)) {
    const [low, high] = range(values, from, to);
    const x = view.x(lane.times_s[from]);
    pen.lineTo(x, y(low));
    if (high > low) pen.lineTo(x, y(high));
  }
  pen.strokeStyle = colour;
  pen.lineWidth = 1.75;
  pen.lineJoin = "round";
  pen.setLineDash(DASHES[at % DASHES.length]);
  pen.stroke();
  pen.setLineDash([]);
}

function heat(pen, view, lane, at, first, last, colour, row) {
  const { times_s } = lane;
  pen.fillStyle = colour;
  for (const [begin, end] of groups(first, last, view.width)) {
    const last_s = 2 * times_s[end - 1] - (times_s[end - 2] ?? 0);
    const [from, to] = [view.x(times_s[begin]), view.x(times_s[end] ?? Math.min(view.duration_s, last_s))];
    pen.globalAlpha = Math.min(1, Math.max(0, range(lane.values[at], begin, end)[1]));
    pen.fillRect(from, at * row + 1, Math.max(0.75, to - from), row - 2);
  }
  pen.globalAlpha = 1;
}

/** Places `first` to `last` in groups `[from, to)`, about `most` of them: the same ones wherever the view begins. */
function* groups(first, last, most) {
  const size = 2 ** Math.max(0, Math.ceil(Math.log2((last - first + 1) / most)));
  for (let from = first - (first % size); from <= last; from += size) yield [from, Math.min(last + 1, from + size)];
}

function range(values, from, to) {
  let [low, high] = [values[from], values[from]];
  for (let at = from + 1; at < to; at++) {
    if (values[at] < low) low = values[at];
    else if (values[at] > high) high = values[at];
  }
  return [low, high];
}

function lower(sorted, value) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
