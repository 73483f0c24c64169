// The waveform, painted into the pieces that wavesurfer lays along time: of every column of pixels what lies in it.

/** The lowest and highest samples of equal parts, and where they are in the page the samples themselves. */
export class Waveform {
  /** `peaks`: {minimum, maximum}; `sound`: {samples, rate} or null. */
  constructor({ minimum, maximum }, sound, duration_s) {
    this.parts = { low: Float32Array.from(minimum), high: Float32Array.from(maximum), rate: maximum.length / duration_s };
    this.samples = sound && { low: sound.samples, high: sound.samples, rate: sound.rate };
    this.largest = 1e-6;
    for (const side of [this.parts.low, this.parts.high]) for (const value of side) this.largest = Math.max(this.largest, Math.abs(value));
  }

  /** Paint one piece, whose place is that of its canvas; `scale` in CSS pixels per second. */
  paint(pen, scale) {
    const { width, height, style } = pen.canvas;
    const ratio = width / parseFloat(style.width);
    const [left, column_s] = [parseFloat(style.left) / scale, 1 / (scale * ratio)];
    const fine = this.samples && this.parts.rate * column_s < 1;
    const source = fine ? this.samples : this.parts;
    const half = height / 2;
    for (let column = 0; column < width; column++) {
      const [low, high] = extremes(source, left + column * column_s, left + (column + 1) * column_s, fine);
      const top = half * (1 - high / this.largest);
      pen.fillRect(column, top, 1, Math.max(ratio, half * (1 - low / this.largest) - top));
    }
  }
}

/** The lowest and highest value between two times; where `joined`, with the one before, so that the line has no gaps. */
function extremes({ low, high, rate }, start_s, end_s, joined) {
  const first = Math.min(high.length - 1, Math.max(0, Math.floor(start_s * rate + 1e-6)));
  const last = Math.min(high.length, Math.max(first + 1, Math.ceil(end_s * rate - 1e-6)));
  let [least, most] = [Infinity, -Infinity];
  for (let at = joined ? Math.max(0, first - 1) : first; at < last; at++) {
    if (low[at] < least) least = low[at];
    if (high[at] > most) most = high[at];
  }
  return [least, most];
}
