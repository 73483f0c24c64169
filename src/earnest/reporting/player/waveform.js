// The waveform, painted into the pieces that wavesurfer lays along time: of every column of pixels what lies in it.

const STILL_MS = 120; // how long a view stays before finer parts of it are asked for

/**
 * The lowest and highest samples of equal parts, and what is finer: where they are in the page the samples themselves, else what
 * a server tells of the part that is seen.
 */
export class Waveform {
  #asked = null;
  #timer = 0;

  /**
   * `peaks`: {minimum, maximum}; `sound`: {samples, rate} or null; `finer(columns, start_s, end_s)` promises the peaks of a piece,
   * or is null; `changed()` is called when there are some.
   */
  constructor(peaks, sound, duration_s, finer, changed) {
    Object.assign(this, { duration_s, finer, changed });
    this.parts = source(peaks, 0, duration_s);
    this.fine = sound && { low: sound.samples, high: sound.samples, rate: sound.rate, start_s: 0, end_s: Infinity, joined: true };
    this.largest = 1e-6;
    for (const side of [this.parts.low, this.parts.high]) for (const value of side) this.largest = Math.max(this.largest, Math.abs(value));
  }

  /** Ask for finer parts of what is seen and as much on either side, unless they are there. */
  see({ start_s, end_s, scale }) {
    const rate = scale * devicePixelRatio;
    if (!this.finer || rate <= this.parts.rate) return;
    const around = (share) => [Math.max(0, start_s - share * (end_s - start_s)), Math.min(this.duration_s, end_s + share * (end_s - start_s))];
    const [near, far] = [around(0.5), around(1)];
    if (this.#asked?.rate === rate && this.#asked.from_s <= near[0] && this.#asked.to_s >= near[1]) return;
    const asked = (this.#asked = { rate, from_s: far[0], to_s: far[1] });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#ask(asked), STILL_MS);
  }

  async #ask(asked) {
    const { rate, from_s, to_s } = asked;
    const peaks = await this.finer(Math.max(1, Math.round((to_s - from_s) * rate)), from_s, to_s).catch(() => null); // the coarse ones stay
    if (!peaks || asked !== this.#asked) return;
    this.fine = source(peaks, from_s, to_s);
    this.changed();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#asked = null;
  }

  /** Paint one piece, whose place is that of its canvas; `scale` in CSS pixels per second. */
  paint(pen, scale) {
    const { width, height, style } = pen.canvas;
    const ratio = width / parseFloat(style.width);
    const [left, column_s] = [parseFloat(style.left) / scale, 1 / (scale * ratio)];
    const fine = this.parts.rate * column_s < 1 ? this.fine : null;
    const half = height / 2;
    for (let column = 0; column < width; column++) {
      const [start_s, end_s] = [left + column * column_s, left + (column + 1) * column_s];
      const there = fine && fine.start_s <= start_s + 1e-6 && end_s <= fine.end_s + 1e-6;
      const [low, high] = extremes(there ? fine : this.parts, start_s, end_s);
      const top = half * (1 - high / this.largest);
      pen.fillRect(column, top, 1, Math.max(ratio, half * (1 - low / this.largest) - top));
    }
  }
}

const source = ({ minimum, maximum }, start_s, end_s) => ({ low: Float32Array.from(minimum), high: Float32Array.from(maximum),
  rate: maximum.length / (end_s - start_s), start_s, end_s });

/** The lowest and highest value between two times; where `joined`, with the one before, so that the line has no gaps. */
function extremes({ low, high, rate, start_s: begin_s, joined }, start_s, end_s) {
  const first = Math.min(high.length - 1, Math.max(0, Math.floor((start_s - begin_s) * rate + 1e-6)));
  const last = Math.min(high.length, Math.max(first + 1, Math.ceil((end_s - begin_s) * rate - 1e-6)));
  let [least, most] = [Infinity, -Infinity];
  for (let at = joined ? Math.max(0, first - 1) : first; at < last; at++) {
    if (low[at] < least) least = low[at];
    if (high[at] > most) most = high[at];
  }
  return [least, most];
}
