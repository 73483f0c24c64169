"""Gradient-boosted trees on one vector per clip, fitted by LightGBM and run as tensors.

G. Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NeurIPS 2017, with the softmax objective:
one tree per class and round. The number of rounds is chosen by cross-validation inside the training rows, whole groups
(speakers, sources) held out at a time: the round with the lowest log-loss on groups unheard by the trees; then all
training rows are fitted with as many rounds. The trees are rewritten as arrays of nodes through which every clip walks
at once, so that what was fitted is scored, exported and shipped without LightGBM. The logits equal LightGBM's own
`predict(raw_score=True)`.

A tree jumps at its thresholds: two evaluations of one front end that differ in the seventh digit give the same answer,
except for the rare clip that lies that close to one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import numpy as np
import torch
from sklearn.model_selection import GroupKFold
from torch import nn

from earnest.errors import DataError, MissingExtra
from earnest.models import Example

SHAPE = "clip"
FIXED_INPUT = False
EXAMPLE = Example(options={"rounds": 5})
INNER_FOLDS = 4
PATIENCE = 30  # rounds without a lower held-out log-loss


@dataclass(frozen=True)
class Config:
    """Size and number of the trees.

    Attributes
    ----------
    rounds : trees per class; `auto` is chosen on held-out training groups.
    max_rounds : the most that `auto` tries.
    learning_rate : share of each tree's answer that is added.
    leaves, depth : the most leaves of a tree, and the most questions on the way to one.
    min_clips : training clips that a leaf holds at least.
    feature_fraction : share of the features that each tree may ask for.
    bins : thresholds that are tried per feature; fitting takes about a third of the time it takes with LightGBM's 255.
    l2 : weight of the squared leaf values in the objective.
    balanced : weigh classes inversely to their number of training clips.
    """

    rounds: int | Literal["auto"] = "auto"
    max_rounds: int = 400
    learning_rate: float = 0.1
    leaves: int = 15
    depth: int = 6
    min_clips: int = 5
    feature_fraction: float = 0.5
    bins: int = 63
    l2: float = 1.0
    balanced: bool = False


DECIMALS = 3
"""Training features, in deviations, are rounded to so many decimals: between values that differ by rounding alone no
tree can set a threshold, on either side of which the exported front end could then fall."""


class Decision(nn.Module):
    """Fitted trees as a network of buffers; it compares in double precision, as LightGBM does.

    Parameters
    ----------
    state : tensors `feature`, `left`, `right` (nodes,) int64 and `threshold`, `value` (nodes,) float64 of all trees'
        nodes in one row, `roots` (rounds · outputs,) int64, where each tree begins, the classes of a round side by
        side, and `depth`, `outputs` (0 dims, int64). A leaf is its own left and right.
    """

    feature: torch.Tensor
    threshold: torch.Tensor
    left: torch.Tensor
    right: torch.Tensor
    value: torch.Tensor
    roots: torch.Tensor

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        for name, value in state.items():
            self.register_buffer(name, value.clone())
        self.steps = int(state["depth"])
        self.classes = int(state["outputs"])

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of finite clip-level features (batch, 1, dims); `lengths` is not needed."""
        return self.decisions(features[:, 0, :].double()).to(features.dtype)

    def decisions(self, rows: torch.Tensor) -> torch.Tensor:
        """Sums of leaf values (batch, outputs) of rows (batch, dims) float64."""
        node = self.roots.expand(rows.shape[0], -1)  # (batch, trees): where every clip stands in every tree
        for _ in range(self.steps):
            asked = rows.gather(1, self.feature[node])
            node = torch.where(asked <= self.threshold[node], self.left[node], self.right[node])
        return self.value[node].reshape(rows.shape[0], -1, self.classes).sum(dim=1)  # over rounds


class Estimator:
    """Fits the trees and hands them back as a network.

    Parameters
    ----------
    config : size and number of the trees.
    outputs : number of logits; classes that the training rows do not hold get probability 0.

    Raises
    ------
    MissingExtra : LightGBM is not installed.
    """

    def __init__(self, config: Config, outputs: int) -> None:
        self.config = config
        self.outputs = outputs
        self.library = _library()

    def fit(self, features: np.ndarray, targets: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> Decision:
        """Choose the number of rounds, fit on all rows.

        Parameters
        ----------
        features : training rows (clips, dims), finite.
        targets : class numbers (clips,).
        groups : what must not stand on both sides of the inner cross-validation (clips,).
        rng : draws the features that each tree may ask for.

        Raises
        ------
        DataError : fewer than two classes, or features that are not finite.
        """
        return Decision(_state(self.booster(features, targets, groups, rng).dump_model(), self.outputs))

    def booster(self, features: np.ndarray, targets: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> Any:
        """LightGBM's own model of the rows, a `lightgbm.Booster`; parameters and errors as for `fit`."""
        count = len(np.unique(targets))
        if count < 2:
            raise DataError(
                f"boosted trees need training clips of at least two classes, got {count}.",
                "Check the labels and the split: every class should come from several groups.",
            )
        if not np.isfinite(features).all():
            raise DataError(
                "boosted trees need finite features; some are NaN or infinite.", "Check the front end's options."
            )
        numbers = self._numbers(int(rng.integers(2**31)))
        rows = self.library.Dataset(
            np.round(features.astype(np.float64), DECIMALS),
            targets,
            weight=_weights(targets) if self.config.balanced else None,
            params=numbers,
            free_raw_data=False,
        )
        return self.library.train(numbers, rows, num_boost_round=self._rounds(numbers, rows, groups))

    def restore(self, state: Mapping[str, torch.Tensor]) -> Decision:
        """The network again, from its `state_dict`."""
        return Decision(state)

    def _numbers(self, seed: int) -> dict[str, Any]:
        """LightGBM's parameters; the same rows and seed give the same trees, whatever the number of threads."""
        return {
            "objective": "multiclass",
            "num_class": self.outputs,
            "learning_rate": self.config.learning_rate,
            "num_leaves": self.config.leaves,
            "max_depth": self.config.depth,
            "min_data_in_leaf": self.config.min_clips,
            "feature_fraction": self.config.feature_fraction,
            "max_bin": self.config.bins,
            "lambda_l2": self.config.l2,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": torch.get_num_threads(),
            "verbosity": -1,
        }

    def _rounds(self, numbers: dict[str, Any], rows: Any, groups: np.ndarray) -> int:
        """The number of rounds after which the mean log-loss on held-out groups is lowest."""
        if self.config.rounds != "auto":
            return self.config.rounds
        if len(np.unique(groups)) < 2:  # one group only: rows are all that can be held out
            groups = np.arange(len(groups))
        splitter = GroupKFold(min(INNER_FOLDS, len(np.unique(groups))))
        record = self.library.cv(
            numbers,
            rows,
            num_boost_round=self.config.max_rounds,
            folds=list(splitter.split(groups, groups=groups)),
            callbacks=[self.library.early_stopping(PATIENCE, verbose=False)],
        )
        return len(record["valid multi_logloss-mean"])  # cut behind the best round


def _library() -> ModuleType:
    try:
        import lightgbm
    except ModuleNotFoundError as error:
        raise MissingExtra("lightgbm", "boosting", "the model lightgbm") from error
    return lightgbm


def _weights(targets: np.ndarray) -> np.ndarray:
    """A weight for every row, so that each class weighs the same and the mean weight is 1."""
    _, member, counts = np.unique(targets, return_inverse=True, return_counts=True)
    weights: np.ndarray = len(targets) / (len(counts) * counts[member])
    return weights


def _state(model: Mapping[str, Any], outputs: int) -> dict[str, torch.Tensor]:
    """LightGBM's `dump_model` as `Decision`'s tensors."""
    nodes: list[list[float]] = []  # feature, threshold, left, right, value
    roots, depth = [], 0
    for tree in model["tree_info"]:
        roots.append(len(nodes))
        depth = max(depth, _lay_out(tree["tree_structure"], nodes))
    feature, threshold, left, right, value = zip(*nodes, strict=True)
    return {
        "feature": torch.tensor(feature, dtype=torch.int64),
        "threshold": torch.tensor(threshold, dtype=torch.float64),
        "left": torch.tensor(left, dtype=torch.int64),
        "right": torch.tensor(right, dtype=torch.int64),
        "value": torch.tensor(value, dtype=torch.float64),
        "roots": torch.tensor(roots, dtype=torch.int64),
        "depth": torch.tensor(depth),
        "outputs": torch.tensor(outputs),
    }


def _lay_out(branch: Mapping[str, Any], nodes: list[list[float]]) -> int:
    """Append a branch's nodes, its top first; how many questions lead to its deepest leaf."""
    place = len(nodes)
    if "leaf_value" in branch:
        nodes.append([0, 0.0, place, place, branch["leaf_value"]])
        return 0
    nodes.append([branch["split_feature"], branch["threshold"], place, place, 0.0])
    depths = []
    for side, child in ((2, "left_child"), (3, "right_child")):
        nodes[place][side] = len(nodes)
        depths.append(_lay_out(branch[child], nodes))
    return 1 + max(depths)
