"""No observed value is lost to an empty cell, to a hint or to a row of something else."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from tests.wild.truth import Series, Truth, difference, file, iso, noise, plain
from tsx.errors import DataError
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.open_table import open_table

FIVE = plain(dt.datetime(2024, 5, 30), "5m", (288,), ids=("glucose",))
TIMES, VALUES = FIVE.series[0].times, FIVE.series[0].target
LAST = Reading(duplicates="last")


def rows(events: dict[int, str], header: str = "time,glucose,kind") -> str:
    """A reading every five minutes, and at some of them a later row of another kind."""
    lines = [header + "\n"]
    for n, (time, value) in enumerate(zip(TIMES, VALUES, strict=True)):
        lines.append(f"{iso(time)},{value},0\n")
        if n in events:
            lines.append(f"{iso(time)},{events[n]},6\n")
    return "".join(lines)


@pytest.mark.parametrize("events", [range(0, 288, 9), range(287, 288), [3, 4, 5, 287]])
def test_an_empty_cell_of_a_later_row_takes_no_value_away(events: range | list[int], tmp_path: Path) -> None:
    path = file("a.csv", rows(dict.fromkeys(events, "")))(tmp_path)
    opened = open_table(path, Roles(target=("glucose",)), LAST, None, SILENT)
    assert difference(opened.panel, FIVE) == ""


def test_a_later_value_still_wins(tmp_path: Path) -> None:
    path = file("a.csv", rows({7: "44.5"}))(tmp_path)
    changed = FIVE.filled([[44.5 if n == 7 else value for n, value in enumerate(VALUES)]])
    assert difference(open_table(path, Roles(target=("glucose",)), LAST, None, SILENT).panel, changed) == ""


def test_each_column_keeps_its_own_last_value(tmp_path: Path) -> None:
    more = noise(9, 288)
    lines = ["time,glucose,insulin\n"]
    lines += [f"{iso(t)},{g},\n{iso(t)},,{i}\n" for t, g, i in zip(TIMES, VALUES, more, strict=True)]
    path = file("a.csv", "".join(lines))(tmp_path)
    both = Truth("5m", (Series("glucose", TIMES, (VALUES, more)),))
    roles = Roles(target=("glucose",), past=("insulin",))
    assert difference(open_table(path, roles, LAST, None, SILENT).panel, both) == ""


@pytest.mark.parametrize("ahead", [1, 3, 6])
def test_a_few_rows_of_something_else_at_the_end_do_not_make_a_column_known_ahead(ahead: int, tmp_path: Path) -> None:
    later = [TIMES[-1] + dt.timedelta(minutes=5 * k) for k in range(1, ahead + 1)]
    content = rows({}) + "".join(f"{iso(time)},,6\n" for time in later)
    opened = open_table(file("a.csv", content)(tmp_path), Roles(target=("glucose",)), Reading(), None, SILENT)
    assert opened.panel.schema.future == ()
    assert len(opened.panel.values) == len(TIMES) + ahead


@pytest.mark.parametrize("ahead", [7, 12, 24])
def test_a_column_that_reaches_over_the_horizon_is_known_ahead(ahead: int, tmp_path: Path) -> None:
    later = [TIMES[-1] + dt.timedelta(minutes=5 * k) for k in range(1, ahead + 1)]
    content = rows({}) + "".join(f"{iso(time)},,6\n" for time in later)
    opened = open_table(file("a.csv", content)(tmp_path), Roles(target=("glucose",)), Reading(), None, SILENT)
    assert opened.panel.schema.future == ("kind",)


@pytest.mark.parametrize("tail", ["NA,NA,NA\n", "NaN,,null\n", ",-,\n"])
@pytest.mark.parametrize("number", [1, 5, 90])
def test_rows_in_which_nothing_stands_are_left_out_and_counted(tail: str, number: int, tmp_path: Path) -> None:
    path = file("a.csv", rows({}) + tail * number)(tmp_path)
    panel = open_table(path, Roles(target=("glucose",), past=("kind",)), Reading(), None, SILENT).panel
    assert len(panel.values) == len(TIMES)
    messages = [one.message for one in panel.findings if one.code == "blank-rows"]
    assert [message.split(" ")[0] for message in messages] == [str(number)]


def test_a_value_without_a_time_is_refused_and_left_out_only_where_asked(tmp_path: Path) -> None:
    path = file("a.csv", rows({}) + "NA,5.5,0\nNA,6.5,0\n")(tmp_path)
    roles = Roles(target=("glucose",))
    with pytest.raises(DataError) as caught:
        open_table(path, roles, Reading(), None, SILENT)
    assert (caught.value.code, caught.value.message[:6]) == ("null-key", "2 rows")
    assert "--skip-rows-without time" in caught.value.hint
    panel = open_table(path, roles, Reading(skip_rows_without=("time",)), None, SILENT).panel
    assert difference(panel, FIVE) == ""
    assert [(one.code, one.message[:6]) for one in panel.findings if one.code == "rows-skipped"] == [
        ("rows-skipped", "2 rows")
    ]


@pytest.mark.parametrize("blank", [1, 50, 64, 65, 114, 1000])
def test_all_blank_lines_are_counted(blank: int, tmp_path: Path) -> None:
    content = "ds,y\n2024-01-01,1\n\n2024-01-02,2\n2024-01-03,4\n2024-01-04,3\n" + "\n" * blank
    panel = open_table(file("a.csv", content)(tmp_path), Roles(), Reading(), None, SILENT).panel
    (finding,) = [one for one in panel.findings if one.code == "blank-lines"]
    number = int(finding.message.split(" ")[0].replace(",", ""))
    assert number == (1 if blank < 64 else blank + 1)
    assert np.isfinite(panel.values).all()
