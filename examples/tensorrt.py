"""A bundle's model on a graphics processor through ONNX Runtime, beside the processor: the same scores? how fast?

python examples/tensorrt.py BUNDLE                    in TensorRT, float32 with TF32 as TensorRT does it
python examples/tensorrt.py BUNDLE --half             in half precision where TensorRT finds that faster
python examples/tensorrt.py BUNDLE --provider CUDAExecutionProvider

Needs an NVIDIA card and `pip install onnxruntime-gpu tensorrt-cu12` in an environment without the package onnxruntime.
Building the engine takes a minute; it is kept in BUNDLE-tensorrt/ and only fits the card and the version that made it.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime

from earnest.runtime import Bundle

WARM_UP, CALLS = 10, 200


def main() -> None:
    """Compare and time one window after the other, and batches."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundle", type=Path)
    options.add_argument("--model", default="model.onnx")
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--half", action="store_true", help="allow half precision")
    options.add_argument("--provider", default="TensorrtExecutionProvider")
    given = options.parse_args()
    if given.provider not in onnxruntime.get_available_providers():
        sys.exit(f"{given.provider} is not there; this onnxruntime has {onnxruntime.get_available_providers()}.")
    bundle = Bundle.open(given.bundle)
    path, samples = str(bundle.path(given.model)), bundle.window_samples
    exact = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    chosen = (given.provider, settings(given, samples) if given.provider.startswith("Tensorrt") else {})
    others = [name for name in ("CUDAExecutionProvider",) if name in onnxruntime.get_available_providers()]
    fast = onnxruntime.InferenceSession(path, providers=[chosen, *others, "CPUExecutionProvider"])
    print(f"runs in: {', '.join(fast.get_providers())}")
    rng = np.random.default_rng(0)
    for batch in (1, given.batch):
        audio = (0.1 * rng.standard_normal((batch, samples))).astype(np.float32)
        (right,), (scores,) = (session.run(["scores"], {"audio": audio}) for session in (exact, fast))
        times = [milliseconds(session, audio) for session in (exact, fast)]
        print(
            f"batch {batch}: largest difference {np.abs(right - scores).max():.1e}, "
            f"processor {times[0]:.2f} ms, {given.provider} {times[1]:.2f} ms"
        )


def settings(given: argparse.Namespace, samples: int) -> dict[str, object]:
    """What TensorRT is told: the sizes that it plans for, and where its plans are kept."""
    folder = given.bundle.with_name(f"{given.bundle.name}-tensorrt")
    folder.mkdir(exist_ok=True)
    return {
        "trt_fp16_enable": given.half,
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder),
        "trt_profile_min_shapes": f"audio:1x{samples}",
        "trt_profile_opt_shapes": f"audio:{given.batch}x{samples}",
        "trt_profile_max_shapes": f"audio:{given.batch}x{samples}",
    }


def milliseconds(session: onnxruntime.InferenceSession, audio: np.ndarray) -> float:
    """The median time of a call, audio and scores carried to the card and back."""
    times = []
    for _ in range(WARM_UP + CALLS):
        start = time.perf_counter()
        session.run(["scores"], {"audio": audio})
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[WARM_UP:]))


if __name__ == "__main__":
    main()
