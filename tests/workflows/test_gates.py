"""Gates: what a result must pass, each by itself and all in one error."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tsx.errors import ConfigError, NotFound
from tsx.spec.decision import Finding
from tsx.spec.verbs import GATES as GROUP
from tsx.spec.verbs import VERBS
from tsx.spec.verdict import Verdict
from tsx.workflows import gates
from tsx.workflows.gates import GATES, Checked, failed_gate

WARNS, NOTES = Finding("series-missing", "1 of 3 series"), Finding("gaps", "4 of 90 steps")
SKILLED, POOR = (
    Verdict("lstm", "naive", skill, None, 0.01, "9 origins", "diebold-mariano", "A sentence.", skill > 0)
    for skill in (0.2, -0.2)
)


def codes(limits: dict[str, Any], **checked: Any) -> list[str]:
    failed = failed_gate(limits, Checked(**checked))
    return [] if failed is None else [each.code for each in failed.gates]


def test_every_setting_of_a_gate_has_one_and_the_other_way_round() -> None:
    assert {one.name for verb in VERBS for one in verb.settings if one.group == GROUP} == set(GATES)


@pytest.mark.parametrize(
    ("asked", "failing"),
    [
        ((), []),
        (("gaps",), ["gaps"]),
        (("warning",), ["series-missing"]),
        (("warning", "gaps"), ["series-missing", "gaps"]),
        (("level-jump",), []),
    ],
)
def test_findings_fail_by_their_code_or_because_they_warn(asked: tuple[str, ...], failing: list[str]) -> None:
    assert codes({"fail_on": asked}, findings=(WARNS, NOTES)) == failing


def test_a_model_without_skill_or_of_which_it_is_not_known_fails() -> None:
    assert codes({"fail_on": ("no-skill",)}, verdict=SKILLED) == []
    assert codes({"fail_on": ("no-skill",)}, verdict=POOR) == ["no-skill"]
    assert codes({"fail_on": ("no-skill",)}) == ["no-skill"]


def test_what_is_said_without_skill_holds_of_classifiers_and_where_no_model_was_fitted() -> None:
    failed = failed_gate({"fail_on": ("no-skill",)}, Checked())
    assert failed is not None
    assert failed.message == "skill over simple methods is not shown: nothing was held out to show it"


@pytest.mark.parametrize(
    ("newest", "hours"),
    [
        (dt.date(2026, 1, 1), 60),
        (dt.datetime(2026, 1, 1, 12), 48),
        (dt.datetime(2026, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2))), 50),
    ],
)
def test_the_age_of_the_newest_row_is_that_of_the_moment_it_names(
    monkeypatch: pytest.MonkeyPatch, newest: Any, hours: float
) -> None:
    monkeypatch.setattr(gates, "now", lambda: dt.datetime(2026, 1, 3, 12, tzinfo=dt.UTC))
    assert codes({"max_age": 3600 * hours}, newest=newest) == []
    assert codes({"max_age": 3600 * hours - 1}, newest=newest) == ["data-too-old"]


def test_steps_without_a_date_have_no_age() -> None:
    with pytest.raises(ConfigError) as failed:
        failed_gate({"max_age": 60.0}, Checked(newest=17))
    assert failed.value.code == "age-unknown"


@pytest.mark.parametrize(
    ("text", "there", "missing"),
    [
        ("a\nb\n", {"shop": ["a", "b", "c"]}, 0),
        ("shop\na\n\n b \n", {"shop": ["a", "c"]}, 1),
        ("7\n8\n", {"shop": [7]}, 1),
        ("Smith, Ann\n", {"shop": ["Smith, Ann"]}, 0),
        ("de,north\nfr,north\n", {"land": ["de"], "area": ["north"]}, 1),
        ('land,area\n"de","a, b"\n', {"land": ["de"], "area": ["a, b"]}, 0),
    ],
)
def test_required_series_are_counted_where_they_have_no_result(
    tmp_path: Path, text: str, there: dict[str, list[Any]], missing: int
) -> None:
    (tmp_path / "ids.txt").write_text(text)
    failed = failed_gate({"require_series": str(tmp_path / "ids.txt")}, Checked(ids=pl.DataFrame(there)))
    if not missing:
        assert failed is None
        return
    assert failed is not None
    assert failed.message.startswith(f"{missing} of ")
    assert not any(id in failed.message for id in ("fr", " b", "8"))


def test_a_file_of_ids_that_is_not_there_is_an_error_and_no_gate(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        failed_gate({"require_series": str(tmp_path / "none.txt")}, Checked(ids=pl.DataFrame({"a": ["b"]})))


def test_all_gates_that_fail_stand_in_one_error() -> None:
    failed = failed_gate({"fail_on": ("gaps", "no-skill")}, Checked((NOTES,)))
    assert failed is not None
    assert (failed.code, failed.exit_status) == ("gates-failed", 6)
    told = failed.to_dict()["gates"]
    assert [(each["gate"], each["code"]) for each in told] == [("fail_on", "gaps"), ("fail_on", "no-skill")]
    assert all(each["message"] in failed.message for each in told)
