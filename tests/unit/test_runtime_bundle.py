from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_bundle import LABELS, RATE, make_bundle, write_graph

from earnest.errors import BundleError
from earnest.runtime import Bundle, Predictor
from earnest.runtime.bundle import FORMAT


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path)


def edit(bundle: Path, **changes: Any) -> None:
    path = bundle / "bundle.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values.update(changes)
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not ...}), encoding="utf-8")


def test_open_gives_what_was_written(bundle: Path) -> None:
    opened = Bundle.open(bundle)
    assert opened.labels == LABELS
    assert opened.sample_rate == RATE
    assert (opened.window_samples, opened.hop_samples, opened.short, opened.min_samples) == (20, 8, "pad", 0)
    assert opened.scores["model.onnx"]["interval"] == [0.7, 0.9]
    assert opened.path() == bundle / "model.onnx"
    assert set(opened.files) == {"model.onnx", "README.md"}


def test_open_takes_a_manifest_and_a_run_directory(bundle: Path, tmp_path: Path) -> None:
    assert Bundle.open(bundle / "bundle.json").directory == bundle
    assert Bundle.open(tmp_path).directory == bundle
    assert Bundle.open(str(bundle)).directory == bundle


def test_a_bundle_can_be_moved(bundle: Path, tmp_path: Path) -> None:
    moved = tmp_path / "häuser 北京"
    shutil.move(bundle, moved)
    assert Predictor(moved).bundle.name == "tiny"


def test_open_names_a_missing_place(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nothing of that name exists"):
        Bundle.open(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"holds no bundle\.json"):
        Bundle.open(tmp_path)
    file = tmp_path / "model.onnx"
    file.write_bytes(b"")
    with pytest.raises(BundleError, match="a bundle is a directory"):
        Bundle.open(file)


@pytest.mark.parametrize("name", ["model.onnx", "README.md"])
def test_one_changed_bit_is_found(bundle: Path, name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    with pytest.raises(BundleError, match=rf"{name} is damaged or was changed") as caught:
        Bundle.open(bundle)
    assert caught.value.remedy is not None


def test_a_cut_file_is_found(bundle: Path) -> None:
    data = (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(data[:-1])
    with pytest.raises(BundleError, match=r"model\.onnx has .* bytes, and .* were written"):
        Bundle.open(bundle)


def test_a_missing_file_is_found(bundle: Path) -> None:
    (bundle / "model.onnx").unlink()
    with pytest.raises(BundleError, match=r"model\.onnx is missing"):
        Bundle.open(bundle)


def test_a_newer_format_says_to_update(bundle: Path) -> None:
    edit(bundle, format=FORMAT + 1)
    with pytest.raises(BundleError, match=f"reads formats up to {FORMAT}") as caught:
        Bundle.open(bundle)
    assert "upgrade" in (caught.value.remedy or "")


def test_keys_of_later_versions_are_left_alone(bundle: Path) -> None:
    edit(bundle, something_new={"a": 1})
    assert Bundle.open(bundle).labels == LABELS


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_a_damaged_manifest_is_named(bundle: Path, text: str) -> None:
    (bundle / "bundle.json").write_text(text, encoding="utf-8")
    with pytest.raises(BundleError, match=r"bundle\.json"):
        Bundle.open(bundle)


def test_a_manifest_that_is_not_utf8_is_named(bundle: Path) -> None:
    (bundle / "bundle.json").write_bytes(b'{"format": "\xff"}')
    with pytest.raises(BundleError, match=r"bundle\.json cannot be read"):
        Bundle.open(bundle)


@pytest.mark.parametrize("key", ["labels", "sample_rate", "window_samples", "hop_samples", "short", "files"])
def test_a_missing_key_is_named(bundle: Path, key: str) -> None:
    edit(bundle, **{key: ...})
    with pytest.raises(BundleError, match=f"lacks the key '{key}'"):
        Bundle.open(bundle)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "1"),
        ("format", True),
        ("format", 0),
        ("labels", []),
        ("labels", ["a", "a", "b"]),
        ("labels", "abc"),
        ("labels", [1, 2, 3]),
        ("sample_rate", 0),
        ("sample_rate", 16000.0),
        ("window_samples", -1),
        ("hop_samples", 0),
        ("short", "stretch"),
        ("min_samples", -1),
        ("thresholds", {"low": "high"}),
        ("files", {"../model.onnx": {"sha256": "", "bytes": 1}}),
        ("files", {"model.onnx": {"sha256": "a"}}),
        ("files", {}),
        ("licences", "none"),
    ],
)
def test_a_wrong_value_is_named(bundle: Path, key: str, value: Any) -> None:
    edit(bundle, **{key: value})
    with pytest.raises(BundleError, match=r"bundle\.json") as caught:
        Bundle.open(bundle)
    assert key in str(caught.value) or key == "files"


def test_an_unknown_file_names_the_known_ones(bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"model\.int8\.onnx") as caught:
        Predictor(bundle, model="model.int8.onnx")
    assert "model.onnx" in str(caught.value)


def replaced(bundle: Path, graph: Path) -> Path:
    """The bundle with another model in it, hashed as if it had been written so."""
    import hashlib

    data = graph.read_bytes()
    (bundle / "model.onnx").write_bytes(data)
    files = {"model.onnx": {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}}
    edit(bundle, files=files)
    return bundle


def test_a_model_that_is_no_onnx_is_named(bundle: Path, tmp_path: Path) -> None:
    graph = tmp_path / "broken.onnx"
    graph.write_bytes(b"not a model")
    with pytest.raises(BundleError, match=r"model\.onnx cannot be loaded by onnxruntime"):
        Predictor(replaced(bundle, graph))


def test_a_model_of_other_names_is_named(bundle: Path, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "other.onnx", output="logits")
    with pytest.raises(BundleError, match=r"such a bundle's model maps \['audio'\] to \['scores'\]"):
        Predictor(replaced(bundle, graph))


def test_a_model_with_other_labels_is_named(bundle: Path, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "other.onnx", labels=4)
    with pytest.raises(BundleError, match="the bundle names 3 labels"):
        Predictor(replaced(bundle, graph))


def test_a_shape_of_a_later_version_is_named(bundle: Path) -> None:
    edit(bundle, shape="tokens")
    with pytest.raises(BundleError, match="shape 'tokens'"):
        Predictor(bundle)


def test_zero_threads_are_refused(bundle: Path) -> None:
    with pytest.raises(BundleError, match="threads must be at least 1"):
        Predictor(bundle, threads=0)
