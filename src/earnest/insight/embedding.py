"""The embedding map: the test clips of one fold in two dimensions, as the model of that fold places them.

Every fold trains a network of its own, and the spaces of two networks have nothing to do with each other; so the map
shows one fold, the one whose model ships, and of it only clips which that model has never heard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import nn

from earnest.frontends import Features
from earnest.training.batches import Examples
from earnest.training.evaluate import Evaluator
from earnest.training.pipeline import AnyNormaliser, Members

CLIPS, FEWEST = 400, 20
COMPONENTS = 50
PERPLEXITY = 30.0


class Embedder(nn.Module):
    """Features to embeddings, those of several members side by side."""

    def __init__(self, normaliser: AnyNormaliser, models: Sequence[nn.Module]) -> None:
        super().__init__()
        self.normaliser = normaliser
        self.models = nn.ModuleList(models)

    def forward(self, features: Features, lengths: Features | None = None) -> torch.Tensor:
        """(batch, frames, bands) → (batch, dims)."""
        normal = self.normaliser(features)
        return torch.cat([model.embed(normal, lengths) for model in self.models], dim=1)  # type: ignore[operator]


def embed(
    normaliser: AnyNormaliser, model: nn.Module, examples: Examples, rows: Sequence[int]
) -> tuple[list[int], np.ndarray] | None:
    """Embeddings of at most 400 test clips, the mean over each clip's windows, on their first 50 principal components.

    Returns
    -------
    rows, values : the rows that were taken, and (clips, components) float32; None where the model has no embedding,
    or where there are too few clips or too little difference for a map.
    """
    models = list(model.models) if isinstance(model, Members) else [model]
    if len(rows) < FEWEST or not all(hasattr(one, "embed") for one in models):
        return None
    chosen = sorted(np.random.default_rng(0).permutation(np.array(rows))[:CLIPS].tolist())
    evaluator = Evaluator(examples.windows, chosen)
    values, _ = evaluator.probabilities(Embedder(normaliser, models), lambda embeddings: embeddings)
    centred = values - values.mean(0)
    if not np.isfinite(centred).all() or float(np.abs(centred).max()) < 1e-9:
        return None
    left, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(1)])  # a component's sign is arbitrary: fix it
    return chosen, (left * sizes * signs)[:, :COMPONENTS].astype(np.float32)


def chart(
    kept: tuple[dict[str, Any], dict[str, np.ndarray]] | None, predictions: pl.DataFrame, ids: Sequence[str], fold: str
) -> dict[str, Any] | None:
    """The map of one fold; None where its model has no embedding.

    t-SNE (van der Maaten and Hinton 2008) of the principal components, from a start along the first two of them, on
    one thread, so that it comes out the same again.
    """
    if kept is None or "embedding" not in kept[1]:
        return None
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    facts, arrays = kept
    values = arrays["embedding"]
    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    with threadpool_limits(limits=1):
        places = TSNE(2, perplexity=perplexity, init=_start(values), random_state=0).fit_transform(values)
    told = {row["id"]: row for row in predictions.filter(pl.col("fold") == fold).iter_rows(named=True)}
    points = [
        {
            "id": ids[row],
            "x": round(float(x), 3),
            "y": round(float(y), 3),
            "label": told[ids[row]]["target"],
            "prediction": told[ids[row]]["prediction"],
        }
        for row, (x, y) in zip(facts["embedded"], places, strict=True)
        if ids[row] in told
    ]
    total = predictions.filter(pl.col("fold") == fold)["id"].n_unique()
    return {"fold": fold, "points": points, "total": total, "perplexity": round(perplexity, 1)}


def _start(values: np.ndarray) -> np.ndarray:
    """The first two components (clips, 2), at the scale that t-SNE starts from."""
    start = np.zeros((len(values), 2), np.float32)
    start[:, : values.shape[1]] = values[:, :2]
    return start / max(float(start[:, 0].std()), 1e-12) * np.float32(1e-4)
