// Colour maps of the spectrogram, and colours of labels that colour-blind people can tell apart.

// matplotlib's maps at eleven even places: from quiet to loud, even to the eye and in grey print.
const MAPS = {
  viridis: ["#440154", "#482475", "#414487", "#355f8d", "#2a788e", "#21918c", "#22a884", "#44bf70", "#7ad151", "#bddf26", "#fde725"],
  magma: ["#000004", "#140e36", "#3b0f70", "#641a80", "#8c2981", "#b73779", "#de4968", "#f7705c", "#fe9f6d", "#fecf92", "#fcfdbf"],
  grey: ["#ffffff", "#000000"],
};
export const MAP_NAMES = Object.keys(MAPS);

// Paul Tol's "bright" and "muted" colours (Colour Schemes, SRON technical note 09-002, 2021).
const LABELS = ["#4477aa", "#ee8866", "#228833", "#cc6677", "#66ccee", "#ccbb44", "#aa3377", "#999933", "#882255", "#44aa99"];

/** 256 colours of a map, as 32-bit pixels of a canvas. */
export function mapColours(name) {
  const anchors = MAPS[name].map((colour) => [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)));
  const pixels = new Uint8ClampedArray(256 * 4);
  for (let level = 0; level < 256; level++) {
    const at = (level / 255) * (anchors.length - 1);
    const low = Math.min(anchors.length - 2, Math.floor(at));
    for (let channel = 0; channel < 3; channel++)
      pixels[4 * level + channel] = anchors[low][channel] + (at - low) * (anchors[low + 1][channel] - anchors[low][channel]);
    pixels[4 * level + 3] = 255;
  }
  return new Uint32Array(pixels.buffer);
}

/** What the map shows where nothing is. */
export function silence(name) {
  return MAPS[name][0];
}

/** Gives every label its colour: the same in all lanes, in the order in which labels are met. */
export class LabelColours {
  constructor() {
    this.places = new Map();
  }

  of(label) {
    if (!this.places.has(label)) this.places.set(label, this.places.size);
    return LABELS[this.places.get(label) % LABELS.length];
  }
}
