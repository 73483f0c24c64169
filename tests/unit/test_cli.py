"""The command line: help, JSON, errors, exit codes. Each test runs the command as a user does."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import typer
from onnx import TensorProto, helper

from earnest import doctor
from earnest.cli import app, progress
from earnest.cli.verb import print_json, split_help
from earnest.shipping.bundle import write_bundle

RATE = 8_000
VERBS = sorted(command.callback.__name__ for command in app.registered_commands)
DOCS = Path(__file__).parents[2] / "docs"


def earnest(
    *arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "earnest", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "100", **(env or {})},
        cwd=cwd,
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)


def one_object(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    (line,) = done.stdout.splitlines()
    values = json.loads(line)
    assert isinstance(values, dict)
    return values


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that tells loud from quiet: softmax(40 · (mean |audio| − 0.1), 0)."""
    folder = tmp_path_factory.mktemp("model")
    weights = [
        helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        helper.make_tensor("gain", TensorProto.FLOAT, [1, 2], [40.0, 0.0]),
        helper.make_tensor("bias", TensorProto.FLOAT, [2], [-4.0, 0.0]),
    ]
    nodes = [
        helper.make_node("Abs", ["audio"], ["size"]),
        helper.make_node("ReduceMean", ["size", "axes"], ["mean"], keepdims=1),
        helper.make_node("MatMul", ["mean", "gain"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=-1),
    ]
    audio = helper.make_tensor_value_info("audio", TensorProto.FLOAT, ["batch", "samples"])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph(nodes, "loudness", [audio], [scores], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return write_bundle(
        folder / "bundle",
        model_file=folder / "model.onnx",
        name="loudness",
        labels=["loud", "quiet"],
        sample_rate=RATE,
        window_samples=RATE,
        hop_samples=RATE // 2,
        short="pad",
        min_samples=0,
        frontend={},
        recipe_hash="0" * 64,
        data_hash="0" * 64,
        scores={},
        licences=[],
    )


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """loud.wav (2.3 s), quiet.wav, and broken.wav, which is none."""
    noise = np.random.default_rng(0).normal(size=RATE * 23 // 10)
    soundfile.write(tmp_path / "loud.wav", 0.2 * noise, RATE)
    soundfile.write(tmp_path / "quiet.wav", 0.001 * noise, RATE)
    (tmp_path / "broken.wav").write_bytes(b"RIFF and then nothing")
    return tmp_path


def test_every_verb_of_the_design_is_there() -> None:
    making = "audit corpora demo ensemble fetch run wakeword"
    using = "compare doctor export listen predict report score show spectrogram studio table zoo"
    assert sorted(f"{making} {using}".split()) == VERBS


@pytest.mark.parametrize("verb", VERBS)
def test_help_opens_with_examples(verb: str) -> None:
    group = typer.main.get_command(app)
    with group.make_context("earnest", [verb], resilient_parsing=True) as parent:
        text = group.commands[verb].make_context(verb, [], parent=parent, resilient_parsing=True).get_help()
    check_help(text, f"earnest {verb}")
    assert all(option in text for option in ("--json", "--quiet", "--debug"))


def test_help_of_the_command_itself() -> None:
    done = earnest("--help")
    assert done.returncode == 0
    check_help(done.stdout, "earnest")
    assert earnest("predict", "-h").stdout.startswith("Examples:")


def check_help(text: str, command: str) -> None:
    lines = text.splitlines()
    assert lines[0] == "Examples:"
    examples = lines[1 : lines.index("")]
    assert 2 <= len(examples) <= 3
    assert all(command in example for example in examples)
    assert f"Usage: {command} " in text
    assert "Examples" not in "\n".join(lines[1:])


def test_every_verb_stands_in_the_documentation() -> None:
    text = (DOCS / "command-line.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^```\{earnest-help\} (\w+)$", text, flags=re.MULTILINE)) == VERBS


def test_help_is_taken_apart() -> None:
    assert split_help("What.\n\nExamples\n--------\na\nb\n\nMore.") == ("What.", ["a", "b"], "More.")
    assert split_help("What.") == ("What.", [], "")


def test_unknown_verb_names_its_neighbour() -> None:
    done = earnest("predct")
    assert done.returncode == 2
    assert "Did you mean 'predict'" in done.stderr
    assert done.stdout == ""


def test_unknown_option_is_wrong_usage() -> None:
    assert earnest("doctor", "--jsn").returncode == 2


def test_version() -> None:
    from earnest import __version__

    assert earnest("--version").stdout.strip() == __version__


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    done = earnest(
        "--show-completion", env={"SHELL": f"/bin/{shell}", "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    )
    shown = earnest("--show-completion", shell) if done.returncode else done
    assert "_EARNEST_COMPLETE" in shown.stdout


def test_completion_finds_verbs_and_names() -> None:
    words = {"_EARNEST_COMPLETE": "complete_bash", "COMP_WORDS": "earnest pre", "COMP_CWORD": "1"}
    assert earnest(env=words).stdout.split() == ["predict"]
    words |= {"COMP_WORDS": "earnest fetch speech", "COMP_CWORD": "2"}
    assert earnest(env=words).stdout.split() == ["speech_commands"]
    words |= {"COMP_WORDS": "earnest run fsdd", "COMP_CWORD": "2"}
    assert "fsdd" in earnest(env=words).stdout.split()


def test_predict(bundle: Path, recordings: Path) -> None:
    done = earnest("predict", bundle, recordings / "quiet.wav", recordings / "loud.wav", "--json")
    assert done.returncode == 0
    assert done.stderr == ""
    quiet, loud = one_object(done)["results"]
    assert (quiet["label"], loud["label"]) == ("quiet", "loud")
    assert loud["file"] == str(recordings / "loud.wav")
    assert set(loud["scores"]) == {"loud", "quiet"}
    assert sum(loud["scores"].values()) == pytest.approx(1, abs=1e-5)
    assert loud["seconds"] > 0


def test_predict_sets_unreadable_files_aside(bundle: Path, recordings: Path) -> None:
    files = [recordings / name for name in ("loud.wav", "broken.wav", "absent.wav", "quiet.wav")]
    done = earnest("predict", bundle, *files, "--json")
    assert done.returncode == 3
    results = one_object(done)["results"]
    assert [result["file"] for result in results] == [str(file) for file in files]
    assert ["error" in result for result in results] == [False, True, True, False]
    assert "Traceback" not in done.stderr


def test_predict_takes_folders_and_prints_lines(bundle: Path, recordings: Path) -> None:
    done = earnest("predict", bundle, recordings)
    assert done.returncode == 3
    assert re.search(r"loud\.wav  loud  \d+\.\d%", done.stdout)
    assert "broken.wav" in done.stderr


def test_a_missing_bundle_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    done = earnest("predict", tmp_path / "none", "a.wav", "--json")
    assert done.returncode == 1
    assert set(one_object(done)) == {"error", "remedy"}
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = earnest("predict", tmp_path / "none", "a.wav", "--debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_listen_gives_one_object_per_line(bundle: Path, recordings: Path) -> None:
    done = earnest("listen", bundle, "--wav", recordings / "loud.wav", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert [(event["start_s"], event["end_s"]) for event in events] == [(0, 1), (0.5, 1.5), (1, 2), (1.3, 2.3)]
    assert {event["label"] for event in events} == {"loud"}
    assert all(set(event) == {"start_s", "end_s", "label", "score"} for event in events)


def test_listen_to_a_pipe_is_listening_to_the_file(bundle: Path, recordings: Path) -> None:
    samples, _ = soundfile.read(recordings / "loud.wav", dtype="int16")
    raw = samples.astype("<i2").tobytes()
    piped = earnest("listen", bundle, "--stdin", "--json", stdin=raw)
    file = earnest("listen", bundle, "--wav", recordings / "loud.wav", "--json")
    assert piped.stdout == file.stdout
    assert piped.returncode == 0


def test_listen_resamples_a_pipe(bundle: Path) -> None:
    noise = 0.2 * np.random.default_rng(0).normal(size=3 * 16_000)
    raw = np.clip(noise * 32768, -32768, 32767).astype("<i2").tobytes() + b"\x00"
    done = earnest("listen", bundle, "--stdin", "--rate", "16000", "--json", stdin=raw)
    assert done.returncode == 0
    assert json.loads(done.stdout.splitlines()[-1])["end_s"] == pytest.approx(3, abs=0.01)


def test_listen_takes_one_source(bundle: Path, recordings: Path) -> None:
    assert earnest("listen", bundle, "--wav", recordings / "loud.wav", "--stdin").returncode == 2
    assert earnest("listen", bundle, "--wav", recordings / "loud.wav", "--rate", "8000").returncode == 2


def test_listening_to_a_broken_file_is_an_error(bundle: Path, recordings: Path) -> None:
    done = earnest("listen", bundle, "--wav", recordings / "broken.wav")
    assert done.returncode == 1
    assert "broken.wav" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor() -> None:
    done = earnest("doctor", "--json")
    checks = one_object(done)["checks"]
    assert all(set(check) == {"name", "ok", "detail", "remedy"} for check in checks)
    names = {check["name"] for check in checks}
    assert {"python", "processor", "numpy", "torch", "audio formats", "onnx runtime", "cache folder"} <= names
    assert {"corpora", "espeak-ng", "microphone"} <= names


def test_doctor_says_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fsdd").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert "found: fsdd" in doctor.corpora(tmp_path)[0].detail
    assert not doctor.corpora(tmp_path / "none")[0].ok
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert not doctor.cache_folder().ok
    missing = doctor._package("no-such-package", "lab")
    assert missing.ok
    assert missing.remedy is not None
    assert "earnest[lab]" in missing.remedy
    assert not doctor._package("no-such-package", None).ok


def test_run_names_what_is_wrong_in_a_recipe(tmp_path: Path) -> None:
    done = earnest("run", "corpus=fsdd", "model=ds_cnn", "trainng.epochs=3", "--json", cwd=tmp_path)
    assert done.returncode == 2
    assert "Did you mean training" in str(one_object(done)["error"])
    assert earnest("run", cwd=tmp_path).returncode == 2
    assert earnest("run", "one", "two", cwd=tmp_path).returncode == 2
    assert "absent.yaml" in earnest("run", "absent.yaml", cwd=tmp_path).stderr


def test_colour_only_on_a_terminal() -> None:
    assert "\x1b" not in earnest("doctor").stdout
    assert "\x1b" not in earnest("predict", "none", "none").stderr


def test_an_unforeseen_error_says_how_to_report_it() -> None:
    done = python("import earnest.cli as cli; cli.typer.main.get_command = lambda app: 1 / 0; cli.main()")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Run the same command with --debug")


def test_a_missing_extra_is_named() -> None:
    done = python("import sys; sys.modules['polars'] = None; import earnest.cli as cli; cli.main()", "corpora")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "Install it with: pip install 'earnest[lab]'"


def test_json_holds_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [(1.5, float("inf"))], "c": Path("x"), "d": "你好"})
    assert capsys.readouterr().out == '{"a": null, "b": [[1.5, null]], "c": "x", "d": "你好"}\n'


def test_lines_of_progress(capsys: pytest.CaptureFixture[str]) -> None:
    lines = progress.Lines(every_s=0.0)
    lines.stage("decoding", 4)
    lines.step("a.wav")
    lines.step("b.wav", done=4)
    lines.note("Done before.")
    said = capsys.readouterr()
    assert said.out == ""
    first, second, last, note = said.err.splitlines()
    assert first == "decoding ..."
    assert second.startswith("decoding: 1/4, ")
    assert second.endswith("left  a.wav")
    assert "4/4" in last
    assert note == "Done before."


@pytest.mark.parametrize(
    ("seconds", "text"), [(3.6, "4 s"), (200, "3 min 20 s"), (3_900, "1 h 5 min"), (59.7, "1 min 0 s")]
)
def test_duration(seconds: float, text: str) -> None:
    assert progress.duration(seconds) == text


def test_rate() -> None:
    assert progress.rate(70, 2) == "35.0/s"
    assert progress.rate(2, 24) == "12 s each"
    assert progress.rate(0, 5) == "0/s"


def test_long_paths_are_shortened_at_the_front() -> None:
    assert progress.shortened("a" * 50 + "/end.wav") == "…" + ("a" * 50 + "/end.wav")[-39:]


def test_interruption_is_tidy(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def stopped() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("earnest.doctor.examine", lambda data: stopped())
    with pytest.raises(SystemExit) as ended:
        typer.main.get_command(app)(["doctor"], prog_name="earnest")
    assert ended.value.code == 130
    assert "Stopped." in capsys.readouterr().err
