from __future__ import annotations

import errno
import hashlib
import json
import re
import shutil
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest

from tests.faults import Faults, Killed, injected
from tests.report.more_tables import NAMES
from tsx.errors import DataError, MissingDependency, UsageError, WriteError
from tsx.explanation.report_folder import check_whole
from tsx.report.tables import check_folder, to_json, write_explanation
from tsx.runtime import browser
from tsx.wording import json_value

CONTRACT = {
    "forecasts": ["patient", "cutoff", "step", "base_value", "yhat"],
    "lag_importance": ["patient", "cutoff", "step", "feature", "lag", "distance", "value", "shap", "shap_se"],
    "lag_profile": ["feature", "lag", "mean_abs_shap", "mean_shap", "mean_square_shap", "share"],
    "memory_units": ["layer", "unit", "forget_mean", "time_constant", "half_life", "memory_span", "censored"],
    "retention": ["layer", "lag", "mean", "q10", "q90"],
    "gradient_decay": ["lag", "mean_norm", "share"],
    "attention": ["patient", "cutoff", "step", "lag", "weight"],
}


def test_every_table_of_the_contract_is_written_with_its_columns(rich_explanation, tmp_path):
    paths = write_explanation(rich_explanation, tmp_path / "out", ("terminal",))
    for name, columns in CONTRACT.items():
        assert pl.read_parquet(tmp_path / "out" / f"{name}.parquet").columns[: len(columns)] == columns
    assert sorted(path.name for path in paths) == sorted(path.name for path in (tmp_path / "out").iterdir())
    assert {"explanation.json", "checks.json", "surrogate.json"} <= {path.name for path in paths}


def test_the_tables_hold_what_the_explanation_holds(explanation, tmp_path):
    write_explanation(explanation, tmp_path, ())
    assert pl.read_parquet(tmp_path / "lag_importance.parquet").equals(explanation.lag_importance)
    document = json.loads((tmp_path / "explanation.json").read_text())
    assert document["findings"] == list(explanation.findings)
    assert document["features"] == explanation.by_feature().to_dicts()


def test_reports_are_written_only_where_they_are_asked_for(explanation, tmp_path):
    write_explanation(explanation, tmp_path / "a", ("json", "terminal"))
    write_explanation(explanation, tmp_path / "b", ("html", "md"))
    a, b = ({path.name for path in (tmp_path / x).iterdir()} for x in "ab")
    assert b - a == {"report.html", "report.md"}


def test_an_attention_table_of_an_earlier_run_does_not_outlive_its_model(explanation, rich_explanation, tmp_path):
    write_explanation(rich_explanation, tmp_path, ())
    assert (tmp_path / "attention.parquet").exists()
    write_explanation(explanation, tmp_path, ())
    assert not (tmp_path / "attention.parquet").exists()


def test_the_same_explanation_writes_the_same_bytes(rich_explanation, tmp_path):
    for name in "ab":
        write_explanation(rich_explanation, tmp_path / name, ("html", "md", "json"))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_a_number_that_is_not_finite_becomes_null(explanation, tmp_path):
    write_explanation(explanation, tmp_path, ())
    checks = json.loads((tmp_path / "checks.json").read_text(), parse_constant=pytest.fail)["checks"]
    assert [check["name"] for check in checks if check["figure"] is None] == ["random_model"]


def test_json_takes_times_and_numpy_values():
    values = {
        "t": datetime(2024, 1, 2, 3),
        "d": date(2024, 1, 2),
        "n": np.float32(0.5),
        "i": np.int64(3),
        "inf": float("-inf"),
        "a": np.array([1.0, np.nan]),
        "s": pl.Series([1, None]),
        "x": ("a", True),
    }
    assert json.loads(to_json(values)) == {
        "t": "2024-01-02T03:00:00",
        "d": "2024-01-02",
        "n": 0.5,
        "i": 3,
        "inf": None,
        "a": [1.0, None],
        "s": [1, None],
        "x": ["a", True],
    }
    assert json_value(True) is True


def test_an_unknown_kind_is_an_error_and_writes_nothing(explanation, tmp_path):
    with pytest.raises(UsageError) as error:
        write_explanation(explanation, tmp_path / "out", ("html", "doc"))
    assert error.value.code == "report-kind-unknown"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("as_given", [str, Path])
@pytest.mark.parametrize("writer", ["write", "report"])
def test_a_place_in_a_store_is_refused_and_nothing_is_written_here(
    explanation, tmp_path, monkeypatch, writer, as_given
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tsx.report.html.html_report", lambda _: pytest.fail("work was done before"))
    place = as_given("s3://key:canary@bucket/why")
    write = partial(explanation.write, place) if writer == "write" else partial(explanation.report, "html", place)
    with pytest.raises(WriteError) as error:
        write()
    assert (error.value.code, error.value.where) == ("file-not-writable", "s3://bucket/why")
    assert "canary" not in json.dumps(error.value.to_dict())
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_a_clear_error(explanation, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(WriteError) as error:
        write_explanation(explanation, tmp_path / "out", ())
    assert error.value.code == "file-not-writable"
    assert (tmp_path / "out").read_text() == "mine"


def test_an_id_that_has_no_utf8_does_not_stop_the_report(explanation, tmp_path):
    write_explanation(replace(explanation, findings=("lone \ud800 surrogate",)), tmp_path, ("html", "md"))
    assert "\\ud800" in (tmp_path / "report.md").read_text(encoding="utf-8")


def test_every_further_table_is_written_under_its_name(full_explanation, tmp_path):
    write_explanation(full_explanation, tmp_path, ())
    for name in NAMES:
        assert pl.read_parquet(tmp_path / f"{name}.parquet").equals(full_explanation.tables[name])


def test_a_further_table_of_an_earlier_run_does_not_outlive_it(full_explanation, explanation, tmp_path):
    write_explanation(full_explanation, tmp_path, ())
    emptied = {"gates": full_explanation.tables["gates"].clear()}
    write_explanation(replace(explanation, tables=emptied), tmp_path, ())
    assert not {f"{name}.parquet" for name in NAMES} & {path.name for path in tmp_path.iterdir()}


def test_a_file_of_that_name_in_a_folder_without_a_report_is_left_alone(explanation, tmp_path):
    (tmp_path / "paths.parquet").write_bytes(b"mine")
    write_explanation(explanation, tmp_path, ())
    assert (tmp_path / "paths.parquet").read_bytes() == b"mine"


def test_the_summary_names_the_hash_of_every_other_file(daily, tmp_path):
    paths = write_explanation(daily, tmp_path, ("html", "md"))
    hashes = json.loads((tmp_path / "explanation.json").read_text())["hashes"]
    others = [path for path in paths if path.name != "explanation.json"]
    assert hashes == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in others}
    assert {"report.html", "report.md", "lag_importance.parquet"} <= hashes.keys()


def test_a_report_of_an_earlier_run_does_not_outlive_it_and_files_of_others_do(explanation, tmp_path):
    write_explanation(explanation, tmp_path, ("html", "md"))
    (tmp_path / "notes.md").write_text("mine")
    (tmp_path / "report.md").write_text("mine by now")
    write_explanation(explanation, tmp_path, ())
    assert not (tmp_path / "report.html").exists()
    assert (tmp_path / "report.md").read_text() == "mine by now"
    assert (tmp_path / "notes.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("report.md", b"Monday: rain"),
        ("forecasts.parquet", b""),
        ("explanation.json", b'{"checks": 3}'),
        ("checks.json", None),
    ],
)
def test_a_file_of_the_user_is_not_replaced_and_nothing_else_is_either(explanation, tmp_path, name, content):
    """Beside no report, and beside one of which the user has changed a file; None is a folder."""
    for folder in (tmp_path / "new", tmp_path / "old"):
        folder.mkdir()
        if folder.name == "old":
            write_explanation(explanation, folder, ("md",))
            (folder / name).unlink()
        if content is None:
            (folder / name).mkdir()
        else:
            (folder / name).write_bytes(content)
        before = {path.name: path.is_file() and path.read_bytes() for path in folder.iterdir()}
        for check in (partial(write_explanation, explanation), check_folder):
            with pytest.raises(WriteError) as refused:
                check(folder, ("md",))
            assert refused.value.where == str(folder / name) or name == "explanation.json"
            assert {path.name: path.is_file() and path.read_bytes() for path in folder.iterdir()} == before


def test_a_report_of_0_1_0_is_replaced_though_it_has_no_hashes(explanation, tmp_path):
    write_explanation(explanation, tmp_path, ("md",))
    summary = json.loads((tmp_path / "explanation.json").read_text())
    del summary["hashes"]
    (tmp_path / "explanation.json").write_text(json.dumps(summary))
    (tmp_path / "report.md").write_text("as it was then")
    write_explanation(explanation, tmp_path, ("md",))
    assert (tmp_path / "report.md").read_bytes() != b"as it was then"


@pytest.mark.parametrize("fault", [Killed, lambda: OSError(errno.ENOSPC, "No space left on device")])
def test_whatever_ends_a_run_the_old_or_the_new_report_stands_or_one_that_is_visibly_mixed(
    explanation, tmp_path, fault
):
    other = replace(explanation, findings=("another",), checks=())
    folder, new = tmp_path / "report", tmp_path / "new"
    counted = Faults()
    with injected(counted):
        write_explanation(other, new, ())
    stood = []
    for at in range(0, counted.count, 7):
        write_explanation(explanation, folder, ())
        with suppress(Killed, WriteError), injected(Faults(at, fault)):
            write_explanation(other, folder, ())
        summary = json.loads((folder / "explanation.json").read_text())
        try:
            check_whole(folder, summary)
            stood.append("new" if summary["findings"] == ["another"] else "old")
        except DataError as error:
            stood.append(error.code)
        write_explanation(other, folder, ())
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
            path.name: path.read_bytes() for path in new.iterdir()
        }
    assert {"old", "report-mixed"} <= set(stood)
    assert set(stood[1:3]) == {"old"}  # while files are written, none is moved


def test_importance_on_disk_is_copied_and_never_held_whole(explanation, tmp_path, monkeypatch):
    whole, collect = explanation.importance.collect().height, pl.LazyFrame.collect

    def smaller(frame: pl.LazyFrame, *arguments, **keywords) -> pl.DataFrame:
        found = collect(frame, *arguments, **keywords)
        assert found.height < whole, "the long table was collected"
        return found

    monkeypatch.setattr(pl.LazyFrame, "collect", smaller)
    source = tmp_path / "scratch.parquet"
    source.write_bytes(b"a file larger than memory")
    on_disk = replace(explanation, importance_path=source)
    paths = write_explanation(on_disk, tmp_path / "out", ("html", "md"))
    assert (tmp_path / "out" / "lag_importance.parquet").read_bytes() == source.read_bytes()
    assert tmp_path / "out" / "lag_importance.parquet" in paths


def test_charts_are_pictures_where_they_are_asked_for(daily, tmp_path):
    paths = write_explanation(daily, tmp_path, ("png", "svg"))
    names = {kind: {path.stem for path in paths if path.suffix == f".{kind}"} for kind in ("png", "svg")}
    assert {"chart-lags", "chart-reach", "chart-forecast"} <= names["png"] == names["svg"]
    assert all((tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n") for name in names["png"])
    for name in names["svg"]:
        assert ElementTree.parse(tmp_path / f"{name}.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.nightly
@pytest.mark.skipif(not any(map(shutil.which, browser.NAMES)), reason="Chromium is not installed")
def test_the_page_is_printed_to_the_same_pdf_every_time(daily, tmp_path):
    first, second = (daily.report("pdf", tmp_path / f"{name}.pdf").read_bytes() for name in "ab")
    assert first.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type ?/Page\b", first)) > 2
    assert first == second


def test_a_chromium_that_prints_nothing_is_said_to_be_the_cause(monkeypatch):
    monkeypatch.setattr("tsx.runtime.browser.find_browser", lambda: shutil.which("false"))
    with pytest.raises(MissingDependency, match=r"printed nothing \(exit status 1"):
        browser.printed("<p>a page</p>")
