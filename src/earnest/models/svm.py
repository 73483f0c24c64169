"""A support-vector machine on one vector per clip: standardise, RBF or linear kernel, calibrated probabilities.

Fitting is scikit-learn's `SVC`. C and gamma are chosen by cross-validation inside the training rows, whole groups
(speakers, sources) held out at a time. The fitted decision is then written as a torch network which computes the kernel
against the support vectors exactly, so that the same numbers are scored, exported and shipped: the largest logit is
what `SVC.predict` answers with `break_ties=True`. Logits are the one-vs-rest decision values times a temperature
(Guo et al., "On Calibration of Modern Neural Networks", 2017) fitted on the held-out decisions of the same inner
cross-validation, so that their softmax is a calibrated probability.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from sklearn.svm import SVC
from torch import nn

from earnest.errors import DataError

SHAPE = "clip"
FIXED_INPUT = False
INNER_FOLDS = 4
C_GRID = (1.0, 4.0, 16.0)
GAMMA_GRID = (0.25, 0.5, 1.0)  # times 1 / dims
LINEAR_C_GRID = (0.0003, 0.001, 0.003, 0.01, 0.03)
ABSENT_LOGIT = -30.0  # of a class that the training rows do not hold: a probability of about 1e-13


@dataclass(frozen=True)
class Config:
    """Kernel and its numbers; `auto` is chosen by the inner cross-validation.

    Attributes
    ----------
    kernel : `rbf`, exp(−gamma · |x − s|²), or `linear`, x · s, on standardised features.
    C : price of a margin violation, above 0.
    gamma : of the RBF kernel, times 1 / dims: 1 is scikit-learn's `scale` for standardised features.
    search : false takes the middle of the grid for whatever is `auto` instead of searching.
    balanced : weigh classes inversely to their number of training clips.
    """

    kernel: Literal["rbf", "linear"] = "rbf"
    C: float | Literal["auto"] = "auto"
    gamma: float | Literal["auto"] = "auto"
    search: bool = True
    balanced: bool = False


class Decision(nn.Module):
    """A fitted support-vector machine as a network of buffers; it computes in double precision, as the fit did.

    Parameters
    ----------
    state : tensors `mean`, `scale` (dims,), `vectors` (vectors, dims), `coefficients` (pairs, vectors), `intercepts`
        (pairs,), `gamma`, `temperature` (0 dims), `classes` (classes,) int64 and `outputs` (0 dims, int64). Gamma 0
        means a linear kernel: no vectors, and coefficients (pairs, dims).
    """

    mean: torch.Tensor
    scale: torch.Tensor
    vectors: torch.Tensor
    coefficients: torch.Tensor
    intercepts: torch.Tensor
    gamma: torch.Tensor
    temperature: torch.Tensor
    classes: torch.Tensor
    _first: torch.Tensor
    _second: torch.Tensor
    _places: torch.Tensor
    _absent: torch.Tensor

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        for name, value in state.items():
            self.register_buffer(name, value.clone())
        count = len(state["classes"])
        self.linear = float(state["gamma"]) == 0.0
        first, second = _pairs(count)
        one_hot = torch.eye(count, dtype=torch.float64)
        self.register_buffer("_first", one_hot[first], persistent=False)  # (pairs, classes)
        self.register_buffer("_second", one_hot[second], persistent=False)
        places = torch.eye(int(state["outputs"]), dtype=torch.float64)[state["classes"].cpu()]  # (classes, outputs)
        self.register_buffer("_places", places, persistent=False)
        self.register_buffer("_absent", ABSENT_LOGIT * (1.0 - places.sum(dim=0)), persistent=False)

    def forward(self, features: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Logits (batch, outputs) of clip-level features (batch, 1, dims); `lengths` is not needed."""
        logits = self.decisions(features[:, 0, :].double()) * self.temperature
        return (logits @ self._places + self._absent).to(features.dtype)

    def decisions(self, rows: torch.Tensor) -> torch.Tensor:
        """One-vs-rest decision values (batch, classes) of rows (batch, dims), as `SVC.decision_function` gives them."""
        rows = (rows - self.mean) / self.scale
        if self.linear:
            kernel = rows
        else:
            products = rows @ self.vectors.T  # (batch, vectors)
            squares = (rows**2).sum(dim=1, keepdim=True) + (self.vectors**2).sum(dim=1) - 2.0 * products
            kernel = torch.exp(-self.gamma * squares.clamp(min=0.0))
        pairs = kernel @ self.coefficients.T + self.intercepts  # (batch, pairs), positive for the first of each pair
        if len(self.classes) == 2:
            return torch.cat([pairs, -pairs], dim=1)
        won = (pairs >= 0.0).double()
        votes = won @ self._first + (1.0 - won) @ self._second
        margins = pairs @ self._first - pairs @ self._second
        return votes + margins / (3.0 * (margins.abs() + 1.0))


class Estimator:
    """Fits the machine and hands back its decision as a network.

    Parameters
    ----------
    config : kernel and its numbers.
    outputs : number of logits; classes that the training rows do not hold get probability 0.
    """

    def __init__(self, config: Config, outputs: int) -> None:
        self.config = config
        self.outputs = outputs

    def fit(self, features: np.ndarray, targets: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> Decision:
        """Choose C and gamma, fit on all rows, calibrate.

        Parameters
        ----------
        features : training rows (clips, dims), finite.
        targets : class numbers (clips,).
        groups : what must not stand on both sides of the inner cross-validation (clips,).
        rng : deals the groups into inner folds.

        Raises
        ------
        DataError : fewer than two classes, or features that are not finite.
        """
        classes = np.unique(targets)
        if len(classes) < 2:
            raise DataError(
                f"an SVM needs training clips of at least two classes, got {len(classes)}.",
                "Check the labels and the split: every class should come from several groups.",
            )
        if not np.isfinite(features).all():
            raise DataError("an SVM needs finite features; some are NaN or infinite.", "Check the front end's options.")
        rows = features.astype(np.float64)
        mean, scale = rows.mean(axis=0), rows.std(axis=0)
        scale[scale < 1e-8 * (1.0 + np.abs(mean))] = 1.0
        rows = (rows - mean) / scale
        folds = _inner_folds(groups, rng)
        candidates = self._candidates(rows.shape[1])
        products = rows @ rows.T  # every machine's kernel is made of these
        held_out = [self._held_out(products, targets, folds, *candidate) for candidate in candidates]
        best = int(np.argmax([_accuracy(values, targets) for values in held_out]))  # the first of equals
        price, gamma = candidates[best]
        machine = self._machine(price).fit(_kernel(products, gamma), targets)
        temperature = _temperature(held_out[best], targets)
        vectors = rows[machine.support_]
        return Decision(_state(machine, vectors, mean, scale, gamma, temperature, self.outputs))

    def restore(self, state: Mapping[str, torch.Tensor]) -> Decision:
        """The network again, from its `state_dict`."""
        return Decision(state)

    def _candidates(self, dims: int) -> list[tuple[float, float]]:
        """Pairs of C and gamma to try (gamma 0 for the linear kernel)."""
        linear = self.config.kernel == "linear"
        prices: tuple[float, ...] = LINEAR_C_GRID if linear else C_GRID
        widths: tuple[float, ...] = (0.0,) if linear else GAMMA_GRID
        if not self.config.search:
            prices, widths = (prices[len(prices) // 2],), (widths[len(widths) // 2],)
        if self.config.C != "auto":
            prices = (float(self.config.C),)
        if self.config.gamma != "auto" and not linear:
            widths = (float(self.config.gamma),)
        return [(price, width / dims) for price, width in itertools.product(prices, widths)]

    def _machine(self, price: float) -> SVC:
        return SVC(
            C=price,
            kernel="precomputed",
            decision_function_shape="ovr",
            break_ties=True,
            class_weight="balanced" if self.config.balanced else None,
            cache_size=400,
        )

    def _held_out(
        self, products: np.ndarray, targets: np.ndarray, folds: np.ndarray, price: float, gamma: float
    ) -> np.ndarray:
        """Decision values (clips, outputs) from machines that did not see the clip's group; NaN where none could."""
        values = np.full((len(targets), self.outputs), np.nan)
        kernel = _kernel(products, gamma)
        for fold in np.unique(folds):
            train, test = folds != fold, folds == fold
            classes = np.unique(targets[train])
            if len(classes) < 2:
                continue
            machine = self._machine(price).fit(kernel[np.ix_(train, train)], targets[train])
            decisions = machine.decision_function(kernel[np.ix_(test, train)])
            if len(classes) == 2:
                decisions = np.stack([-decisions, decisions], axis=1)
            block = np.full((int(test.sum()), self.outputs), decisions.min() - 1.0)
            block[:, classes] = decisions
            values[test] = block
        return values


def _kernel(products: np.ndarray, gamma: float) -> np.ndarray:
    """The kernel of all rows with each other, from their scalar products (rows, rows); gamma 0 is the linear one."""
    if gamma == 0.0:
        return products
    lengths = products.diagonal()
    squares = lengths[:, None] + lengths - 2.0 * products
    return np.asarray(np.exp(-gamma * np.maximum(squares, 0.0)))


def _inner_folds(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An inner fold number for every row; whole groups, the largest dealt first to the emptiest fold."""
    names, member, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(names) < 2:  # one group only: rows are all that can be held out
        return rng.permutation(len(groups)) % INNER_FOLDS
    order = rng.permutation(len(names))
    order = order[np.argsort(-counts[order], kind="stable")]
    load = np.zeros(min(INNER_FOLDS, len(names)))
    fold_of = np.empty(len(names), dtype=np.int64)
    for name in order:
        fold_of[name] = int(np.argmin(load))
        load[fold_of[name]] += counts[name]
    return fold_of[member]


def _accuracy(values: np.ndarray, targets: np.ndarray) -> float:
    """Share of correct held-out decisions; 0 where nothing could be held out."""
    known = np.isfinite(values).all(axis=1)
    if not known.any():
        return 0.0
    return float(np.mean(values[known].argmax(axis=1) == targets[known]))


def _temperature(values: np.ndarray, targets: np.ndarray) -> float:
    """The factor on decision values that minimises the log-loss of their softmax; 1 where nothing could be held out."""
    known = np.isfinite(values).all(axis=1)
    if not known.any():
        return 1.0
    values, targets = values[known], targets[known]
    at = np.arange(len(targets))

    def log_loss(log_factor: float) -> float:
        logits = values * np.exp(log_factor)
        logits = logits - logits.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[at, targets]))

    return float(np.exp(minimize_scalar(log_loss, bounds=(-3.0, 3.0), method="bounded").x))


def _state(
    machine: SVC,
    vectors: np.ndarray,
    mean: np.ndarray,
    scale: np.ndarray,
    gamma: float,
    temperature: float,
    outputs: int,
) -> dict[str, torch.Tensor]:
    """The fitted machine as `Decision`'s tensors."""
    classes = np.asarray(machine.classes_, dtype=np.int64)
    coefficients = _pair_coefficients(machine)
    intercepts = np.asarray(machine.intercept_, dtype=np.float64)
    if len(classes) == 2:  # scikit-learn's two-class decision is positive for the second class
        coefficients, intercepts = -coefficients, -intercepts
    if gamma == 0.0:  # a linear machine is one weight vector per pair
        coefficients, vectors = coefficients @ vectors, vectors[:0]
    arrays = {
        "mean": mean,
        "scale": scale,
        "vectors": vectors,
        "coefficients": coefficients,
        "intercepts": intercepts,
        "gamma": np.float64(gamma),
        "temperature": np.float64(temperature),
        "classes": classes,
        "outputs": np.int64(outputs),
    }
    return {name: torch.tensor(value) for name, value in arrays.items()}


def _pair_coefficients(machine: SVC) -> np.ndarray:
    """Dual coefficients (pairs, vectors) of each pair of classes, from libsvm's layout.

    libsvm stores, for each support vector of class i, one coefficient against every other class j, in row j − 1 where
    j > i and in row j where j < i.
    """
    dual = np.asarray(machine.dual_coef_, dtype=np.float64)
    count = len(machine.classes_)
    if count == 2:
        return dual
    owner = np.repeat(np.arange(count), machine.n_support_)
    first, second = _pairs(count)
    coefficients = np.zeros((len(first), dual.shape[1]))
    for pair, (i, j) in enumerate(zip(first, second, strict=True)):
        coefficients[pair] = np.where(owner == i, dual[j - 1], np.where(owner == j, dual[i], 0.0))
    return coefficients


def _pairs(count: int) -> tuple[list[int], list[int]]:
    """First and second class of every pair, in libsvm's order."""
    pairs = list(itertools.combinations(range(count), 2))
    return [i for i, _ in pairs], [j for _, j in pairs]
