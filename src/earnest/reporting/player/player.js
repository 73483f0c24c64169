// One recording to hear and see: waveform, spectrogram and lanes over one time axis, with one playhead across them.

import { drawTimes, frequencies } from "./axes.js";
import { LabelColours } from "./colours.js";
import { Controls, make, SPEEDS } from "./controls.js";
import { Lanes } from "./lanes.js";
import { decode, peaksOf } from "./sound.js";
import { ComputedTiles, ServedTiles, Spectrogram } from "./spectrogram.js";
import { dress } from "./style.js";
import { prepare, View } from "./view.js";
import { Waveform } from "./waveform.js";
import { clock, say } from "./words.js";
import WaveSurfer from "./vendor/wavesurfer.esm.js";

const WAVE_HEIGHT = 88;
const RULER_HEIGHT = 20;
const COLUMNS = 8000; // peaks computed in the page
const DECODED_S = 600; // the longest recording decoded in the page
const EDGE = 6; // pixels around the edge of a loop that move it
const CLICK = 4; // pixels that a hand may tremble in a click
const LOOP_S = 2; // of a loop nobody has drawn
const LABEL_S = 0.5; // of a label nobody has drawn
const KEY_S = { step: 1, leap: 5 };

let playing = null; // one player sounds at a time

/**
 * A player in an element. Events, with their numbers in `detail`: `ready` {duration_s}, `timeupdate` and `seek` {time_s},
 * `loop` {start_s, end_s} (null when it ends), `rate` {rate}, `zoom` {pixels_per_s}, `lanes` {lanes}, `play`, `pause`,
 * `error` {message}.
 */
export class Player extends EventTarget {
  /**
   * Build a player and wait until it can be used.
   *
   * `audio`: http, blob: or data: address. `peaks`: {minimum, maximum}; null decodes the recording in the page. `finer(columns,
   * start_s, end_s)`: promises the peaks of a piece, for who comes so close that `peaks` are coarse; null where nobody can tell.
   * `tiles`: {url(level, index, {scale, db, map}), step_s, width, levels} and, where known, {highest_hz, finest, scales,
   * grey}; null computes them in the page.
   * `lanes`: labels {name, kind: "labels", items: [{start_s, end_s, label}]} or scores {name, kind: "scores", times_s,
   * labels, values}. `editable`: labels can be drawn and changed, save in lanes whose own `editable` is false.
   */
  static async create(element, options) {
    await dress();
    const player = new Player(element, options);
    await player.#load();
    return player;
  }

  #view;
  #surfer = null;
  #source = null;
  #region = null;
  #last_region = null;
  #drag = null;
  #frame = 0;
  #time_s = 0;
  #rate = 1;
  #destroyed = false;

  constructor(element, { audio, duration_s = null, peaks = null, finer = null, tiles = null, lanes = [], editable = false, language = "en" }) {
    super();
    Object.assign(this, { element, audio, duration_s, editable, language });
    this.options = { peaks, finer, tiles, lanes };
    this.colours = new LabelColours();
    this.scales = tiles?.scales ?? ["mel", "linear"];
    this.looks = { scale: this.scales[0], db: 80, map: "viridis" };
  }

  async #load() {
    const { peaks, finer, tiles } = this.options;
    const known = peaks && this.duration_s;
    const sound = known && tiles ? null : await this.#decode();
    this.duration_s ??= sound ? sound.samples.length / sound.rate : 0;
    if (!(this.duration_s > 0)) this.duration_s = 0.001;
    this.#view = new View(this.duration_s);
    this.#build();
    if (tiles) this.#source = new ServedTiles(tiles, () => this.redraw());
    else if (sound) this.#source = new ComputedTiles(sound, () => this.redraw());
    this.picture = new Spectrogram(this.canvas, this.#view, this.#source, this.looks);
    const outline = peaks ?? (sound ? await peaksOf(sound.samples, Math.min(COLUMNS, sound.samples.length || 1)) : { minimum: [0], maximum: [0] });
    this.waveform = new Waveform(outline, sound, this.duration_s, finer, () => this.#paint());
    await this.#sound();
    this.lanes = new Lanes(this.rows, this.#view, this.colours, this);
    this.lanes.set(this.options.lanes);
    this.#watch();
    this.#resize();
    this.#draw();
    this.#tell("ready", { duration_s: this.duration_s });
  }

  async #decode() {
    if (this.duration_s > DECODED_S) {
      this.problem = say(this.language, "not shown");
      return null;
    }
    try {
      return await decode(this.audio);
    } catch (problem) {
      this.problem = say(this.language, "silent", { why: problem.message || problem.name });
      return null;
    }
  }

  // What is there.

  #build() {
    const word = (key, values) => say(this.language, key, values);
    const name = (...content) => make("div", { class: "ep-name" }, ...content);
    this.controls = new Controls(this, this.language);
    this.ruler = make("canvas", { class: "ep-ruler ep-plot", "aria-hidden": "true" });
    this.wave = make("div", { class: "ep-wave ep-plot", role: "img", "aria-label": word("waveform") });
    this.canvas = make("canvas", { class: "ep-spectrogram ep-plot", role: "img", "aria-label": word("spectrogram") });
    this.axis = name();
    this.axis.classList.add("ep-axis");
    this.head = make("div", { class: "ep-head" });
    this.loop_box = make("div", { class: "ep-region", hidden: "" });
    this.rows = make("div", { class: "ep-rows" }, name(), this.ruler, name(word("waveform")), this.wave, this.axis, this.canvas,
      make("div", { class: "ep-over", "aria-hidden": "true" }, this.loop_box, this.head));
    this.slider = make("div", { class: "ep-stage", role: "slider", tabindex: 0, "aria-label": word("position"), "aria-valuemin": 0,
      "aria-valuemax": this.duration_s.toFixed(2) });
    this.slider.append(make("span", { class: "ep-hidden" }));
    this.bar = make("div", { class: "ep-scroll", "aria-label": word("scroll"), tabindex: -1 }, make("div"));
    this.status = make("p", { class: "ep-hidden", role: "status" });
    this.note = make("p", { class: "ep-note", ...(this.problem ? {} : { hidden: "" }) }, this.problem ?? "");
    const keys = make("details", { class: "ep-keys" }, make("summary", {}, word("keys")), make("p", {}, word("keys play")),
      ...(this.editable ? [make("p", {}, word("keys edit"))] : []));
    this.root = make("section", { class: "ep", role: "group", "aria-label": word("player"), lang: this.language === "zh" ? "zh-Hans" : "en" },
      this.controls.element, this.note, this.slider, this.rows, this.bar, keys, this.status);
    this.element.replaceChildren(this.root);
  }

  /** Wavesurfer plays and lays the waveform along time; its own outline would join coarse parts by slopes. */
  async #sound() {
    const ink = this.#ink();
    this.#surfer = WaveSurfer.create({
      container: this.wave, height: WAVE_HEIGHT, url: this.audio, duration: this.duration_s, interact: false, cursorWidth: 0,
      peaks: [new Float32Array(2)], renderFunction: (_, pen) => this.#view.scale && this.waveform.paint(pen, this.#view.scale),
      waveColor: ink.wave, progressColor: ink.played, autoScroll: false, autoCenter: false, hideScrollbar: true,
    });
    const on = (name, heard) => this.#surfer.on(name, heard);
    on("play", () => this.#started());
    on("pause", () => this.#stopped());
    on("finish", () => this.#ended());
    on("timeupdate", () => this.playing && this.#moved(this.#surfer.getCurrentTime())); // also where no frames are drawn
    on("error", (problem) => this.#failed(problem));
    await new Promise((ready) => {
      on("ready", ready);
      on("error", ready);
    });
  }

  #watch() {
    this.ended = new AbortController();
    const { signal } = this.ended;
    const hear = (target, name, heard, more = {}) => target.addEventListener(name, heard, { signal, ...more });
    this.observer = new ResizeObserver(() => this.#resize());
    this.observer.observe(this.ruler);
    hear(this.root, "keydown", (event) => this.#key(event));
    for (const plot of [this.ruler, this.wave, this.canvas]) {
      hear(plot, "pointerdown", (event) => this.#down(event));
      hear(plot, "pointermove", (event) => this.#drawn(event));
      hear(plot, "pointerup", (event) => this.#up(event));
      hear(plot, "pointercancel", () => (this.#drag = null));
    }
    hear(this.rows, "wheel", (event) => this.#wheel(event), { passive: false });
    hear(this.bar, "scroll", () => this.#scrolled());
    hear(matchMedia("(prefers-color-scheme: dark)"), "change", () => this.#repaint());
  }

  // What it does for the page.

  get time_s() {
    return this.#time_s;
  }

  get playing() {
    return this.#surfer.isPlaying();
  }

  /** Play from the playhead on; a loop is played from its beginning when the playhead lies outside of it. */
  async play() {
    const region = this.#region;
    if (region && (this.#time_s < region.start_s || this.#time_s >= region.end_s)) this.seek(region.start_s);
    else if (this.#time_s >= this.duration_s - 0.01) this.seek(0);
    try {
      await this.#surfer.play();
    } catch (problem) {
      this.#failed(problem);
    }
  }

  pause() {
    this.#surfer.pause();
  }

  toggle() {
    return this.playing ? this.pause() : this.play();
  }

  /** Put the playhead somewhere, in seconds. */
  seek(time_s) {
    this.#time_s = Math.min(this.duration_s, Math.max(0, time_s));
    this.#surfer.setTime(this.#time_s);
    this.#follow();
    this.#place();
    this.#tell("seek", { time_s: this.#time_s });
  }

  /** Play a part over and over; `loop(null)` ends that. */
  loop(start_s, end_s) {
    if (start_s === null || start_s === undefined) this.#region = null;
    else {
      const [from, to] = [Math.min(start_s, end_s), Math.max(start_s, end_s)];
      this.#region = { start_s: Math.max(0, from), end_s: Math.min(this.duration_s, to) };
      this.#last_region = this.#region;
    }
    this.#place();
    const region = this.#region;
    const word = region ? say(this.language, "looping", { start: region.start_s.toFixed(2), end: region.end_s.toFixed(2) }) : say(this.language, "loop off");
    this.announce(word);
    this.#tell("loop", region ?? { start_s: null, end_s: null });
  }

  /** End the loop; or loop the chosen label, else the last loop, else what comes next. */
  toggleLoop() {
    if (this.#region) return this.loop(null);
    const chosen = this.lanes.chosen() ?? this.#last_region;
    if (chosen) return this.loop(chosen.start_s, chosen.end_s);
    const start_s = Math.max(0, Math.min(this.#time_s, this.duration_s - LOOP_S));
    this.loop(start_s, Math.min(this.duration_s, start_s + LOOP_S));
  }

  /** The speed, 0.5 to 2; the pitch stays. */
  rate(speed) {
    this.#rate = Math.min(SPEEDS.at(-1), Math.max(SPEEDS[0], speed));
    this.#surfer.setPlaybackRate(this.#rate, true);
    this.#place();
    this.#tell("rate", { rate: this.#rate });
  }

  /** Pixels per second; 0 shows the whole recording. */
  zoom(pixels_per_s, around_s = null) {
    const seen = this.#time_s >= this.#view.start_s && this.#time_s <= this.#view.end_s;
    this.#view.zoom(pixels_per_s, around_s ?? (seen ? this.#time_s : (this.#view.start_s + this.#view.end_s) / 2));
    this.#lay();
    this.#tell("zoom", { pixels_per_s: this.#view.scale });
  }

  zoomBy(factor, around_s = null) {
    this.zoom(this.#view.scale * factor, around_s);
  }

  /** How the spectrogram looks: any of {scale: "mel" | "linear", db, map: "viridis" | "magma" | "grey"}. */
  look(changes) {
    Object.assign(this.looks, changes);
    this.root.setAttribute("aria-busy", "true");
    this.#axis();
    this.redraw();
  }

  /** Show other lanes; what is zoomed, heard and chosen stays. */
  setLanes(lanes) {
    this.lanes.set(lanes);
    this.redraw();
  }

  /** End the player and leave its element empty. */
  destroy() {
    if (this.#destroyed) return;
    this.#destroyed = true;
    cancelAnimationFrame(this.#frame);
    this.ended?.abort();
    this.observer?.disconnect();
    this.#source?.stop();
    this.waveform?.stop();
    if (playing === this) playing = null;
    this.#surfer?.destroy();
    this.root?.remove();
  }

  // What lanes ask of it.

  now() {
    return this.#time_s;
  }

  /** Where a label drawn by keyboard lies: the loop, else half a second from the playhead on. */
  region() {
    if (this.#region) return [this.#region.start_s, this.#region.end_s];
    const start_s = Math.max(0, Math.min(this.#time_s, this.duration_s - 0.1));
    return [start_s, Math.min(this.duration_s, start_s + LABEL_S)];
  }

  announce(text) {
    this.status.textContent = text;
  }

  edited() {
    this.#tell("lanes", { lanes: this.lanes.get() });
  }

  /** Draw again before the next frame is shown. */
  redraw() {
    this.stale = true;
    if (!this.#frame && !this.#destroyed) this.#frame = requestAnimationFrame(() => this.#tick());
  }

  // Playing.

  #started() {
    if (playing && playing !== this) playing.pause();
    playing = this;
    this.#tell("play", { time_s: this.#time_s });
    this.#place();
    this.redraw();
  }

  #stopped() {
    this.#moved(this.#surfer.getCurrentTime());
    this.#place();
    this.#tell("pause", { time_s: this.#time_s });
  }

  #ended() {
    if (this.#region) this.play();
    else this.#place();
  }

  #failed(problem) {
    const message = say(this.language, "silent", { why: problem?.message || problem?.name || String(problem) });
    Object.assign(this.note, { textContent: message, hidden: false });
    this.#tell("error", { message });
  }

  #tick() {
    this.#frame = 0;
    if (this.#destroyed) return;
    if (this.playing) {
      this.#moved(this.#surfer.getCurrentTime());
      this.#frame = requestAnimationFrame(() => this.#tick());
    }
    if (this.stale) this.#draw();
  }

  #moved(time_s) {
    if (this.#destroyed || !this.lanes) return;
    if (this.playing && this.#region && time_s >= this.#region.end_s) return this.seek(this.#region.start_s);
    if (time_s === this.#time_s) return;
    this.#time_s = Math.min(this.duration_s, time_s);
    if (this.playing) this.#follow();
    this.#place();
    this.#tell("timeupdate", { time_s: this.#time_s });
  }

  /** Turn the page when the playhead leaves what is seen. */
  #follow() {
    const view = this.#view;
    if (this.#drag || (this.#time_s >= view.start_s && this.#time_s <= view.end_s)) return;
    const lead = this.playing ? 0.05 : 0.5;
    if (view.scroll(this.#time_s - lead * (view.end_s - view.start_s))) this.#lay(false);
  }

  // Drawing.

  #ink() {
    const style = getComputedStyle(this.root);
    const colour = (name) => style.getPropertyValue(`--ep-${name}`).trim();
    return { text: colour("ink"), soft: colour("soft"), line: colour("line"), accent: colour("accent"), wave: colour("wave"),
      played: colour("played"), font: `12px ${style.fontFamily}` };
  }

  #repaint() {
    this.ink = this.#ink();
    this.#paint();
    this.redraw();
  }

  /** Paint the waveform anew. */
  #paint() {
    this.#surfer.setOptions({ waveColor: this.ink.wave, progressColor: this.ink.played });
  }

  #resize() {
    const width = this.ruler.clientWidth;
    if (!width || width === this.#view.width) return;
    this.#view.resize(width);
    this.ink ??= this.#ink();
    this.#axis();
    this.#lay();
  }

  /** Scale or place have changed: everything that lies along time follows. */
  #lay(scaled = true) {
    const view = this.#view;
    const whole = Math.round(view.duration_s * view.scale);
    if (scaled) {
      this.#surfer.zoom(view.fitted ? 0 : (whole - 1e-3) / view.duration_s);
      this.bar.firstChild.style.width = `${this.bar.clientWidth - view.width + whole}px`;
      this.bar.hidden = view.fitted;
    }
    const left = Math.round(view.start_s * view.scale);
    this.#surfer.setScroll(left);
    if (Math.abs(this.bar.scrollLeft - left) > 1) this.bar.scrollLeft = left;
    this.#place();
    this.redraw();
  }

  #scrolled() {
    const view = this.#view;
    if (Math.abs(this.bar.scrollLeft - view.start_s * view.scale) <= 1) return;
    if (view.scroll(this.bar.scrollLeft / view.scale)) this.#lay(false);
  }

  #draw() {
    this.stale = false;
    if (!this.#view.width) return;
    this.waveform.see(this.#view);
    this.lanes.draw(this.ink);
    drawTimes(prepare(this.ruler, this.#view.width, RULER_HEIGHT), this.#view, this.ink, RULER_HEIGHT);
    this.picture.draw();
    this.root.setAttribute("aria-busy", String(Boolean(this.#source?.busy) || this.stale));
  }

  #axis() {
    const highest = this.#source?.highest_hz;
    const ticks = frequencies(this.looks.scale, highest).map(({ text, share }) => {
      const tick = make("span", { class: "ep-tick" }, text);
      tick.style.bottom = `${100 * share}%`;
      return tick;
    });
    this.axis.replaceChildren(...(highest ? ticks : [say(this.language, "spectrogram")]));
    if (highest) this.canvas.setAttribute("aria-label", say(this.language, "spectrogram of", { top: highest / 1000 }));
  }

  /** Playhead, loop, clock and slider. */
  #place() {
    const view = this.#view;
    const x = view.x(this.#time_s);
    this.head.style.transform = `translateX(${x.toFixed(2)}px)`;
    this.head.hidden = x < 0 || x > view.width;
    const region = this.#region;
    this.loop_box.hidden = !region;
    if (region) Object.assign(this.loop_box.style, { left: `${view.x(region.start_s)}px`, width: `${(region.end_s - region.start_s) * view.scale}px` });
    this.controls.update({ playing: this.playing, time_s: this.#time_s, duration_s: this.duration_s, rate: this.#rate, looping: Boolean(region) });
    const value = this.#time_s.toFixed(1);
    if (this.slider.getAttribute("aria-valuenow") === value) return;
    this.slider.setAttribute("aria-valuenow", value);
    this.slider.setAttribute("aria-valuetext", say(this.language, "position of", { time: clock(this.#time_s), length: clock(this.duration_s) }));
  }

  // Pointer and keys.

  #down(event) {
    if (event.button !== 0) return;
    const x = event.clientX - this.ruler.getBoundingClientRect().left;
    const region = this.#region;
    let from_s = this.#view.time(x);
    if (region && Math.abs(x - this.#view.x(region.start_s)) <= EDGE) from_s = region.end_s;
    else if (region && Math.abs(x - this.#view.x(region.end_s)) <= EDGE) from_s = region.start_s;
    this.#drag = { x, from_s, moved: false };
    event.currentTarget.setPointerCapture(event.pointerId);
    this.slider.focus({ preventScroll: true });
    event.preventDefault();
  }

  #drawn(event) {
    if (!this.#drag) return;
    const x = event.clientX - this.ruler.getBoundingClientRect().left;
    if (!this.#drag.moved && Math.abs(x - this.#drag.x) < CLICK) return;
    this.#drag.moved = true;
    const [from, to] = [this.#drag.from_s, this.#view.time(x)];
    this.#region = { start_s: Math.min(from, to), end_s: Math.max(from, to) };
    this.#place();
  }

  #up() {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag) return;
    const region = this.#region;
    if (drag.moved && region.end_s - region.start_s >= 0.01) {
      this.loop(region.start_s, region.end_s);
      if (this.#time_s < region.start_s || this.#time_s > region.end_s) this.seek(region.start_s);
      return;
    }
    const time_s = this.#view.time(drag.x);
    if (region && (time_s < region.start_s || time_s > region.end_s)) this.loop(null);
    this.seek(time_s);
  }

  #wheel(event) {
    const view = this.#view;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      const x = event.clientX - this.ruler.getBoundingClientRect().left;
      return this.zoomBy(2 ** (-event.deltaY / 200), view.time(x));
    }
    const by = event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX;
    if (!by || view.fitted) return;
    event.preventDefault();
    if (view.scroll(view.start_s + by / view.scale)) this.#lay(false);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea")) return;
    if (event.target.closest("button, summary") && [" ", "Enter"].includes(event.key)) return;
    const step_s = event.shiftKey ? KEY_S.leap : KEY_S.step;
    const speed = (by) => this.rate(SPEEDS[Math.min(SPEEDS.length - 1, Math.max(0, this.#speed() + by))]);
    const zoom_in = () => this.zoomBy(2);
    const action = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.seek(this.#time_s - step_s),
      ArrowRight: () => this.seek(this.#time_s + step_s),
      Home: () => this.seek(0),
      End: () => this.seek(this.duration_s),
      "+": zoom_in,
      "=": zoom_in,
      "-": () => this.zoomBy(0.5),
      "[": () => speed(-1),
      "]": () => speed(1),
      l: () => this.toggleLoop(),
      L: () => this.toggleLoop(),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  /** Place of the speed among those of the list. */
  #speed() {
    const places = SPEEDS.map((speed, at) => [Math.abs(speed - this.#rate), at]);
    return places.sort((a, b) => a[0] - b[0])[0][1];
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
