"use strict";
// Only what can be scrolled is a stop for the keyboard.
const stops = [...document.querySelectorAll(".scroll")];
const settle = () => stops.forEach((part) => {
  const scrolls = part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight;
  if (scrolls) part.tabIndex = 0; else part.removeAttribute("tabindex");
});
addEventListener("resize", settle);
addEventListener("load", settle);
document.addEventListener("toggle", settle, true);
// Steps of the arrow keys, down and to the right.
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
// What is said of every clip, and its sound where the page holds it. Browsers without scripts see the sounds as a list.
const about = JSON.parse(document.getElementById("about")?.textContent ?? "{}");
const sounds = new Map([...document.querySelectorAll("audio[data-clip]")].map((sound) => [sound.dataset.clip, sound.src]));
document.querySelector("[data-sounds]")?.remove();

// The player at the foot of the page: one clip at a time, and those listed with it.
const dock = document.getElementById("listen");
const [title, facts, stage] = ["title", "facts", "stage"].map((name) => dock.querySelector(`[data-${name}]`));
const turns = new Map([...dock.querySelectorAll("[data-turn]")].map((button) => [Number(button.dataset.turn), button]));
const heard = { player: null, clip: null, among: [], from: null, number: 0 };
const described = ({ label, heard: said, sure, group, fold, note }) => [
  label && `label ${label}`, said && `heard ${said}${sure ? ` ${sure}` : ""}`, group, fold && `fold ${fold}`, note,
].filter(Boolean).join(" · ");
const lit = (playing) => {
  for (const part of document.querySelectorAll("[data-play]")) part.classList.toggle("playing", playing && part.dataset.play === heard.clip);
};
async function listen(clip, among = [clip], from = null, more = {}) {
  if (clip === heard.clip && heard.player) { heard.player.toggle(); return; }
  heard.player?.destroy();
  const number = ++heard.number;
  Object.assign(heard, { player: null, clip, among, from: from ?? heard.from });
  title.textContent = clip;
  facts.textContent = described({ ...about[clip], ...more });
  for (const [turn, button] of turns) button.disabled = !among[among.indexOf(clip) + turn];
  dock.hidden = false;
  document.body.classList.add("listening");
  const place = document.createElement("div");
  stage.replaceChildren(place);
  lit(false);
  if (!sounds.has(clip)) return;
  const player = await EarnestPlayer.Player.create(place, { audio: sounds.get(clip), lanes: about[clip]?.lanes ?? [] });
  if (number !== heard.number) { player.destroy(); return; }
  heard.player = player;
  player.addEventListener("play", () => lit(true));
  player.addEventListener("pause", () => lit(false));
  player.play();
}
function silence() {
  heard.player?.destroy();
  heard.number++;
  Object.assign(heard, { player: null, clip: null });
  lit(false);
  dock.hidden = true;
  document.body.classList.remove("listening");
  heard.from?.focus({ preventScroll: true });
}
for (const [turn, button] of turns) button.addEventListener("click", () => listen(heard.among[heard.among.indexOf(heard.clip) + turn], heard.among));
dock.querySelector("[data-close]").addEventListener("click", silence);
addEventListener("keydown", (event) => { if (event.key === "Escape" && !dock.hidden) silence(); });

// The confusion matrix says what a cell means when it is pointed at, or walked to with the arrow keys; a click lists its clips.
for (const table of document.querySelectorAll("[data-matrix]")) {
  const readout = document.querySelector("[data-readout]");
  const clips = document.querySelector("[data-clips]");
  const inside = JSON.parse(document.querySelector("[data-cells]").textContent);
  const names = [...table.tHead.rows[0].cells].slice(1, -1).map((cell) => cell.textContent);
  const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].slice(1, -1));
  const say = (r, c) => {
    readout.textContent = rows[r][c].dataset.say;
    for (const cell of table.querySelectorAll(".lit")) cell.classList.remove("lit");
    table.tBodies[0].rows[r].cells[0].classList.add("lit");
    table.tHead.rows[0].cells[c + 1].classList.add("lit");
  };
  const list = (r, c) => {
    const cell = rows[r][c];
    const { n, clips: found } = inside[cell.dataset.cell] ?? { n: 0, clips: [] };
    const among = found.map(([clip]) => clip);
    for (const other of table.querySelectorAll(".chosen")) other.classList.remove("chosen");
    cell.classList.add("chosen");
    clips.dataset.of = cell.dataset.say;
    clips.replaceChildren(...found.map(([clip, sure]) => {
      const item = document.createElement("li");
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: sounds.has(clip) ? "clip" : "clip silent" });
      button.dataset.play = clip;
      button.append(clip, Object.assign(document.createElement("small"), { textContent: ` ${Math.round(100 * sure)} %` }));
      const more = { label: names[r], heard: names[c], sure: `${(100 * sure).toFixed(1)} %` };
      button.addEventListener("click", () => listen(clip, among, button, more));
      item.append(button);
      return item;
    }));
    if (n > found.length) clips.append(Object.assign(document.createElement("li"), { className: "fine", textContent: `and ${n - found.length} more` }));
  };
  rows.forEach((cells, r) => cells.forEach((cell, c) => {
    cell.tabIndex = r === 0 && c === 0 ? 0 : -1;
    cell.addEventListener("pointerenter", () => say(r, c));
    cell.addEventListener("focus", () => say(r, c));
    cell.addEventListener("click", () => list(r, c));
    cell.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        list(r, c);
        return;
      }
      const step = STEPS[event.key];
      const next = step && rows[r + step[0]]?.[c + step[1]];
      if (!next) return;
      event.preventDefault();
      cell.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  }));
}

// A picture of a clip, its card or its point in a chart plays it where the page holds its sound, and names it where not.
for (const part of document.querySelectorAll("[data-play]")) {
  const clip = part.dataset.play;
  const among = [...(part.closest("ul, table, svg")?.querySelectorAll("[data-play]") ?? [])].map((other) => other.dataset.play);
  const play = () => listen(clip, [...new Set(among)], part);
  part.classList.toggle("plays", sounds.has(clip));
  part.addEventListener("click", play);
  if (part.tagName === "LI") {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "hear", textContent: "Listen" });
    button.setAttribute("aria-label", `Listen to ${clip}`);
    part.append(button); // its click is one of the card
    continue;
  }
  if (part.tagName === "IMG") part.setAttribute("role", "button");
  part.tabIndex = 0;
  part.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    play();
  });
}
// Of the points of a chart one is a stop for the keyboard; the arrow keys go on to the nearest one.
for (const chart of document.querySelectorAll("svg.chart")) {
  const marks = [...chart.querySelectorAll("[data-play]")];
  const at = (mark) => { const { x, y, width, height } = mark.getBBox(); return [x + width / 2, y + height / 2]; };
  marks.forEach((mark, number) => (mark.tabIndex = number ? -1 : 0));
  chart.addEventListener("keydown", (event) => {
    const [step, here] = [STEPS[event.key], event.target.closest("[data-play]")];
    if (!step || !here) return;
    event.preventDefault();
    const [x, y] = at(here);
    const [down, right] = step;
    const far = (mark) => {
      const [dx, dy] = [at(mark)[0] - x, at(mark)[1] - y];
      const along = dx * right + dy * down;
      return along > 0.01 ? along + 2 * (Math.abs(dx * down) + Math.abs(dy * right)) : Infinity;
    };
    const next = marks.reduce((best, mark) => (far(mark) < far(best) ? mark : best));
    if (far(next) === Infinity) return;
    here.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}
