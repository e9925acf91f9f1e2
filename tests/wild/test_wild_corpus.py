"""Every file of the corpus gets the verdict that stands beside it."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import tsx
from tests.wild.corpus import CASES
from tests.wild.truth import IDS, Case, difference
from tsx.errors import TsxError
from tsx.progress import SILENT
from tsx.spec.settings import Roles
from tsx.workflows.open_table import open_table

LIBRARY = re.compile(r"polars|pyarrow|panic|thread '|rust|Traceback|dtype|Struct|Float64|Int64|\w\(\w+=", re.IGNORECASE)
"""Words of the libraries underneath, which say nothing to a person."""


def read(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The table and its panel, as every verb reads them."""
    source = case.write(folder)
    if case.stdin:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(source).read_bytes())))
        source = "-"
    return open_table(source, case.roles, case.reading, case.freq, SILENT)


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if case.truth is not None])
def test_it_is_read_as_what_it_holds(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert case.truth is not None
    made = read(case, tmp_path, monkeypatch)
    assert difference(made.panel, case.truth) == ""
    findings = made.panel.findings
    assert sorted(finding.code for finding in findings) == sorted(case.findings), [f.message for f in findings]
    assert set(case.decisions) <= {decision.name for decision in made.decisions}
    for finding in findings:
        assert finding.message
        assert_quotes_nothing(finding.message + finding.where)
    for decision in made.decisions:
        assert decision.reason


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if case.error])
def test_it_is_refused_in_words_that_help(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TsxError) as caught:
        read(case, tmp_path, monkeypatch)
    error = caught.value
    assert error.code == case.error, error.message
    assert error.message
    assert error.hint
    text = " ".join((error.message, error.hint, error.where)).replace(str(tmp_path), "")
    assert_quotes_nothing(text, *given(case.roles))
    assert not LIBRARY.search(text), text


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case.name, marks=() if number % 5 == 0 else pytest.mark.nightly)
        for number, case in enumerate(CASES)
        if not case.stdin
    ],
)
def test_inspect_gives_the_same_verdict(case: Case, tmp_path: Path) -> None:
    roles, reading = case.roles, case.reading
    wishes: dict[str, Any] = {
        name: getattr(roles, name) for name in ("id", "time", "target", "past", "future", "static")
    } | {
        name: getattr(reading, name)
        for name in (
            *("wide", "id_from", "time_format", "zone", "decimal", "missing", "duplicates", "regularize", "max_rows"),
        )
    }
    source = case.write(tmp_path)
    if case.error:
        with pytest.raises(TsxError) as caught:
            tsx.inspect(source, freq=case.freq, **wishes)
        assert caught.value.code == case.error
        return
    assert case.truth is not None
    found = tsx.inspect(source, freq=case.freq, **wishes)
    assert found.series == len(case.truth.series)
    assert found.frequency == case.truth.freq
    assert set(case.findings) <= {finding.code for finding in found.findings}


PLAIN = ("a plain CSV", "a TSV by its name", "gzip", "a byte order mark", "CRLF", "Parquet", "JSON lines", "ISO dates")


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if case.name in PLAIN])
def test_a_plain_table_makes_no_noise(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = read(case, tmp_path, monkeypatch)
    assert {decision.name for decision in made.decisions} == {"time", "id", "target", "freq"}
    assert made.panel.findings == ()


def test_the_corpus_is_as_large_and_as_mixed_as_promised() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 350
    assert sum(bool(case.error) for case in CASES) >= 110
    assert sum(bool(case.findings) for case in CASES) >= 40
    assert all((case.truth is None) == bool(case.error) for case in CASES)


def given(roles: Roles) -> list[str]:
    """The names that the user gave."""
    return [*roles.id, *roles.time, *roles.target, *roles.past, *roles.future, *roles.static]


def assert_quotes_nothing(text: str, *told: str) -> None:
    """No word of the data is in `text`, but for names that the user gave."""
    assert not [name for name in IDS if name in text and name not in told], text
