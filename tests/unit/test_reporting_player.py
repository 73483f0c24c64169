"""The player as one script: complete, in order, and without what only modules may hold."""

import shutil
import subprocess

import pytest

from earnest.errors import DataError
from earnest.reporting import player


def test_script_holds_every_module_once_after_what_it_needs() -> None:
    text = player.script()
    names = ["words", "view", "colours", "fft", "sound", "spectrogram", "axes", "controls", "lane_pictures", "lanes"]
    for name in [*names, "style", "vendor_wavesurfer_esm", "player"]:
        assert text.count(f"const player_{name} = ") == 1
    assert (
        text.index("const player_view =") < text.index("const player_spectrogram =") < text.index("const player_player")
    )
    assert text.rstrip().endswith("const EarnestPlayer = player_player;")


def test_script_holds_nothing_of_modules() -> None:
    text = player.script()
    assert "import.meta" not in text
    assert "\nimport " not in text
    assert "\nexport " not in text
    assert "</script" not in text


def test_script_carries_the_licence_of_what_it_holds() -> None:
    assert "BSD 3-Clause License" in player.script()
    assert "katspaugh" in player.licence()


def test_script_is_valid() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not on this machine.")
    asked = subprocess.run([node, "--check", "-"], input=player.script(), text=True, capture_output=True, check=False)
    assert asked.returncode == 0, asked.stderr


def test_forms_that_cannot_be_joined_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be joined"):
        player._module("a.js", 'import * as b from "./b.js";\n')


def test_every_word_is_in_both_languages() -> None:
    lines = player.files().joinpath("words.js").read_text(encoding="utf-8")
    body = lines[lines.index("{") : lines.index("\n};")]
    chinese = [line for line in body.splitlines() if any("\u4e00" <= sign <= "\u9fff" for sign in line)]
    assert len(chinese) == body.count('": [')
