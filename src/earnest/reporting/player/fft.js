// The discrete Fourier transform of a real frame, by Cooley and Tukey's radix-2 algorithm (1965).

/** Power spectra of frames of `size` samples (a power of two) under a Hann window; a full-scale sine gives 1. */
export class Spectrum {
  constructor(size) {
    this.size = size;
    this.bins = size / 2 + 1;
    this.window = Float32Array.from({ length: size }, (_, n) => (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / size)) * (4 / size));
    this.cosine = Float32Array.from({ length: size / 2 }, (_, n) => Math.cos((2 * Math.PI * n) / size));
    this.sine = Float32Array.from({ length: size / 2 }, (_, n) => Math.sin((2 * Math.PI * n) / size));
    this.order = reversed(size);
    this.real = new Float32Array(size);
    this.imaginary = new Float32Array(size);
  }

  /** The power of each bin of the frame of `samples` that begins at `start`; outside there is silence. */
  power(samples, start, out) {
    const { size, window, order, real, imaginary } = this;
    for (let n = 0; n < size; n++) {
      const from = start + n;
      real[order[n]] = from >= 0 && from < samples.length ? samples[from] * window[n] : 0;
    }
    imaginary.fill(0);
    this.#butterflies();
    for (let bin = 0; bin < this.bins; bin++) out[bin] = real[bin] ** 2 + imaginary[bin] ** 2;
  }

  #butterflies() {
    const { size, cosine, sine, real, imaginary } = this;
    for (let half = 1; half < size; half *= 2) {
      const stride = size / (2 * half);
      for (let block = 0; block < size; block += 2 * half) {
        for (let n = 0, turn = 0; n < half; n++, turn += stride) {
          const [low, high] = [block + n, block + n + half];
          const re = real[high] * cosine[turn] + imaginary[high] * sine[turn];
          const im = imaginary[high] * cosine[turn] - real[high] * sine[turn];
          real[high] = real[low] - re;
          imaginary[high] = imaginary[low] - im;
          real[low] += re;
          imaginary[low] += im;
        }
      }
    }
  }
}

function reversed(size) {
  const bits = Math.log2(size);
  return Uint32Array.from({ length: size }, (_, n) => {
    let turned = 0;
    for (let bit = 0; bit < bits; bit++) turned |= ((n >> bit) & 1) << (bits - 1 - bit);
    return turned;
  });
}
