// The one linear map from time to pixels that waveform, spectrogram and all lanes share.

const MOST_PIXELS = 8e6; // of a whole recording: what browsers lay out without loss of precision
const CLOSEST = 4000; // pixels per second

/** What part of a recording is seen: `x = (time - start_s) * scale`, in CSS pixels. */
export class View {
  constructor(duration_s) {
    this.duration_s = duration_s;
    this.start_s = 0;
    this.width = 0;
    this.scale = 0;
    this.fitted = true;
  }

  get end_s() {
    return this.start_s + this.width / this.scale;
  }

  get fit() {
    return this.width / this.duration_s;
  }

  x(time_s) {
    return (time_s - this.start_s) * this.scale;
  }

  time(x) {
    return Math.min(this.duration_s, Math.max(0, this.start_s + x / this.scale));
  }

  /** A new width in pixels; a view of the whole recording stays one. */
  resize(width) {
    this.width = Math.max(1, Math.round(width));
    if (this.fitted || this.scale < this.fit) this.scale = this.fit;
    this.scroll(this.start_s);
  }

  /** Another scale in pixels per second, that keeps a time where it is. */
  zoom(scale, around_s) {
    const x = this.x(around_s);
    const closest = Math.max(this.fit, Math.min(CLOSEST, MOST_PIXELS / this.duration_s));
    const bounded = Math.min(closest, Math.max(this.fit, scale));
    this.scale = Math.round(bounded * this.duration_s) / this.duration_s; // whole pixels, as browsers scroll
    this.fitted = this.scale <= this.fit * 1.0001;
    this.scroll(around_s - Math.min(this.width, Math.max(0, x)) / this.scale);
  }

  /** Show the part that begins at a time; whether that changed anything. */
  scroll(start_s) {
    const before = this.start_s;
    const most = Math.round(this.duration_s * this.scale) - this.width;
    this.start_s = Math.max(0, Math.min(Math.round(start_s * this.scale), most)) / this.scale;
    return this.start_s !== before;
  }
}

/** A canvas as large as its box, sharp on the screen; its context, whose unit is the CSS pixel. */
export function prepare(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [columns, rows] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== columns || canvas.height !== rows) Object.assign(canvas, { width: columns, height: rows });
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  return pen;
}
