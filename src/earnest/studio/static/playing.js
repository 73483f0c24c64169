// The player: short recordings wholly in the page, long ones with peaks and spectrogram tiles of the server's.

import { Player } from "/player/player.js";

import { ask, query } from "./api.js";
import { language } from "./language.js";

const SHORT_S = 60; // up to here the page computes peaks and spectrogram itself, as fine as the recording is
const COLUMNS_PER_S = 20; // peaks, and at most:
const MOST_COLUMNS = 100000;
const STEP_S = 0.01; // one frame of the spectrogram
const WIDTH = 512; // pixels of a tile

/**
 * A player in a host element for what the server calls a clip or an upload: its duration, and the addresses of its
 * `audio`, `peaks` and `tiles`. `options` go to the player: `editable`.
 */
export async function makePlayer(host, sound, lanes, options = {}) {
  const long = sound.duration_s > SHORT_S;
  const outline = (columns, start_s = null, end_s = null) => ask(query(sound.peaks, { columns, start_s, end_s }));
  const peaks = long ? await outline(Math.min(MOST_COLUMNS, Math.ceil(COLUMNS_PER_S * sound.duration_s))) : null;
  const box = document.createElement("div");
  host.replaceChildren(box);
  return Player.create(box, { audio: sound.audio, duration_s: sound.duration_s, peaks, finer: long ? outline : null,
    tiles: long ? tilesOf(sound) : null, lanes, language: language(), ...options });
}

function tilesOf({ tiles, duration_s: seconds }) {
  const base = typeof tiles === "string" ? tiles : tiles?.url;
  if (!base) return null;
  const levels = tiles.levels ?? 1 + Math.max(0, Math.ceil(Math.log2(seconds / STEP_S / WIDTH)));
  const url = (level, index, { scale = "mel", db = 80, map = "viridis" } = {}) =>
    query(base.includes("{level}") ? base.replace("{level}", level).replace("{index}", index) : `${base}/${level}/${index}.png`, { scale, db, map });
  return { url, step_s: tiles.step_s ?? STEP_S, width: tiles.width ?? WIDTH, levels, highest_hz: tiles.highest_hz };
}
