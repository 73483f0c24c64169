"use strict";
// One clip plays at a time.
document.addEventListener("play", (event) => {
  for (const player of document.querySelectorAll("audio")) if (player !== event.target) player.pause();
}, true);
// The confusion matrix says what a cell means when it is pointed at, or walked to with the arrow keys.
for (const table of document.querySelectorAll("[data-matrix]")) {
  const readout = document.querySelector("[data-readout]");
  const names = [...table.tHead.rows[0].cells].slice(1, -1).map((cell) => cell.textContent);
  const rows = [...table.tBodies[0].rows].map((row) => [...row.cells].slice(1, -1));
  const say = (r, c) => {
    const count = Number.parseInt(rows[r][c].textContent, 10) || 0;
    const total = Number(table.tBodies[0].rows[r].cells[names.length + 1].textContent);
    const share = total ? (100 * count / total).toFixed(1) : "0.0";
    const heard = r === c ? "heard rightly" : `heard as “${names[c]}”`;
    readout.textContent = `“${names[r]}” ${heard}: ${count} of ${total} clips (${share} %)`;
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
