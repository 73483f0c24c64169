"""One file per front end: from waveforms to features."""
