"""Use a bundle with numpy and onnxruntime only: predictor and streamer."""
