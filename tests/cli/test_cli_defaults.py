"""Where a value comes from: flag, then variable, then file, then default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.shell import Run, Verb
from tsx.errors import DataError
from tsx.spec.command_line import flags
from tsx.spec.verbs import FIT


@pytest.fixture
def fit(run: Callable[..., Run], verbs: dict[str, Verb]) -> Callable[..., dict[str, object]]:
    """What `tsx fit` hands to the verb; the verb then fails, so that nothing has to be rendered."""

    def stop() -> None:
        raise DataError("enough", "seen")

    verbs["fit"].does = stop

    def fit(*arguments: str) -> dict[str, object]:
        assert run("fit", *(arguments or ("data.csv",))).status == 5
        return {"data": verbs["fit"].data, **verbs["fit"].given}

    return fit


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(
    fit: Callable[..., dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "horizon" not in fit()
    (tmp_path / "tsx.toml").write_text("horizon = 1")
    assert fit()["horizon"] == 1
    (tmp_path / "tsx.toml").write_text("horizon = 1\n[fit]\nhorizon = 2")
    assert fit()["horizon"] == 2
    monkeypatch.setenv("TSX_HORIZON", "3")
    assert fit()["horizon"] == 3
    assert fit("data.csv", "--horizon", "4")["horizon"] == 4
    assert "horizon" not in fit("data.csv", "--horizon", "auto")


def test_flags_that_contradict_name_those_that_stand_in_the_file(run: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "tsx.toml").write_text('[fit]\nlabel = "died"')
    (tmp_path / "data.csv").write_text("id,time,y\na,1,2\n")
    failed = run("fit", "data.csv", "--horizon", "2", "--json")
    assert (failed.status, failed.error["code"]) == (2, "flags-contradict")
    assert failed.error["hint"].endswith("; set elsewhere: --label (tsx.toml, label)")


def test_an_empty_variable_counts_as_not_set(
    fit: Callable[..., dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSX_TARGET", "")
    assert "target" not in fit()


def test_a_misspelt_variable_is_an_error_and_another_programs_is_not(
    run: Callable[..., Run], fit: Callable[..., dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSX_TSCONFIG_PATH", "x")
    assert "horizon" not in fit()
    monkeypatch.setenv("TSX_HORIZN", "3")
    failed = run("fit", "a.csv", "--json")
    assert (failed.status, failed.error["code"]) == (5, "config-unknown-variable")
    assert "TSX_HORIZON" in failed.error["hint"]


def test_names_are_comma_separated_or_repeated_wherever_they_come_from(
    fit: Callable[..., dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ["open", "high price", "close"]
    assert fit("data.csv", "--past", "open, high price", "--past", "close")["past"] == expected
    assert fit("data.csv", "--past", 'open,"high, low"')["past"] == ["open", "high, low"]
    monkeypatch.setenv("TSX_PAST", "open,high price,close")
    assert fit()["past"] == expected
    monkeypatch.delenv("TSX_PAST")
    (tmp_path / "tsx.toml").write_text('[fit]\npast = ["open", "high price", "close"]')
    assert fit()["past"] == expected
    (tmp_path / "tsx.toml").write_text('[fit]\npast = "open,high price,close"')
    assert fit()["past"] == expected
    assert fit("data.csv", "--past", "volume")["past"] == ["volume"]


def test_quantile_levels_are_numbers_in_every_place(fit: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    assert fit("data.csv", "--quantile-levels", "0.1,0.5,0.9")["quantile_levels"] == [0.1, 0.5, 0.9]
    (tmp_path / "tsx.toml").write_text("quantile-levels = [0.2, 0.5, 0.8]")
    assert fit()["quantile_levels"] == [0.2, 0.5, 0.8]


def test_times_take_a_unit(fit: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    assert [fit("d.csv", "--max-time", text)["max_time"] for text in ("90", "90s", "1.5m", "2h")] == [90, 90, 90, 7200]
    (tmp_path / "tsx.toml").write_text("max_time = 30")
    assert fit()["max_time"] == 30


def test_the_table_itself_can_stand_in_the_file(fit: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    (tmp_path / "tsx.toml").write_text('[fit]\ndata = "nightly.parquet"')
    assert fit("--quiet")["data"] == "nightly.parquet"


def test_a_key_of_another_command_may_stand_at_the_top(fit: Callable[..., dict[str, object]], tmp_path: Path) -> None:
    (tmp_path / "tsx.toml").write_text("cutoffs = 3\nhorizon = 5\n[explain]\nwindows = 2")
    assert fit()["horizon"] == 5


@pytest.mark.parametrize(
    ("content", "named", "near"),
    [
        ("horizn = 3", "horizn", "horizon"),
        ("[fit]\ncontext_lenght = 3", "context_lenght", "context_length"),
        ("[fitt]\nhorizon = 3", "fitt", "fit"),
        ("[forecast]\nhidden-size = 3", "hidden-size", ""),
    ],
)
def test_an_unknown_key_is_an_error_that_names_it_and_the_nearest(
    run: Callable[..., Run], verbs: dict[str, Verb], tmp_path: Path, content: str, named: str, near: str
) -> None:
    (tmp_path / "tsx.toml").write_text(content)
    failed = run("fit", "data.csv", "--json")
    assert failed.status == 5
    assert failed.error["code"] == "config-unknown-key"
    assert named in failed.error["message"]
    assert f"`{near}`" in failed.error["hint"] if near else "known:" in failed.error["hint"]
    assert verbs["fit"].given == {}


@pytest.mark.parametrize("content", ["horizon = ", "horizon = 3\nhorizon = 4", "\xff"])
def test_a_file_that_is_not_toml_is_named(run: Callable[..., Run], tmp_path: Path, content: str) -> None:
    (tmp_path / "my.toml").write_bytes(content.encode("latin-1"))
    failed = run("forecast", "--config", "my.toml", "--json")
    assert (failed.status, failed.error["code"], failed.error["where"]) == (5, "config-unreadable", "my.toml")


def test_a_named_file_must_be_there(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("forecast", "--config", "no.toml", "--json").error["code"] == "config-not-found"
    monkeypatch.setenv("TSX_CONFIG", "no.toml")
    assert run("forecast", "--json").status == 4


def test_a_wrong_value_says_whether_the_flag_the_variable_or_the_file_is_to_mend(
    run: Callable[..., Run], verbs: dict[str, Verb], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = run("fit", "data.csv", "--layers", "two", "--json")
    assert (flag.status, flag.error["code"]) == (2, "value-invalid")
    assert "--layers" in flag.error["message"]
    (tmp_path / "tsx.toml").write_text('[fit]\nlayers = "two"')
    file = run("fit", "data.csv", "--json")
    assert (file.status, file.error["code"], file.error["where"]) == (5, "config-value-invalid", "tsx.toml, layers")
    monkeypatch.setenv("TSX_LAYERS", "three")
    variable = run("fit", "data.csv", "--json")
    assert (variable.status, variable.error["where"]) == (5, "TSX_LAYERS")


def test_json_may_be_asked_for_by_file_or_variable_and_then_failures_are_json_too(
    run: Callable[..., Run], verbs: dict[str, Verb], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tsx.toml").write_text("json = true\nlayers = 0.5")
    assert run("fit", "data.csv").error["code"] == "config-value-invalid"
    (tmp_path / "tsx.toml").unlink()
    monkeypatch.setenv("TSX_JSON", "1")
    assert run("fit", "--no-such-flag").error["code"] == "option-unknown"


def test_a_switch_left_to_the_program_can_be_refused_and_the_command_line_says_so(
    fit: Callable[..., dict[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "counts" not in fit()
    assert fit("data.csv", "--no-counts")["counts"] is False
    monkeypatch.setenv("TSX_COUNTS", "no")
    assert fit()["counts"] is False
    assert fit("data.csv", "--counts")["counts"] is True
    monkeypatch.delenv("TSX_COUNTS")
    (tmp_path / "tsx.toml").write_text("counts = false")
    assert fit()["counts"] is False
    assert [flags(FIT, {"counts": given}) for given in (None, True, False)] == [[], ["--counts"], ["--no-counts"]]


@pytest.mark.parametrize("command", ["fit", "backtest"])
def test_what_is_given_reaches_the_function_and_nothing_else_does(
    run: Callable[..., Run], verbs: dict[str, Verb], command: str
) -> None:
    def stop() -> None:
        raise DataError("enough", "seen")

    verbs[command].does = stop
    run(command, "data.csv")
    assert set(verbs[command].given) - {"checkpoint"} == {"progress"}
    flags = "--transform log-return --delay 3 --counts --point mean --intervals conformal --ensemble 1 --seed 0"
    run(command, "data.csv", *flags.split())
    verbs[command].given.pop("progress")
    verbs[command].given.pop("checkpoint", None)
    assert verbs[command].given == {
        "transform": "log-return",
        "delay": 3,
        "counts": True,
        "point": "mean",
        "intervals": "conformal",
        "ensemble": 1,
        "seed": 0,
    }
