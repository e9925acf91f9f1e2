"""What the cells of a classifier hold, by hand: constant gates, and series of unequal length by themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch

from tests.explanation.classes.test_class_gradients import CONFIG, STEPS, batch_of
from tsx.explanation.classes.memory import cells_memory, encoders_matter, memory_sentence, readings
from tsx.explanation.memory.measure import gate_memory, measure_memory
from tsx.model.sequence_classifier import SequenceClassifier
from tsx.panel.calendar import Calendar


def network(segment: int = 1, bidirectional: bool = True) -> SequenceClassifier:
    torch.manual_seed(0)
    config = replace(CONFIG, cell="lstm", hidden_size=3, segment=segment, bidirectional=bidirectional)
    return SequenceClassifier(config).eval()


def some_series(lengths: list[int]) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(len(lengths), STEPS, 2)).astype(np.float32)


def test_constant_gates_give_the_spans_worked_out_by_hand_in_each_direction() -> None:
    member = network()
    with torch.no_grad():
        for encoder, kept in ((member.forward_encoder, 0.5), (member.backward_encoder, 0.8)):
            for weight in encoder.parameters():
                weight.zero_()
            encoder.layers[0].bias_ih_l0[3:6] = float(np.log(kept / (1 - kept)))
    tables = cells_memory(member, batch_of(some_series([6, 2, 5]), [6, 2, 5]))
    units = {name: part for (name,), part in tables["memory_units"].group_by("direction")}
    # .5^4 = .0625, .5^5 = .031; .8^6 = .26: still there at the end of the longest series
    assert units["forward"]["memory_span"].to_list() == [5] * 3
    assert units["backward"]["censored"].to_list() == [True] * 3
    retention = tables["retention"].filter(pl.col("direction") == "backward")
    np.testing.assert_allclose(retention["mean"], 0.8 ** np.arange(1, 7), rtol=1e-5)
    assert memory_sentence(tables["retention"], Calendar.parse("1h")) == (
        "On average over the units, half of what the cells hold is gone after 2 hours of reading forward and after "
        "4 hours of reading backward."
    )


def test_series_of_unequal_length_are_averaged_at_the_lags_that_they_have() -> None:
    member, lengths = network(), [6, 2, 4, 2]
    values = some_series(lengths)
    for name, encoder, inputs, steps in readings(member, batch_of(values, lengths)):
        (found,) = gate_memory(encoder, inputs, steps)
        alone = [measure_memory(encoder, inputs[k : k + 1, : lengths[k]])[0] for k in range(4)]
        for lag in range(STEPS):
            there = [each.retention[lag] for each, length in zip(alone, lengths, strict=True) if length > lag]
            np.testing.assert_allclose(found.retention[lag], np.mean(there, axis=0), rtol=1e-5, err_msg=name)
            written = [each.written[lag] if length > lag else 0.0 for each, length in zip(alone, lengths, strict=True)]
            assert found.written is not None
            assert found.written[lag] == pytest.approx(np.mean(written), rel=1e-5)
        keep = np.average([each.keep for each in alone], axis=0, weights=lengths)
        np.testing.assert_allclose(found.keep, keep, rtol=1e-5)


def test_no_lag_is_older_than_the_longest_series_where_its_last_segment_is_not_full() -> None:
    tables = cells_memory(network(segment=2), batch_of(some_series([5, 3]), [5, 3]))
    for _, part in tables["retention"].group_by("direction"):
        assert part["lag"].to_list() == [2, 4, 5]
    assert tables["memory_units"]["memory_span"].max() <= 5


def test_what_lies_after_a_series_end_changes_nothing() -> None:
    member, lengths = network(segment=2), [6, 3, 4]
    values = some_series(lengths)
    own = cells_memory(member, batch_of(values, lengths))
    longer = np.concatenate([values, np.full((3, 4, 2), 50.0, np.float32)], axis=1)
    again = cells_memory(member, batch_of(longer, lengths))
    for name, frame in own.items():
        assert frame.equals(again[name])
    assert own["retention"]["lag"].unique().sort().to_list() == [2, 4, 6]


def test_the_encoder_that_reads_backward_meets_the_newest_step_first() -> None:
    member, lengths = network(), [6, 3]
    batch = batch_of(some_series(lengths), lengths)
    (_, _, forward, _), (name, _, backward, _) = readings(member, batch)
    assert name == "backward"
    for k, length in enumerate(lengths):
        assert torch.equal(backward[k, :length], forward[k, :length].flip(0))


def test_a_network_that_reads_forward_alone_has_one_reading() -> None:
    alone, batch = network(bidirectional=False), batch_of(some_series([6, 3]), [6, 3])
    assert [name for name, *_ in readings(alone, batch)] == ["forward"]
    assert set(cells_memory(alone, batch)["retention"]["direction"]) == {"forward"}


def test_what_the_directions_have_in_common_is_said_once_and_what_is_never_gone_is_said_so() -> None:
    def retention(forward: list[float], backward: list[float]) -> pl.DataFrame:
        rows = {"lag": [1, 2], "layer": [1, 1]}
        frames = [
            pl.DataFrame({"direction": [name] * 2, "mean": mean, **rows})
            for name, mean in (("forward", forward), ("backward", backward))
        ]
        return pl.concat(frames)

    hours = Calendar.parse("1h")
    begin = "On average over the units, half of what the cells hold is gone "
    assert memory_sentence(retention([0.6, 0.3], [0.7, 0.4]), hours) == f"{begin}after 2 hours, in either direction."
    assert memory_sentence(retention([0.4, 0.2], [0.9, 0.8]), hours) == (
        f"{begin}after 1 hour of reading forward and not within 2 hours (80 % is left) of reading backward."
    )


def test_nothing_is_said_of_cells_that_hardly_any_gradient_passes() -> None:
    def gradients(forward: float, backward: float, convolutions: float) -> pl.DataFrame:
        return pl.DataFrame({"forward": [forward] * 2, "backward": [backward] * 2, "convolutions": [convolutions] * 2})

    assert not encoders_matter(gradients(0.4, 0.4, 9.2))
    assert encoders_matter(gradients(0.6, 0.5, 8.9))
    assert encoders_matter(gradients(0.6, 0.5, 8.9).drop("convolutions"))
    assert encoders_matter(None)
