"""The first run, shortened: the demo's own recipe with two epochs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from earnest import demo, recipe
from earnest.corpora import info

pytest.importorskip("espeakng_loader", reason="the synthetic words need the extra 'speech'")


def test_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "RECIPE", recipe.apply(demo.RECIPE, ["training.epochs=2"]))
    run = demo.train(tmp_path / "run", jobs=1)
    scores = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    assert info(scores["corpus"]).synthetic
    assert scores["twin"]["void"]
    assert scores["leaks"] == {"speaker": 0, "source": 0, "duplicate": 0}
    assert scores["parity"]["same_decisions"] == scores["parity"]["clips"]
    assert (run / "report.html").is_file()

    streamed = demo.stream(run)
    assert len(streamed.spoken) == demo.WORDS
    assert len({word for _, _, word in streamed.spoken}) == demo.WORDS
    assert [word for _, word, _, _ in streamed.heard()] == [word for _, _, word in streamed.spoken]
    assert streamed == demo.stream(run)


def test_words_are_matched_with_events_by_time() -> None:
    event = demo.Event(0.4, 1.4, "yes", 0.9)
    late = demo.Event(2.0, 3.0, "no", 0.99)
    heard = demo.Stream("voice", ((0.6, 1.2, "yes"), (5.0, 5.4, "no")), (event, late)).heard()
    assert heard == [(0.6, "yes", "yes", 0.9), (5.0, "no", None, 0.0)]
