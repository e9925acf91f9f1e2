"""What every command promises: exit status, one JSON document, results on stdout alone, no traceback."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import tsx.api
from tests.cli.shell import Run, Verb
from tsx.cli.console import Console
from tsx.cli.main import main, program
from tsx.errors import ConfigError, DataError, MissingDependency, NotFound, QualityGate, TsxError, UsageError
from tsx.sanitize import inert
from tsx.spec.decision import Finding
from tsx.spec.verbs import VERBS
from tsx.spec.verbs import Verb as VerbDeclaration

CSV = "shop,day,cutoff,step,yhat,q0.1,q0.5,q0.9\na,8,7,1,1.5,1.0,1.5,2.0\na,9,7,2,2.5,2.0,2.5,3.0\n"


def failing(error: BaseException) -> Callable[[], Any]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status"),
    [(UsageError, 2), (MissingDependency, 3), (NotFound, 4), (DataError, 5), (ConfigError, 5), (QualityGate, 6)],
)
def test_a_declared_failure_has_its_own_exit_status_and_says_what_to_do(
    run: Callable[..., Run], verbs: dict[str, Verb], error: type[TsxError], status: int
) -> None:
    verbs["forecast"].does = failing(error("some-code", "3 of 5 are wrong", hint="mend them", where="a.csv"))
    words = run("forecast")
    assert (words.status, words.out) == (status, "")
    assert words.err == "error: 3 of 5 are wrong\n  where: a.csv\n  hint: mend them\n  code: some-code\n"
    document = run("forecast", "--json")
    assert (document.status, document.err) == (status, "")
    told = {name: document.error[name] for name in ("code", "message", "hint", "where")}
    assert told == {"code": "some-code", "message": "3 of 5 are wrong", "hint": "mend them", "where": "a.csv"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["forecast", "--no-such-flag"], "option-unknown"),
        (["fit"], "argument-missing"),
        (["fitt"], "command-unknown"),
        (["doctor", "a.csv"], "usage"),
        (["fit", "a.csv", "--cell", "gruu"], "value-invalid"),
        (["fit", "a.csv", "--horizon", "many"], "value-invalid"),
        (["fit", "a.csv", "--max-time", "soon"], "value-invalid"),
        (["fit", "a.csv", "--quantile-levels", "0.1,half"], "value-invalid"),
        (["explain", "--report", "html,docx"], "value-invalid"),
        (["forecast", "-", "--future-data", "-"], "value-invalid"),
        (["forecast", "--out", "-"], "stdout-twice"),
        (["backtest", "a.csv", "--out", "-"], "stdout-twice"),
        (["forecast", "--quiet", "--verbose"], "flags-contradict"),
        (["fit", "a.csv", "--horizon"], "usage"),
        (["forecast", "--out", "table.xlsx"], "file-format-unknown"),
        (["forecast", "--out", "."], "file-format-unknown"),
    ],
)
def test_a_wrong_command_line_is_status_2_and_json_when_json_is_asked_for(
    run: Callable[..., Run], verbs: dict[str, Verb], arguments: list[str], code: str
) -> None:
    failed = run(arguments[0], "--json", *arguments[1:])
    assert (failed.status, failed.err) == (2, "")
    assert failed.error["message"]
    assert failed.error["code"] == code
    assert all(verb.given == {} for verb in verbs.values())


def test_a_wrong_value_is_refused_in_words_of_our_own(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    for flag, value, words in (
        ("--layers", "x", "'--layers': it must be a whole number."),
        ("--dropout", "x", "'--dropout': it must be a number."),
        ("--cell", "foo", "'foo' is not one of 'lstm'"),
    ):
        message = run("fit", "--json", "a.csv", flag, value).error["message"]
        assert words in message
        assert "Value error" not in message


def test_several_files_reach_the_verb_as_a_list(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    verbs["fit"].does = failing(DataError("enough", "seen"))
    run("fit", "a.csv", "b.csv", "--target", "open,close", "--missing=-999,LOW")
    given = verbs["fit"].given
    assert verbs["fit"].data == ["a.csv", "b.csv"]
    assert (given["target"], given["missing"]) == (["open", "close"], ["-999", "LOW"])


def test_what_quotes_the_data_is_shown_on_request_only(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    verbs["forecast"].does = failing(DataError("some-code", "3 rows", values="ann, bob"))
    for flags, shown in (((), False), (("--show-values",), True)):
        words = run("forecast", *flags)
        assert ("ann, bob" in words.err) is shown
        assert ("ann, bob" in run("forecast", "--json", *flags).out) is shown


def test_an_internal_error_shows_its_type_but_neither_a_traceback_nor_its_text(
    run: Callable[..., Run], verbs: dict[str, Verb], monkeypatch: pytest.MonkeyPatch
) -> None:
    verbs["forecast"].does = failing(KeyError("patient-4711"))
    words, document = run("forecast"), run("forecast", "--json")
    assert (words.status, document.status, words.out) == (1, 1, "")
    assert "KeyError" in words.err
    assert "TSX_DEBUG=1" in words.err
    assert document.error["code"] == "internal-error"
    assert "Traceback" not in words.err
    assert "patient-4711" not in words.err + document.out + document.err
    monkeypatch.setenv("TSX_DEBUG", "1")
    assert "Traceback" in run("forecast").err


def test_a_package_that_is_not_there_is_status_3(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    verbs["forecast"].does = failing(ModuleNotFoundError("no", name="torch._C"))
    failed = run("forecast", "--json")
    assert (failed.status, failed.error["code"], failed.error["where"]) == (3, "package-missing", "torch")
    verbs["forecast"].does = failing(ModuleNotFoundError("no", name="tsx.data.gone"))
    assert run("forecast").status == 1


def test_too_little_memory_is_said_as_that(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    verbs["forecast"].does = failing(MemoryError())
    assert run("forecast", "--json").error["code"] == "out-of-memory"


def test_ctrl_c_is_status_130(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    verbs["forecast"].does = failing(KeyboardInterrupt())
    interrupted = run("forecast", "--json")
    assert (interrupted.status, interrupted.error["code"]) == (130, "interrupted")


def test_a_closed_pipe_ends_quietly(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    verbs["forecast"].does = failing(BrokenPipeError(32, "Broken pipe"))
    assert run("forecast") == Run(0, "", "")


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_stdout_that_cannot_be_written_is_an_error(
    verbs: dict[str, Verb], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout", Full())
    assert main(["forecast"]) == 74
    assert "stdout cannot be written: No space left on device" in capsys.readouterr().err
    assert main(["forecast", "--json"]) == 74


def test_a_pipe_gets_the_whole_forecast_as_csv(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    assert run("forecast") == Run(0, CSV, "")
    assert run("forecast", "--out", "-", "--quiet") == Run(0, CSV, "")


@pytest.mark.parametrize("suffix", ["csv", "parquet", "json"])
def test_a_forecast_file_is_named_on_stderr_and_stdout_stays_empty(
    run: Callable[..., Run], verbs: dict[str, Verb], tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"forecast.{suffix}"
    assert run("forecast", "--out", str(path)) == Run(0, "", f"wrote {path}\n")
    assert path.stat().st_size > 0
    assert run("forecast", "--out", str(path), "--quiet") == Run(0, "", "")


def test_a_terminal_gets_the_first_rows(
    run: Callable[..., Run], verbs: dict[str, Verb], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tsx.cli.forecast.sys.stdout.isatty", lambda: True, raising=False)
    shown = run("forecast")
    assert shown.status == 0
    assert "2 steps of y for 1 series" in shown.out
    assert "q0.5," not in shown.out


def test_json_is_one_document_with_the_rows_or_the_file(
    run: Callable[..., Run], verbs: dict[str, Verb], tmp_path: Path
) -> None:
    document = json.loads(run("forecast", "--json").out)
    assert (document["rows"], document["series"], document["forecast"][1]["yhat"]) == (2, 1, 2.5)
    written = json.loads(run("forecast", "--json", "--out", str(tmp_path / "f.csv")).out)
    assert (written["out"], "forecast" in written) == (str(tmp_path / "f.csv"), False)


def test_findings_go_to_stderr_and_into_the_document(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    made = replace(verbs["forecast"].does(), findings=(Finding("series-left-out", "1 of 3 series"),))
    verbs["forecast"].does = lambda: made
    assert run("forecast") == Run(0, CSV, "warning: 1 of 3 series\n")
    assert run("forecast", "--quiet") == Run(0, CSV, "")
    assert json.loads(run("forecast", "--json").out)["findings"][0]["code"] == "series-left-out"


def test_numbers_that_json_lacks_become_null(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    made = verbs["forecast"].does()
    frame = made.frame.with_columns(yhat=pl.Series([float("nan"), float("inf")]), day=pl.date(2024, 1, 2))
    verbs["forecast"].does = lambda: replace(made, frame=frame)
    rows = json.loads(run("forecast", "--json").out)["forecast"]
    assert [row["yhat"] for row in rows] == [None, None]
    assert rows[0]["day"] == "2024-01-02"


def test_the_flags_of_explain_reach_the_verb(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    verbs["explain"].does = failing(DataError("enough", "seen"))
    flags = {
        "model": "m",
        "windows": 3,
        "explain": "q0.9",
        "players": "cell",
        "group": "day",
        "reference": "old.csv",
        "value": "conditional",
        "level": "hold",
        "interactions": 5,
        "by": "ward",
        "by_data": "wards.csv",
        "max_evals": 99,
        "tolerance": 0.2,
        "seeds": 3,
        "compare": "last",
        "since": "yesterday",
        "since_model": "older",
        "counterfactual": "below=70",
        "device": "cpu",
        "seed": 7,
    }
    words = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    run("explain", "a.csv", *words, "--memory-needed", "--states", "--out", "why/now")
    given = verbs["explain"].given
    given.pop("progress")
    assert given.pop("checkpoint").parent.name == "why"
    assert verbs["explain"].data == "a.csv"
    assert given == {
        **flags,
        "by": ["ward"],
        "memory_needed": True,
        "states": True,
        "scratch": "why/now",
    }


def test_a_missing_folder_is_found_before_the_work_and_the_hint_makes_it(
    run: Callable[..., Run], verbs: dict[str, Verb], tmp_path: Path
) -> None:
    verbs["forecast"].does = failing(AssertionError("the work has begun"))
    failed = run("forecast", "--out", "new folder/forecast.csv", "--json")
    assert (failed.status, failed.error["code"]) == (74, "file-not-writable")
    subprocess.run(failed.error["hint"], shell=True, check=True, cwd=tmp_path)
    verbs["forecast"].does = failing(DataError("enough", "seen"))
    assert run("forecast", "--out", "new folder/forecast.csv", "--json").error["code"] == "enough"


@pytest.mark.parametrize("made", ["why", "why/CURRENT"])
def test_a_report_is_not_written_over_a_file_or_into_a_model(
    run: Callable[..., Run], verbs: dict[str, Verb], tmp_path: Path, made: str
) -> None:
    verbs["explain"].does = failing(AssertionError("the work has begun"))
    (tmp_path / made).parent.mkdir(exist_ok=True)
    (tmp_path / made).write_text(f"v1 {64 * '0'}\n")
    failed = run("explain", "--out", "why", "--json")
    assert (failed.status, failed.error["code"]) == (74, "file-not-writable")
    assert (tmp_path / made).read_text().startswith("v1")


def test_a_result_is_not_written_over_a_file_of_a_model(
    run: Callable[..., Run], verbs: dict[str, Verb], tmp_path: Path
) -> None:
    (tmp_path / "m" / "versions" / "v1").mkdir(parents=True)
    (tmp_path / "m" / "CURRENT").write_text(f"v1 {64 * '0'}\n")
    (tmp_path / "link").symlink_to("m")
    for path in ("m/manifest.json", "m/versions/f.csv", "m/versions/v1/f.csv", "link/versions/f.csv"):
        refused = run("forecast", "--out", path, "--json")
        assert (refused.status, refused.error["code"]) == (74, "file-not-writable")
        assert "part of the model" in refused.error["message"]
    assert run("forecast", "--out", "m/forecast.csv").status == 0
    assert (tmp_path / "m" / "forecast.csv").exists()


@pytest.mark.parametrize("command", ["forecast", "make-future", "backtest"])
def test_a_table_that_is_read_is_not_written_over(
    run: Callable[..., Run], verbs: dict[str, Verb], tmp_path: Path, command: str
) -> None:
    verbs[command.replace("-", "_")].does = failing(AssertionError("the work has begun"))
    (tmp_path / "parts").mkdir()
    for name in ("t.csv", "parts/a.csv"):
        (tmp_path / name).write_text("t,y\n1,2\n")
    (tmp_path / "same.csv").symlink_to("t.csv")
    for data, out in (("t.csv", "t.csv"), ("t.csv", "./same.csv"), ("same.csv", "t.csv"), ("parts", "parts/b.csv")):
        refused = run(command, data, "--out", out, "--json")
        assert (refused.status, refused.error["code"]) == (74, "file-not-writable")
        assert "read" in refused.error["message"]
    assert (tmp_path / "t.csv").read_text() == "t,y\n1,2\n"


def test_the_table_that_a_model_was_fitted_on_is_not_written_over(
    run: Callable[..., Run], verbs: dict[str, Verb], tmp_path: Path
) -> None:
    verbs["forecast"].does = failing(AssertionError("the work has begun"))
    shutil.copytree(Path(__file__).parents[1] / "fixtures" / "model-0.1.0", tmp_path / "m")
    manifest = json.loads((tmp_path / "m" / "manifest.json").read_text())
    manifest["data"]["path"] = str(tmp_path / "t.csv")
    (tmp_path / "m" / "manifest.json").write_text(json.dumps(manifest))
    refused = run("forecast", "--model", "m", "--out", "t.csv", "--json")
    assert (refused.status, refused.error["code"]) == (74, "file-not-writable")
    assert "the table being read" in refused.error["message"]


def test_a_gate_that_fails_stands_beside_the_result_in_one_document(
    run: Callable[..., Run], verbs: dict[str, Verb], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Drifted:
        noticed = ()
        skill = None
        newest = None

        def summary(self) -> dict[str, Any]:
            return {"drift": 0.5}

        def close(self) -> None:
            pass

        def gate(self, limit: float) -> None:
            raise QualityGate("explanation-drifted", f"more than {limit}", where="max_drift")

    verbs["explain"].does = Drifted
    monkeypatch.setattr("tsx.report.tables.write_explanation", lambda *_: [Path("why/explanation.json")])
    failed = run("explain", "--compare", "last", "--max-drift", "0.1", "--json")
    document = json.loads(failed.out)
    assert failed.status == 6
    assert (document["drift"], document["files"]) == (0.5, ["why/explanation.json"])
    assert document["error"]["code"] == "explanation-drifted"
    failed_gate = {"gate": "max_drift", "code": "explanation-drifted", "message": "more than 0.1"}
    assert document["error"]["gates"] == [failed_gate]


def test_a_limit_to_drift_lies_between_none_and_all(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    failed = run("explain", "--compare", "last", "--max-drift", "3", "--json")
    assert (failed.status, failed.error["code"]) == (2, "value-invalid")


def test_a_limit_to_drift_needs_something_to_compare_with(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    failed = run("explain", "--max-drift", "0.1", "--json")
    assert (failed.status, failed.error["code"]) == (2, "value-invalid")
    assert "--compare" in failed.error["message"]


@pytest.mark.parametrize("verb", [verb for verb in VERBS if hasattr(tsx.api, verb.name)], ids=lambda verb: verb.name)
def test_a_command_and_its_function_take_the_same_settings_with_the_same_defaults(verb: VerbDeclaration) -> None:
    command = {each.name: each for each in program().commands[verb.command].params}
    function = signature(getattr(tsx.api, verb.name)).parameters
    in_python = {"progress", "scratch", "checkpoint"}
    assert set(function) - in_python <= set(command)
    for name in set(function) - {"data", *in_python}:
        assert command[name].default in (function[name].default, None), name


def test_names_from_a_table_cannot_steer_the_terminal(run: Callable[..., Run], tmp_path: Path) -> None:
    target = "[bold red]\x1b[31m\u202ey[/bold red]"
    rows = "".join(f"2024-01-{day:02d},{day % 5}\n" for day in range(1, 29))
    (tmp_path / "table.csv").write_text(f'day,"{target}"\n{rows}', encoding="utf-8")
    shown = run("inspect", "table.csv")
    assert shown.status == 0
    assert "[bold red]" in shown.out
    assert "\x1b" not in shown.out + shown.err
    assert "\u202e" not in shown.out + shown.err
    failed = run("inspect", "table.csv", "--target", "\x1b[2Jx")
    assert failed.status == 5
    assert "\x1b" not in failed.out + failed.err


def test_text_is_made_harmless_and_otherwise_kept() -> None:
    assert inert("a\x1b[31mb\x07\u202e\r\x9b") == "a\ufffd[31mb\ufffd\ufffd\ufffd\ufffd"
    assert inert("Größe 温度\tx\n[b]") == "Größe 温度\tx\n[b]"


def test_an_error_in_json_keeps_its_text_and_stays_valid(run: Callable[..., Run], verbs: dict[str, Verb]) -> None:
    verbs["forecast"].does = failing(DataError("c", 'column "\x1b[0m" is twice\n'))
    assert run("forecast", "--json").error["message"] == 'column "\x1b[0m" is twice\n'


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, expected in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stderr", stream)
        console = Console()
        console.progress.start("training [x]", 10)
        console.progress.update(5, "loss 0.5")
        console.close()
        assert ("training [x]" in stream.getvalue()) is expected
        assert "loss 0.5" in stream.getvalue() or not expected
    quiet = Console().configure(json=False, quiet=True, verbose=False)
    monkeypatch.setattr("sys.stderr", Terminal())
    quiet.progress.start("training", 10)
    quiet.close()


def test_several_tasks_have_a_bar_each_and_decisions_stand_above_them(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    console = Console()
    console.progress.start("explaining", 0)
    console.progress.start("reading", 1)
    console.progress.decided("target", ["y\x1b[2J"], "the only number")
    console.progress.finish()
    console.progress.finish()
    console.close()
    shown = stream.getvalue()
    assert "target: y\ufffd[2J (the only number)" in shown
    assert all(word in shown for word in ("explaining", "reading", "elapsed", "left"))


def test_verbose_says_every_stage_in_one_line_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    console = Console().configure(json=True, quiet=False, verbose=True)
    console.progress.start("training", 10)
    console.progress.update(5, "loss 0.5")
    console.progress.finish()
    console.close()
    assert stream.getvalue().startswith("training: ")
    assert stream.getvalue().endswith(" s, loss 0.5\n")
    assert stream.getvalue().count("\n") == 1
