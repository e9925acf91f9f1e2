"""All windows explained: where their rows go meanwhile, and what is said of how it was done."""

from __future__ import annotations

import os

import pytest
import torch

from tests.processes import driven, make_panel
from tsx.errors import DataError, WriteError
from tsx.explanation.attention import attention_table
from tsx.explanation.explain import explain_forecaster
from tsx.explanation.shap import shap_run
from tsx.explanation.shap.references import choose
from tsx.explanation.shap.scratch import Scratch
from tsx.explanation.shap.shap_run import EXACT, SAMPLED
from tsx.spec.settings import Question, Settings
from tsx.training.fit import fit_forecaster


@pytest.fixture(scope="module")
def wards():
    panel = make_panel([driven(n, seed) for seed, n in enumerate((160, 160, 22, 160))], past=("x",))
    settings = Settings(horizon=2, context_length=12, segment=2, season=1, hidden_size=8, max_steps=20, batch_size=64)
    return fit_forecaster(panel, settings), panel


def test_the_long_table_lies_in_the_nearest_folder_that_there_is(tmp_path):
    for place in (tmp_path, tmp_path / "new", tmp_path / "new" / "deep" / "report"):
        scratch = Scratch(place)
        assert scratch.path.parent == tmp_path
        assert scratch.path.is_dir()
        del scratch
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/report"])
def test_a_place_that_holds_no_folder_is_a_declared_error(tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError) as failed:
        Scratch(tmp_path / place)
    assert failed.value.code == "file-not-writable"


def test_an_error_in_the_middle_leaves_nothing_behind(wards, tmp_path, monkeypatch):
    original, calls = shap_run.shapley_values, []

    def failing(*given):
        calls.append(len(os.listdir(tmp_path)))
        if len(calls) == 2:
            raise DataError("enough", "seen")
        return original(*given)

    monkeypatch.setattr(shap_run, "shapley_values", failing)
    monkeypatch.setattr(shap_run, "CHUNK_WINDOWS", 2)
    with pytest.raises(DataError, match="seen") as failed:
        explain_forecaster(*wards, Question(windows=6, max_evals=50), skill={}, scratch=Scratch(tmp_path))
    assert calls == [1, 1]
    del failed
    assert os.listdir(tmp_path) == []


def test_what_differs_between_windows_is_said_with_counts(wards, monkeypatch):
    # of the short series there are so few references that all of them can be played
    monkeypatch.setattr(shap_run, "CHUNK_WINDOWS", 1)
    found = explain_forecaster(*wards, Question(windows=4, max_evals=40, players="feature"), skill={})
    assert found.method["values"] == f"for 3 forecasts {SAMPLED}; for 1 forecast {EXACT}"
    assert found.method["absent"] == "those of the reference, whatever is present"


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_question_writes_the_same_bytes_again(wards, tmp_path, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = explain_forecaster(*wards, Question(windows=5, max_evals=200), skill={})
        again = explain_forecaster(*wards, Question(windows=5, max_evals=200), skill={})
    finally:
        torch.set_num_threads(before)
    assert found.importance_path.read_bytes() == again.importance_path.read_bytes()


def test_attention_has_the_same_bits_on_any_number_of_threads(wards):
    _, panel = wards
    settings = Settings(
        horizon=6, context_length=24, segment=4, season=1, hidden_size=16, max_steps=5, attention="temporal"
    )
    attending = fit_forecaster(panel, settings)
    series, cutoffs, _ = choose(attending, panel, 9)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(attention_table(attending, panel, attending.windows(panel), series, cutoffs))
    finally:
        torch.set_num_threads(before)
    assert found[0].height == 9 * 6 * 24
    assert found[0].equals(found[1])
    some = attention_table(attending, panel, attending.windows(panel), series[4:6], cutoffs[4:6])
    assert some.equals(found[0][4 * 6 * 24 : 6 * 6 * 24])


def test_folders_of_killed_runs_are_removed_and_those_of_others_stay(tmp_path):
    for name, inner in ((".tsx-abcdefgh", "lag_importance.parquet"), (".tsx-mine", "notes"), (".tsx-ABCDEFGH", "x")):
        (tmp_path / name).mkdir()
        (tmp_path / name / inner).write_text("")
    first = Scratch(tmp_path)
    second = Scratch(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        ".tsx-mine",
        ".tsx-ABCDEFGH",
        first.path.name,
        second.path.name,
    }
