// The microphone: permission, samples as they come, and the whole recording as a WAV file at the end.

import { t } from "./language.js";

const LONGEST_S = 600; // a recording ends by itself here; its samples are kept in the page

/** A recording that is going on. `hear(Int16Array)` gets pieces of it, `full()` says that it is as long as it may be. */
export class Recorder {
  static async start(hear, full) {
    if (!navigator.mediaDevices?.getUserMedia)
      throw Object.assign(new Error(t("no microphone")), { remedy: t("no microphone remedy") });
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
    } catch (error) {
      const denied = error.name === "NotAllowedError";
      throw Object.assign(new Error(t(denied ? "microphone denied" : "no microphone")),
        { remedy: t(denied ? "microphone denied remedy" : "no microphone remedy") });
    }
    const recorder = new Recorder(stream, hear, full);
    await recorder.#connect();
    return recorder;
  }

  constructor(stream, hear, full) {
    Object.assign(this, { stream, hear, full });
    this.context = new AudioContext();
    this.rate = this.context.sampleRate; // Hz
    this.pieces = [];
    this.samples = 0;
  }

  async #connect() {
    await this.context.audioWorklet.addModule("/static/recorder-worklet.js");
    const worklet = new AudioWorkletNode(this.context, "recorder", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    worklet.port.onmessage = ({ data }) => this.#take(data);
    this.context.createMediaStreamSource(this.stream).connect(worklet);
    await this.context.resume();
  }

  #take(piece) {
    if (this.stopped) return;
    this.pieces.push(piece);
    this.samples += piece.length;
    this.hear(piece);
    if (this.samples >= LONGEST_S * this.rate) this.full();
  }

  get seconds() {
    return this.samples / this.rate;
  }

  /** End the recording; the answer is the WAV file of all of it. */
  stop() {
    this.stopped = true;
    for (const track of this.stream.getTracks()) track.stop();
    this.context.close();
    return wav(this.pieces, this.samples, this.rate);
  }
}

/** 16-bit mono samples as a WAV file. */
function wav(pieces, samples, rate) {
  const head = new DataView(new ArrayBuffer(44));
  const words = (at, text) => [...text].forEach((letter, place) => head.setUint8(at + place, letter.charCodeAt(0)));
  words(0, "RIFF");
  head.setUint32(4, 36 + 2 * samples, true);
  words(8, "WAVEfmt ");
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true); // PCM
  head.setUint16(22, 1, true); // one channel
  head.setUint32(24, rate, true);
  head.setUint32(28, 2 * rate, true);
  head.setUint16(32, 2, true);
  head.setUint16(34, 16, true);
  words(36, "data");
  head.setUint32(40, 2 * samples, true);
  return new Blob([head, ...pieces], { type: "audio/wav" });
}
