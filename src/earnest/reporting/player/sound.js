// A recording in the page: decoded, mixed to one channel, and its peaks; long work in slices.

const SLICE_MS = 12;
const LIKELY_RATE = 44100;

/** Lets the page breathe where a slice of work has taken long enough; `await slices.pause()` often. */
export class Slices {
  constructor() {
    this.began = performance.now();
  }

  get due() {
    return performance.now() - this.began > SLICE_MS;
  }

  async pause() {
    if (!this.due) return;
    await new Promise((go) => setTimeout(go));
    this.began = performance.now();
  }
}

/** Decode an address: `{samples, rate}`, one channel at the recording's own rate where its header tells it. */
export async function decode(address) {
  const bytes = await read(address);
  const rate = headerRate(new DataView(bytes)) ?? LIKELY_RATE;
  const context = new OfflineAudioContext(1, 1, rate);
  const buffer = await context.decodeAudioData(bytes);
  return { samples: await mix(buffer), rate };
}

/** The bytes at an address; `signal` breaks off. */
export async function read(address, signal = undefined) {
  if (!address.startsWith("data:")) {
    const answer = await fetch(address, { credentials: "same-origin", signal });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    return answer.arrayBuffer();
  }
  // A page's policy may forbid to fetch even what lies in the page.
  const text = atob(address.slice(address.indexOf(",") + 1));
  const bytes = new Uint8Array(text.length);
  const slices = new Slices();
  for (let at = 0; at < text.length; at++) {
    bytes[at] = text.charCodeAt(at);
    if (at % 65536 === 65535) await slices.pause();
  }
  return bytes.buffer;
}

/** The sample rate that a WAV, FLAC or OGG Vorbis header tells, in hertz, where a context can have it. */
function headerRate(view) {
  const text = (at, length) => String.fromCharCode(...new Uint8Array(view.buffer, at, length));
  if (view.byteLength < 64) return null;
  let rate = null;
  if (text(0, 4) === "RIFF" && text(12, 4) === "fmt ") rate = view.getUint32(24, true);
  else if (text(0, 4) === "fLaC") rate = view.getUint32(18) >>> 12;
  else if (text(0, 4) === "OggS" && text(29, 6) === "vorbis") rate = view.getUint32(40, true);
  return rate >= 8000 && rate <= 96000 ? rate : null;
}

async function mix(buffer) {
  const channels = Array.from({ length: buffer.numberOfChannels }, (_, channel) => buffer.getChannelData(channel));
  if (channels.length === 1) return channels[0];
  const mixed = new Float32Array(buffer.length);
  const slices = new Slices();
  for (let at = 0; at < mixed.length; at++) {
    for (const channel of channels) mixed[at] += channel[at] / channels.length;
    if (at % 65536 === 65535) await slices.pause();
  }
  return mixed;
}

/** The lowest and the highest sample of each of `columns` equal parts. */
export async function peaksOf(samples, columns) {
  const [minimum, maximum] = [new Float32Array(columns), new Float32Array(columns)];
  const slices = new Slices();
  for (let column = 0; column < columns; column++) {
    const from = Math.floor((column * samples.length) / columns);
    const to = Math.max(from + 1, Math.floor(((column + 1) * samples.length) / columns));
    for (let at = from; at < to && at < samples.length; at++) {
      if (samples[at] < minimum[column]) minimum[column] = samples[at];
      if (samples[at] > maximum[column]) maximum[column] = samples[at];
    }
    await slices.pause();
  }
  return { minimum, maximum };
}
