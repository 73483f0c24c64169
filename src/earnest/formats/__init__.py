"""Lists of recordings in and out: Kaldi, JSONL, AudioFolder."""
