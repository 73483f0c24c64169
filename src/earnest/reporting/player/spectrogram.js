// The spectrogram: tiles of 512 columns by 256 rows, from a server or computed here from the samples, drawn where seen.

import { mapColours, silence } from "./colours.js";
import { Spectrum } from "./fft.js";
import { read, Slices } from "./sound.js";
import { prepare } from "./view.js";

const WIDTH = 512; // columns of a tile
const HEIGHT = 256; // rows of a tile
const STEP_S = 0.01; // one column at level 0
const FRAME_S = 0.032; // the shortest frame that is transformed
const FINEST = -2; // level of the finest tiles computed here: columns of 2.5 ms
const MOST_FRAMES = 8; // of a column: coarser ones show this many, evenly spread
const KEPT = 48; // tiles, half a megabyte each
const STEP_DB = 0.5; // of what is kept of a pixel: how far it lies below the top
const QUIETEST = 1e-20;
const FRAME_MS = 8; // of colouring before a frame is shown

/**
 * Pixels from addresses: `{url: (level, index, look) => address, step_s, width, levels, finest, highest_hz, grey}`. Where
 * `grey` is true, they are grey pictures of half decibels below the top (black), and get their colours here.
 *
 * Tiles are kept as bitmaps, which are let go by hand: of images, a browser keeps hundreds of megabytes unpacked.
 */
export class ServedTiles {
  constructor(tiles, changed) {
    Object.assign(this, { tiles, changed, kept: new Map(), seen: new Set(), finest: tiles.finest ?? 0, work: new Work(changed) });
    this.coarsest = Math.max(this.finest, tiles.levels - 1);
    this.step_s = tiles.step_s ?? STEP_S;
    this.width = tiles.width ?? WIDTH;
    this.highest_hz = tiles.highest_hz ?? null;
  }

  /** A tile's picture; null while it is on its way. */
  tile(level, index, look) {
    const address = this.tiles.url(level, index, look);
    this.seen.add(address);
    const kept = this.kept.get(address);
    if (kept) return refresh(this.kept, address, kept) && this.#picture(kept, look);
    const entry = { state: "coming", leaves: new AbortController() };
    keep(this.kept, address, entry);
    this.#fetch(address, entry);
    return null;
  }

  async #fetch(address, entry) {
    try {
      const bitmap = await createImageBitmap(new Blob([await read(address, entry.leaves.signal)], { type: "image/png" }));
      if (entry.state === "gone") return bitmap.close();
      if (this.tiles.grey) entry.below = greys(bitmap);
      else entry.picture = bitmap;
      if (this.tiles.grey) bitmap.close();
      entry.state = "here";
    } catch {
      if (entry.state === "gone") return;
      entry.state = "failed"; // what is there of coarser levels stays
    }
    this.changed();
  }

  /** The picture of a tile that is there already. */
  known(level, index, look) {
    const entry = this.kept.get(this.tiles.url(level, index, look));
    return entry ? this.#picture(entry, look) : null;
  }

  get busy() {
    return [...this.kept.values()].some(({ state }) => state === "coming");
  }

  /** Break off what is on its way but was not seen any more when last drawn. */
  forget() {
    for (const [address, entry] of this.kept) {
      if (entry.state !== "coming" || this.seen.has(address)) continue;
      leave(entry);
      this.kept.delete(address);
    }
    this.seen.clear();
  }

  #picture(entry, look) {
    if (entry.state !== "here") return null;
    if (!this.tiles.grey) return entry.picture;
    return entry.name === lookName(look) || this.work.allows() ? coloured(entry, look) : (entry.picture ?? null);
  }

  stop() {
    for (const entry of this.kept.values()) leave(entry);
    this.kept.clear();
  }
}

function greys(bitmap) {
  const pen = new OffscreenCanvas(WIDTH, HEIGHT).getContext("2d", { willReadFrequently: true });
  pen.drawImage(bitmap, 0, 0);
  const { data } = pen.getImageData(0, 0, WIDTH, HEIGHT);
  const below = new Uint8Array(WIDTH * HEIGHT);
  for (let at = 0; at < below.length; at++) below[at] = data[4 * at];
  return below;
}

/** Pixels from the samples themselves: what is seen is computed first, in slices that leave the page its breath. */
export class ComputedTiles {
  constructor({ samples, rate }, changed) {
    Object.assign(this, { samples, rate, changed, kept: new Map(), wanted: new Map(), finest: FINEST, work: new Work(changed) });
    this.coarsest = Math.max(0, Math.ceil(Math.log2(samples.length / rate / STEP_S / WIDTH)));
    this.step_s = STEP_S;
    this.width = WIDTH;
    this.highest_hz = rate / 2;
    this.spectrum = new Spectrum(2 ** Math.ceil(Math.log2(FRAME_S * rate)));
    this.top_db = loudest_db(samples);
    this.running = false;
  }

  tile(level, index, look) {
    const name = `${look.scale} ${level} ${index}`;
    const kept = this.kept.get(name);
    if (!kept) {
      this.wanted.set(name, { level, index, scale: look.scale });
      this.#run();
      return null;
    }
    return this.#picture(refresh(this.kept, name, kept), look);
  }

  known(level, index, look) {
    const entry = this.kept.get(`${look.scale} ${level} ${index}`);
    return entry ? this.#picture(entry, look) : null;
  }

  #picture(entry, look) {
    return entry.name === lookName(look) || this.work.allows() ? coloured(entry, look) : (entry.picture ?? null);
  }

  get busy() {
    return this.wanted.size > 0;
  }

  /** Forget what was asked for but is not seen any more. */
  forget() {
    this.wanted.clear();
  }

  stop() {
    this.stopped = true;
    this.wanted.clear();
    this.kept.clear();
  }

  async #run() {
    if (this.running) return;
    this.running = true;
    const slices = new Slices();
    while (this.wanted.size && !this.stopped) {
      const [name, tile] = this.wanted.entries().next().value;
      const below = await this.#compute(tile, slices);
      this.wanted.delete(name);
      keep(this.kept, name, { below });
      this.changed();
    }
    this.running = false;
  }

  /** How far each pixel of one tile lies below the top, in half decibels; rows from above, columns within. */
  async #compute({ level, index, scale }, slices) {
    const { samples, rate, spectrum } = this;
    const rows = rowBins(scale, spectrum, rate);
    const out = new Uint8Array(WIDTH * HEIGHT).fill(255);
    const [one, sum] = [new Float32Array(spectrum.bins), new Float32Array(spectrum.bins)];
    const column_s = STEP_S * 2 ** level;
    const frames = Math.min(MOST_FRAMES, Math.max(1, 2 ** level));
    for (let column = 0; column < WIDTH; column++) {
      const begin = (index * WIDTH + column) * column_s * rate;
      if (begin >= samples.length) break;
      sum.fill(0);
      for (let frame = 0; frame < frames; frame++) {
        const middle = begin + ((frame + 0.5) / frames) * column_s * rate;
        spectrum.power(samples, Math.round(middle - spectrum.size / 2), one);
        for (let bin = 0; bin < one.length; bin++) sum[bin] += one[bin] / frames;
        await slices.pause();
      }
      write(sum, rows, this.top_db, out, column);
    }
    return out;
  }
}

/** For each row the bin below its middle and how far beyond it lies, and the bins it spans where it spans several. */
function rowBins(scale, spectrum, rate) {
  const top = scale === "mel" ? mel(rate / 2) : rate / 2;
  const bin = (edge) => ((scale === "mel" ? hertz(edge) : edge) / rate) * spectrum.size;
  return Array.from({ length: HEIGHT }, (_, row) => {
    const [from, middle, to] = [row, row + 0.5, row + 1].map((at) => bin((at / HEIGHT) * top));
    return { low: Math.min(spectrum.bins - 2, Math.floor(middle)), share: middle - Math.floor(middle), from: Math.ceil(from), to: Math.ceil(to) };
  });
}

function write(power, rows, top_db, out, column) {
  for (let row = 0; row < HEIGHT; row++) {
    const { low, share, from, to } = rows[row];
    let level = power[low] + share * (power[low + 1] - power[low]);
    for (let bin = from; bin < to; bin++) if (power[bin] > level) level = power[bin];
    const below_db = top_db - 10 * Math.log10(Math.max(level, QUIETEST));
    out[(HEIGHT - 1 - row) * WIDTH + column] = Math.min(255, Math.max(0, Math.round(below_db / STEP_DB)));
  }
}

/** Mel of O'Shaughnessy (1987), as in HTK. */
export const mel = (hz) => 2595 * Math.log10(1 + hz / 700);
export const hertz = (mels) => 700 * (10 ** (mels / 2595) - 1);

function loudest_db(samples) {
  let most = 1e-5;
  for (let at = 0; at < samples.length; at++) {
    const size = Math.abs(samples[at]);
    if (size > most) most = size;
  }
  return 20 * Math.log10(most);
}

/** How much may be coloured before a frame is shown; what is left is coloured before the next. */
class Work {
  constructor(changed) {
    Object.assign(this, { changed, began: 0 });
  }

  begin() {
    this.began = performance.now();
  }

  allows() {
    if (performance.now() - this.began < FRAME_MS) return true;
    this.changed();
    return false;
  }
}

const lookName = ({ db, map }) => `${map} ${db}`;

/** The picture of a tile in the colours of now. */
function coloured(entry, look) {
  const { db, map } = look;
  const name = lookName(look);
  if (entry.name === name) return entry.picture;
  entry.picture ??= Object.assign(document.createElement("canvas"), { width: WIDTH, height: HEIGHT });
  entry.name = name;
  const pen = entry.picture.getContext("2d");
  const image = pen.createImageData(WIDTH, HEIGHT);
  const pixels = new Uint32Array(image.data.buffer);
  const all = mapColours(map);
  const shades = Uint32Array.from({ length: 256 }, (_, below) => all[255 - Math.round(Math.min(1, (below * STEP_DB) / db) * 255)]);
  for (let at = 0; at < pixels.length; at++) pixels[at] = shades[entry.below[at]];
  pen.putImageData(image, 0, 0);
  return entry.picture;
}

function keep(kept, name, entry) {
  kept.set(name, entry);
  if (kept.size <= KEPT) return;
  const [oldest, gone] = kept.entries().next().value;
  kept.delete(oldest);
  leave(gone);
}

/** Give back at once what an entry holds. */
function leave(entry) {
  entry.state = "gone";
  entry.leaves?.abort();
  entry.picture?.close?.(); // a bitmap
  if (entry.picture?.getContext) entry.picture.width = 0; // a canvas
}

function refresh(kept, name, entry) {
  kept.delete(name);
  kept.set(name, entry);
  return entry;
}

/** The canvas: tiles of the level that fits the screen, coarser ones where those are not there yet. */
export class Spectrogram {
  constructor(canvas, view, source, look) {
    Object.assign(this, { canvas, view, source, look });
  }

  draw() {
    const { canvas, view, source, look } = this;
    const height = canvas.clientHeight;
    const pen = prepare(canvas, view.width, height);
    pen.fillStyle = silence(look.map);
    pen.fillRect(0, 0, view.x(view.duration_s), height);
    if (!source) return;
    source.forget?.();
    source.work.begin();
    const wished = Math.floor(Math.log2(1 / (view.scale * source.step_s)));
    const level = Math.min(source.coarsest, Math.max(source.finest, wished));
    const span = this.#span(level);
    const [first, last] = [Math.floor(view.start_s / span), Math.floor((Math.min(view.end_s, view.duration_s) - 1e-6) / span)];
    pen.save();
    pen.beginPath();
    pen.rect(0, 0, view.x(view.duration_s), height);
    pen.clip();
    for (let index = first; index <= last; index++) this.#tile(pen, level, index, height);
    pen.restore();
  }

  #span(level) {
    return this.source.step_s * 2 ** level * this.source.width;
  }

  #tile(pen, level, index, height) {
    const { view, source, look } = this;
    const span = this.#span(level);
    const [left, right] = [view.x(index * span), view.x((index + 1) * span)];
    const picture = source.tile(level, index, look);
    if (picture) return void pen.drawImage(picture, 0, 0, source.width, HEIGHT, left, 0, right - left, height);
    for (let coarser = level + 1; coarser <= source.coarsest; coarser++) {
      const share = 2 ** (coarser - level);
      const found = source.known(coarser, Math.floor(index / share), look);
      if (!found) continue;
      const from = ((index % share) * source.width) / share;
      return void pen.drawImage(found, from, 0, source.width / share, HEIGHT, left, 0, right - left, height);
    }
  }
}
