"""The boosted trees as tensors are LightGBM's own trees, fitted without looking at what they are judged by."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from earnest import models
from earnest.errors import DataError, MissingExtra
from earnest.recipe import Part
from earnest.shipping.onnx import export_onnx

DIMS = 9


@pytest.fixture(autouse=True)
def _needs_lightgbm(request: pytest.FixtureRequest) -> None:
    if "without_lightgbm" not in request.fixturenames:
        pytest.importorskip("lightgbm", reason="needs the extra [boosting]")


@pytest.fixture
def without_lightgbm(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "lightgbm":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return original(name, *rest)

    for name in [name for name in sys.modules if name.partition(".")[0] == "lightgbm"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)


def rows(count: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Classes that overlap, in six groups that each shift the features."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(classes, DIMS))
    targets, groups = np.arange(count) % classes, rng.integers(6, size=count)
    shifts = np.random.default_rng(2).normal(size=(6, DIMS))
    features = centres[targets] + shifts[groups] + rng.normal(size=(count, DIMS))
    return features.astype(np.float32), targets, np.asarray([f"speaker {group}" for group in groups])


def estimator(outputs: int, **options: object) -> Any:
    return models.build_estimator(Part(name="lightgbm", options=options), outputs)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("options", [{}, {"leaves": 31, "depth": 12, "min_clips": 1}, {"balanced": True}])
def test_the_logits_are_lightgbms_own(classes: int, options: Mapping[str, object]) -> None:
    features, targets, groups = rows(240, classes)
    fitted = estimator(classes + 1, rounds=20, **options)
    decision = fitted.fit(features, targets, groups, np.random.default_rng(0))
    booster = fitted.booster(features, targets, groups, np.random.default_rng(0))
    assert booster.num_trees() == 20 * (classes + 1)
    unheard, _, _ = rows(500, classes, seed=3)
    # The same comparisons in double precision; float64 sums in another order.
    raw = decision.decisions(torch.from_numpy(unheard).double()).numpy()
    np.testing.assert_allclose(raw, booster.predict(unheard, raw_score=True), rtol=0, atol=1e-12)
    scores = decision(torch.from_numpy(unheard)[:, None, :]).softmax(1).numpy()
    np.testing.assert_allclose(scores, booster.predict(unheard), rtol=0, atol=1e-5)


def test_a_threshold_itself_goes_left_as_in_lightgbm() -> None:
    features, targets, groups = rows(240, 3)
    fitted = estimator(3, rounds=10)
    decision = fitted.fit(features, targets, groups, np.random.default_rng(0))
    booster = fitted.booster(features, targets, groups, np.random.default_rng(0))
    inner = decision.left != torch.arange(len(decision.left))
    asked, thresholds = decision.feature[inner].numpy(), decision.threshold[inner].numpy()
    on_the_edge = np.repeat(features[:1].astype(np.float64), len(asked), axis=0)
    on_the_edge[np.arange(len(asked)), asked] = thresholds
    ours = decision.decisions(torch.from_numpy(on_the_edge)).numpy()
    np.testing.assert_allclose(ours, booster.predict(on_the_edge, raw_score=True), rtol=0, atol=1e-12)


def test_rows_that_no_question_divides_give_the_shares_of_the_classes() -> None:
    features, targets, groups = rows(12, 3)
    decision = estimator(3, rounds=5, min_clips=10).fit(features, targets, groups, np.random.default_rng(0))
    assert decision.steps == 0
    scores = decision(torch.from_numpy(features)[:, None, :]).softmax(1)
    torch.testing.assert_close(scores, torch.full((12, 3), 1 / 3), rtol=0, atol=1e-6)


class Rows(torch.nn.Module):
    """The decision with its features in the place of audio, as the export takes them."""

    def __init__(self, decision: torch.nn.Module) -> None:
        super().__init__()
        self.decision = decision

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.decision(features[:, None, :])


def test_the_exported_file_gives_the_same_numbers(tmp_path: Path) -> None:
    features, targets, groups = rows(240, 4)
    decision = estimator(4, rounds=20).fit(features, targets, groups, np.random.default_rng(0)).eval()
    path = tmp_path / "trees.onnx"
    export_onnx(Rows(decision).eval(), path, example_samples=DIMS, dynamic_samples=False)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for count in (1, 7, 240):
        (got,) = session.run(None, {"audio": features[:count]})
        expected = decision(torch.from_numpy(features[:count])[:, None, :]).numpy()
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)


def test_the_same_rng_gives_the_same_trees_and_another_gives_others() -> None:
    features, targets, groups = rows(240, 4)
    fitted = estimator(4, max_rounds=40)
    first, second, other = (
        fitted.fit(features, targets, groups, np.random.default_rng(seed)).state_dict() for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["threshold"][:20], other["threshold"][:20])


def test_the_number_of_threads_changes_nothing() -> None:
    features, targets, groups = rows(240, 4)
    threads = torch.get_num_threads()
    states = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            states.append(estimator(4, rounds=10).fit(features, targets, groups, np.random.default_rng(0)).state_dict())
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_rounds_are_chosen_on_groups_that_the_trees_did_not_hear(monkeypatch: pytest.MonkeyPatch) -> None:
    features, targets, groups = rows(240, 4)
    fitted = estimator(4, max_rounds=60)
    seen: list[Any] = []
    original = fitted.library.cv

    def watch(*given: Any, **named: Any) -> Any:
        seen.extend(named["folds"])
        return original(*given, **named)

    monkeypatch.setattr(fitted.library, "cv", watch)
    booster = fitted.booster(features, targets, groups, np.random.default_rng(0))
    assert len(seen) == 4
    for training, held_out in seen:
        assert not set(groups[training]) & set(groups[held_out])
    assert sorted(np.concatenate([held_out for _, held_out in seen])) == list(range(240))
    assert 1 <= booster.current_iteration() < 60


def test_labels_that_mean_nothing_stop_at_once() -> None:
    features, _, groups = rows(240, 4)
    noise = np.random.default_rng(5).integers(4, size=240)
    booster = estimator(4).booster(features, noise, groups, np.random.default_rng(0))
    assert booster.current_iteration() <= 10


def test_balanced_weighs_classes_alike() -> None:
    features, targets, groups = rows(400, 2)
    few = np.concatenate([np.flatnonzero(targets == 0), np.flatnonzero(targets == 1)[:20]])
    recalls = []
    for balanced in (False, True):
        decision = estimator(2, rounds=20, balanced=balanced).fit(
            features[few], targets[few], groups[few], np.random.default_rng(0)
        )
        unheard, truth, _ = rows(400, 2, seed=3)
        said = decision(torch.from_numpy(unheard)[:, None, :]).argmax(1).numpy()
        recalls.append(np.mean(said[truth == 1] == 1))
    assert recalls[1] > recalls[0]


def test_it_fits_where_no_group_can_be_held_out() -> None:
    features, targets, _ = rows(60, 3)
    for groups in (np.asarray(["only"] * 60), targets.astype(str)):
        decision = estimator(3, max_rounds=5).fit(features, targets, groups, np.random.default_rng(0))
        assert torch.isfinite(decision(torch.from_numpy(features)[:, None, :])).all()


def test_it_names_what_it_cannot_fit() -> None:
    features, targets, groups = rows(60, 2)
    with pytest.raises(DataError, match="two classes"):
        estimator(2).fit(features, targets * 0, groups, np.random.default_rng(0))
    features[0, 0] = np.nan
    with pytest.raises(DataError, match="finite"):
        estimator(2).fit(features, targets, groups, np.random.default_rng(0))


@pytest.mark.usefixtures("without_lightgbm")
def test_without_lightgbm_the_extra_is_named() -> None:
    assert models.is_estimator("lightgbm")
    with pytest.raises(MissingExtra, match=r"lightgbm.*\n.*earnest\[boosting\]"):
        estimator(2)
