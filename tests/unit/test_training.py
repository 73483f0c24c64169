"""The parts of training that need no corpus: schedules, checkpoints, inputs, normaliser, averaging."""

import json

import numpy as np
import pytest
import torch

from earnest.errors import CheckpointError
from earnest.recipe import Clips, Training
from earnest.training import checkpoints
from earnest.training.inputs import Inputs
from earnest.training.loop import Averaged, derive
from earnest.training.pipeline import Members, Normaliser
from earnest.training.schedules import Schedule


def training(**numbers) -> Training:
    return Training(**numbers)


def test_cosine_starts_at_the_rate_and_ends_near_zero():
    schedule = Schedule(training(epochs=10, learning_rate=1.0, schedule="cosine"), steps_per_epoch=5)
    rates = [schedule.rate(step) for step in range(50)]
    assert rates[0] == 1.0
    assert rates[25] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.01
    assert rates == sorted(rates, reverse=True)


def test_warm_up_rises_then_hands_over():
    schedule = Schedule(training(epochs=10, learning_rate=1.0, warmup_epochs=2, schedule="none"), steps_per_epoch=4)
    rates = [schedule.rate(step) for step in range(12)]
    assert rates[:8] == sorted(rates[:8])
    assert rates[0] == pytest.approx(1 / 9)
    assert rates[8:] == [1.0] * 4


def test_step_schedule_counts_epochs():
    schedule = Schedule(training(learning_rate=1.0, schedule="step", step_epochs=2, step_factor=0.1), steps_per_epoch=3)
    assert [schedule.rate(step) for step in (0, 5, 6, 12)] == pytest.approx([1.0, 1.0, 0.1, 0.01])


def test_plateau_lowers_the_rate_after_its_patience_and_survives_a_restart():
    numbers = training(learning_rate=1.0, schedule="plateau", plateau_patience=1, plateau_factor=0.5)
    schedule = Schedule(numbers, steps_per_epoch=1)
    for loss in (1.0, 1.1):
        schedule.end_epoch(loss)
    again = Schedule(numbers, steps_per_epoch=1)
    again.restore(json.loads(json.dumps(schedule.state())))
    assert again.rate(5) == 1.0
    again.end_epoch(1.2)
    assert again.rate(5) == 0.5


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    tensors = {"a": torch.randn(3, 4), "b": torch.tensor(7)}
    checkpoints.save(tmp_path, "final", tensors, {"epoch": 3})
    loaded, state = checkpoints.load(tmp_path, "final")
    assert state == {"epoch": 3}
    assert all(torch.equal(loaded[key], tensors[key]) for key in tensors)


@pytest.mark.parametrize("position", [0, 8, 100, -1])
def test_one_flipped_bit_in_a_checkpoint_is_noticed(tmp_path, position):
    checkpoints.save(tmp_path, "final", {"a": torch.randn(64)}, {})
    (file,) = tmp_path.glob("*.safetensors")
    content = bytearray(file.read_bytes())
    content[position] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match="SHA-256"):
        checkpoints.load(tmp_path, "final")


def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path):
    history = checkpoints.History(tmp_path)
    for epoch in (1, 2, 3):
        history.save(epoch, {"a": torch.tensor([float(epoch)])}, {"epoch": epoch})
    (newest,) = tmp_path.glob("epoch-00003-*.safetensors")
    newest.write_bytes(newest.read_bytes()[:-3])
    tensors, state = history.newest()
    assert (state["epoch"], tensors["a"].item()) == (2, 2.0)
    assert not list(tmp_path.glob("epoch-00001*"))


def test_short_clips_stand_in_the_middle_of_silence():
    inputs = Inputs(window=10, hop=5, short="pad", smallest=4)
    np.testing.assert_array_equal(inputs.fit(np.ones(5, np.float32)), [0, 0, 1, 1, 1, 1, 1, 0, 0, 0])


def test_kept_clips_are_only_filled_up_to_the_smallest_input():
    inputs = Inputs(window=10, hop=5, short="keep", smallest=4)
    assert len(inputs.fit(np.ones(7, np.float32))) == 7
    np.testing.assert_array_equal(inputs.fit(np.ones(3, np.float32)), [1, 1, 1, 0])


def test_windows_cover_every_sample_of_a_long_clip():
    inputs = Inputs.of(Clips(window_s=1.0), sample_rate=10, smallest=2)
    windows = inputs.windows(np.arange(23, dtype=np.float32))
    assert {len(window) for window in windows} == {10}
    assert set(np.concatenate(windows)) == set(range(23))
    assert [int(window[0]) for window in windows] == inputs.starts(23)


def test_a_padded_clip_begins_after_its_window():
    inputs = Inputs(window=10, hop=5, short="pad", smallest=4)
    assert inputs.starts(5) == [-2]  # as in `fit`, two zeros before it
    assert inputs.starts(10) == [0]
    assert Inputs(window=10, hop=5, short="keep", smallest=4).starts(3) == [0]


def test_the_normaliser_measures_all_frames_alike():
    clips = [torch.randn(5, 3) * 2 + 1, torch.randn(50, 3) - 4]
    normaliser = Normaliser(3)
    normaliser.fit(clips)
    out = normaliser(torch.cat(clips))
    torch.testing.assert_close(out.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(out.std(0, correction=0), torch.ones(3), atol=1e-5, rtol=0)


def test_a_band_that_never_changes_is_left_at_zero():
    normaliser = Normaliser(1)
    normaliser.fit([torch.full((4, 1), -80.0)])
    assert normaliser(torch.full((2, 1), -80.0)).abs().max() == 0


def test_members_give_the_mean_of_their_outputs():
    class Constant(torch.nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value

        def forward(self, features, lengths):
            return torch.full((len(features), 2), self.value)

    assert Members([Constant(1.0), Constant(3.0)])(torch.zeros(4, 5, 6)).unique().tolist() == [2.0]


def test_the_average_follows_the_model():
    model = torch.nn.Linear(2, 2)
    averaged = Averaged(model, decay=0.5)
    with torch.no_grad():
        model.weight.add_(1.0)
    before = averaged.model.weight.clone()
    averaged.update(model, step=1000)
    torch.testing.assert_close(averaged.model.weight, before + 0.5)


def test_seeds_differ_and_repeat():
    assert derive(0, 1) == derive(0, 1)
    assert len({derive(a, b) for a in range(10) for b in range(10)}) == 100
