"""From a scored model to a bundle: ONNX, parity, model card."""
