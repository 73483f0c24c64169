"""Use a bundle with numpy and onnxruntime only: predictor, streamer and listener."""

from earnest.runtime.bundle import Bundle
from earnest.runtime.live import Listener, Piece
from earnest.runtime.predictor import Prediction, Predictor
from earnest.runtime.streamer import Event, Streamer

__all__ = ["Bundle", "Event", "Listener", "Piece", "Prediction", "Predictor", "Streamer"]
