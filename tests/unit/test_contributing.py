"""The examples in CONTRIBUTING.md are complete and keep the contracts they explain."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from earnest.tasks import Task

ROOT = Path(__file__).parents[2]
BLOCKS = dict(
    re.findall(r"^```python (\w+)\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M | re.S)
)


@pytest.fixture
def example(request: pytest.FixtureRequest) -> Iterator[ModuleType]:
    """The example of one kind as a module."""
    name = f"example_{request.param}"
    module = ModuleType(name)
    sys.modules[name] = module  # where dataclasses look for their annotations
    exec(compile(BLOCKS[request.param], f"CONTRIBUTING.md, {request.param}", "exec"), module.__dict__)
    yield module
    del sys.modules[name]


def test_there_is_one_example_of_each_kind() -> None:
    assert sorted(BLOCKS) == ["corpus", "frontend", "model", "task"]


@pytest.mark.parametrize("example", ["corpus"], indirect=True)
def test_corpus(example: ModuleType, tmp_path: Path) -> None:
    example.example(tmp_path, np.random.default_rng(0))
    table = example.build(tmp_path)
    assert len(table) == 12
    assert table.has("speaker")
    assert table.hash == example.build(tmp_path).hash


@pytest.mark.parametrize("example", ["frontend"], indirect=True)
def test_frontend(example: ModuleType) -> None:
    frontend = example.FrontEnd(example.Config(), 16_000)
    features = frontend(torch.zeros(2, 1_000))
    assert features.shape == (2, frontend.frames_for(1_000), frontend.bands)
    assert torch.equal(features, torch.full_like(features, -100.0))


@pytest.mark.parametrize("example", ["model"], indirect=True)
def test_model(example: ModuleType) -> None:
    assert example.SHAPE == "clip"
    model = example.Model(example.Config(), 30, 8, 4).eval()
    clip = torch.randn(1, 20, 8)
    padded = torch.cat([clip, torch.full((1, 10, 8), 50.0)], dim=1)
    torch.testing.assert_close(model(clip), model(padded, torch.tensor([20])))  # float32 sums in another order


@pytest.mark.parametrize("example", ["task"], indirect=True)
def test_task(example: ModuleType) -> None:
    assert isinstance(example.TASK, Task)
    assert example.TASK.primary in example.TASK.metrics
