// Runs beside the page: the microphone's samples, float −1…1, become 16-bit ones in pieces of about a tenth of a second.

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.piece = new Int16Array(Math.round(sampleRate / 10));
    this.filled = 0;
  }

  process([channels]) {
    const [samples] = channels;
    if (!samples) return true; // no microphone yet
    for (const sample of samples) {
      this.piece[this.filled++] = Math.round(32767 * Math.min(1, Math.max(-1, sample)));
      if (this.filled === this.piece.length) {
        this.port.postMessage(this.piece.slice());
        this.filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
