// The scales beside and above the picture: time in minutes and seconds, frequencies in kilohertz.

import { hertz, mel } from "./spectrogram.js";
import { clock } from "./words.js";

const STEPS_S = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const APART = 72; // pixels between written times
const LINEAR_TICKS = 4;
const MEL_TICKS_HZ = [500, 1000, 2000, 4000, 8000, 16000];

/** Times along the upper edge. */
export function drawTimes(pen, view, ink, height) {
  const step = STEPS_S.find((seconds) => seconds * view.scale >= APART) ?? STEPS_S.at(-1);
  const decimals = step < 0.1 ? 2 : step < 1 ? 1 : 0;
  pen.font = ink.font;
  pen.textBaseline = "alphabetic";
  for (let n = Math.floor(view.start_s / step); n * step <= Math.min(view.end_s, view.duration_s); n++) {
    const x = Math.round(view.x(n * step));
    pen.fillStyle = ink.line;
    pen.fillRect(x, height - 6, 1, 6);
    pen.fillStyle = ink.soft;
    if (x + 30 < view.width) pen.fillText(clock(n * step, decimals), x + 4, height - 5);
  }
}

/** Frequencies to write beside the spectrogram: `{text, share}`, the share of its height from below. */
export function frequencies(scale, highest_hz) {
  if (!highest_hz) return [];
  const ticks = scale === "mel" ? MEL_TICKS_HZ.filter((hz) => hz < 0.95 * highest_hz) : evenly(highest_hz);
  const share = (hz) => (scale === "mel" ? mel(hz) / mel(highest_hz) : hz / highest_hz);
  return ticks.map((hz) => ({ text: `${hz / 1000} kHz`, share: share(hz) }));
}

function evenly(highest_hz) {
  const step = [500, 1000, 2000, 2500, 5000, 10000].find((hz) => highest_hz / hz <= LINEAR_TICKS + 1) ?? 10000;
  return Array.from({ length: Math.ceil(highest_hz / step) - 1 }, (_, n) => (n + 1) * step);
}

/** The frequency at a share of the height. */
export function frequencyAt(scale, highest_hz, share) {
  return scale === "mel" ? hertz(share * mel(highest_hz)) : share * highest_hz;
}
