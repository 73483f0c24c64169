"use strict";
// One clip plays at a time.
document.addEventListener("play", (event) => {
  for (const player of document.querySelectorAll("audio")) if (player !== event.target) player.pause();
}, true);
// Only what can be scrolled is a stop for the keyboard.
const stops = [...document.querySelectorAll(".scroll")];
const settle = () => stops.forEach((part) => {
  const scrolls = part.scrollWidth > part.clientWidth || part.scrollHeight > part.clientHeight;
  if (scrolls) part.tabIndex = 0; else part.removeAttribute("tabindex");
});
addEventListener("resize", settle);
addEventListener("load", settle);
document.addEventListener("toggle", settle, true);
// The confusion matrix says what a cell means when it is pointed at, or walked to with the arrow keys.
for (const table of document.querySelectorAll("[data-matrix]")) {
  const readout = document.querySelector("[data-readout]");
  const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].slice(1, -1));
  const say = (r, c) => {
    readout.textContent = rows[r][c].dataset.say;
    for (const cell of table.querySelectorAll(".lit")) cell.classList.remove("lit");
    table.tBodies[0].rows[r].cells[0].classList.add("lit");
    table.tHead.rows[0].cells[c + 1].classList.add("lit");
  };
  rows.forEach((cells, r) => cells.forEach((cell, c) => {
    cell.tabIndex = r === 0 && c === 0 ? 0 : -1;
    cell.addEventListener("pointerenter", () => say(r, c));
    cell.addEventListener("focus", () => say(r, c));
    cell.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      const next = step && rows[r + step[0]]?.[c + step[1]];
      if (!next) return;
      event.preventDefault();
      cell.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  }));
}
// A picture of a clip, or its point in a map, plays it where the page holds its sound.
const sounds = new Map([...document.querySelectorAll("audio[data-clip]")].map((sound) => [sound.dataset.clip, sound]));
for (const part of document.querySelectorAll("[data-play]")) {
  const sound = sounds.get(part.dataset.play);
  if (!sound) continue;
  const play = () => {
    if (!sound.paused) { sound.pause(); return; }
    sound.currentTime = 0;
    sound.play();
  };
  part.classList.add("plays");
  part.tabIndex = 0;
  part.addEventListener("click", play);
  part.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    play();
  });
  sound.addEventListener("play", () => part.classList.add("playing"));
  sound.addEventListener("pause", () => part.classList.remove("playing"));
}
