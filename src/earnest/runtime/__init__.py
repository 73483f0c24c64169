"""Use a bundle with numpy and onnxruntime only: predictor and streamer."""

from earnest.runtime.bundle import Bundle
from earnest.runtime.predictor import Prediction, Predictor
from earnest.runtime.streamer import Event, Streamer

__all__ = ["Bundle", "Event", "Prediction", "Predictor", "Streamer"]
