"""An inspection on a terminal: everything that was found, at any width, and names that stay names."""

from __future__ import annotations

import io
import re
import shlex
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from tests.processes import autoregression, make_panel
from tests.report.fakes import HOSTILE_IDS
from tsx.evaluation.naive_scores import NaiveScores, Score
from tsx.profile.stationarity import Level
from tsx.report.inspection import render_inspection, render_overview
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Reading, Roles
from tsx.table.roles import RoleSuggestion
from tsx.table.tidy import Table
from tsx.wording import number
from tsx.workflows.inspect import ColumnsOverview, Inspection, TableRequest, inspect_columns, inspect_table
from tsx.workflows.open_table import Opened

RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
FREQUENCY = Decision("freq", "1", "100 % of steps are 1 step")
SUGGESTION = RoleSuggestion("past", ("extra",), "numeric, and not known after the last target; use with --past")
DECISIONS = (
    FREQUENCY,
    Decision("target", "y", "named so"),
    Decision("unused_columns", ["extra"], "numeric, but covariates are not guessed"),
    SUGGESTION.decision(),
)


def shown(renderable: RenderableType, width: int = 80, *, colour: bool = False, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    Console(file=stream, width=width, force_terminal=colour, no_color=not colour).print(renderable)
    stream.seek(0)
    return stream.read()


PLAIN = Schema("t", "y", "id", past=("a",))


def inspected(names: Schema = PLAIN, source: str = "t.csv") -> Inspection:
    series = [
        np.column_stack([1e6 + 50 * autoregression(400, n), np.round(autoregression(400, 9 + n))]) for n in range(5)
    ]
    for values in series:
        values[10:22, 0] = np.nan
    panel = make_panel(series, past=("a",))
    panel = replace(panel, schema=names, findings=(Finding("gaps", "60 of 2,000 steps have no row; they are masked"),))
    frame = pl.concat(
        pl.DataFrame(
            {
                names.id: [f"Anna Nr{chr(65 + n)}"] * 400,
                names.time: np.arange(400),
                names.target: values[:, 0],
                names.past[0]: values[:, 1],
                "extra": np.arange(400) % 3,
                "kind": [f"k{n}"] * 400,
            }
        )
        for n, values in enumerate(series)
    )
    table = Table(frame.lazy(), Roles(), Reading(), source)
    opened = Opened(table, panel, Reading(), DECISIONS, FREQUENCY, (SUGGESTION,))
    return inspect_table(opened, TableRequest(source))


@pytest.fixture(scope="module")
def found() -> Inspection:
    return inspected()


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_everything_that_was_found_is_on_the_page(found):
    text = flat(shown(render_inspection(found)))
    for part in (
        "rows 2,000",
        "steps 2,000 in 5 series of 400",
        "time t: 0 to 399",
        "frequency 1 step — 100 % of steps are 1 step",
        "season 7 steps — autocorrelation",
        "gaps 3 % of the steps lack a target; longest of 5: 12 steps",
        "duplicates none",
        "looked at 5 series, 400 newest steps of each; 2,000 rows for the columns",
        "y target number 3 %",
        "a past number 0 %",
        "extra past? whole number 0 %",
        "kind static? text 0 %",
        "id: looks like names of persons, capitalised words in 100 % of 5 different values sampled",
        "kind: perhaps --static: constant within all 5 sampled series",
        "mean season: 22 % of what varies within one",
        "level wanders in 80 % of 5 series",
        "simple forecast MASE sMAPE % of spread",
        "seasonal naive",
        "Mean errors 7 steps ahead (one season of 7 steps)",
        "target y — named so",
        "60 of 2,000 steps have no row",
        "the id column 'id' looks like names of persons",
        "tsx fit t.csv --id id --time t --target y --past a",
    ):
        assert part in text, part
    assert text.index("Table") < text.index("Columns") < text.index("Series") < text.index("Decided")
    assert text.index("Noticed in the data") < text.index("Next")


def test_nothing_of_the_rows_is_on_the_page(found):
    assert "Anna" not in shown(render_inspection(found), 120)


@pytest.mark.parametrize("width", [40, 46, 60, 64, 80, 120])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_no_number_is_cut_and_no_line_is_too_long(found, width, encoding):
    text = shown(render_inspection(found), width, encoding=encoding)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert not re.search(r"\d…", text)
    told = flat(text)
    for score in found.naive.scores:
        assert number(score.mase) in told
        assert f"{100 * score.of_spread:.0f} %" in told
    for row in ("y target", "a past", "extra past?"):
        assert re.search(rf"{re.escape(row)}( number| whole number)? \d", flat(text.replace("|", " ")))
    assert "rows 2,000" in told


def test_bars_and_types_give_way_where_there_is_little_room(found):
    assert "█" not in shown(render_inspection(found), 60).split("Series")[0]
    assert "whole number" not in shown(render_inspection(found), 60)
    assert "sMAPE" not in shown(render_inspection(found), 40)


def test_curves_are_drawn_for_the_mean_and_for_the_season(found):
    text = shown(render_inspection(found))
    assert re.search(r"mean +[▁▂▃▄▅▆▇█ ]{40,}", text)
    assert re.search(r"season +[▁▂▃▄▅▆▇█]{7} *\n", text)
    assert not re.search(r"[▁▂▃▄▅▆▇]", shown(render_inspection(found), encoding="ascii"))


@pytest.mark.parametrize("name", HOSTILE_IDS)
def test_hostile_names_stay_inert(name):
    schema = Schema(name + "t", name + "y", name + "id", past=(name + "a",))
    page = render_inspection(inspected(schema, "[red]x[/red]\x1b[2J.csv"))
    for width in (40, 80):
        assert not RAW.search(shown(page, width))
    assert "\x1b[2J" not in shown(page, colour=True)
    assert "[red]x[/red]" in shown(page, 200)


@pytest.mark.parametrize("width", [40, 80])
def test_a_long_command_is_broken_so_that_it_can_be_pasted(width):
    schema = Schema("a time", "the target", "id 'x'", past=("one more long name",))
    found = inspected(schema)
    text = shown(render_inspection(found), width).split("Next\n")[1]
    lines = [line.strip() for line in text.strip().splitlines()]
    assert len(lines) > 1
    assert all(line.endswith(" \\") for line in lines[:-1])
    assert shlex.split(" ".join(line.removesuffix("\\") for line in lines)) == shlex.split(found.command)


@pytest.mark.parametrize(
    ("level", "sentence"),
    [
        (Level(0, 0, 0), "level cannot be judged"),
        (Level(200, 160, 3), "wanders in 80 % of 200 series: differences are"),
        (Level(200, 3, 190), "steady in 95 % of 200 series"),
        (Level(10, 4, 3), "not clear: wanders in 40 %, steady in 30 %"),
        (Level(1, 1, 0), "level wanders: differences are steadier"),
        (Level(1, 0, 0), "level not clear"),
    ],
)
def test_the_level_is_said_in_a_sentence(found, level, sentence):
    told = replace(found, profile=replace(found.profile, level=level))
    assert sentence in flat(shown(render_inspection(told)))


@pytest.mark.parametrize(
    ("spread", "sentence"),
    [
        (0.12, "misses by 12 % of how far the values lie apart: it comes close"),
        (0.6, "there is something to gain"),
        (1.4, "misses by 140 % of how far the values lie apart: noise, or a pattern that it cannot see"),
    ],
)
def test_how_hard_the_series_are_is_said_in_a_sentence(found, spread, sentence):
    scores = (Score("naive", 1.0, 2.0, 1.5), Score("seasonal_naive", 1.0, None, spread))
    told = replace(found, naive=replace(found.naive, scores=scores))
    assert sentence in flat(shown(render_inspection(told)))


def test_what_could_not_be_scored_or_found_is_said(found):
    profile = replace(found.profile, season_shape=(), season_strength=None, shape=())
    text = flat(
        shown(render_inspection(replace(found, profile=profile, naive=NaiveScores(0, ()), season=1, series=900)))
    )
    assert "Too short to score simple forecasts." in text
    assert "season none found" in text
    merged = replace(found, findings=(Finding("rows-merged", "3 rows were put together"),))
    assert "duplicates merged, as the findings say" in flat(shown(render_inspection(merged)))


def test_many_columns_are_cut_and_counted():
    frame = pl.DataFrame({f"c{k}": [k, k + 1] for k in range(200)})
    overview = inspect_columns(Table(frame.lazy(), Roles(), Reading(), "here"))
    text = shown(render_overview(overview))
    assert "and 176 more columns" in text
    assert len(text.splitlines()) < 40


def test_endless_names_and_many_suspects_leave_the_page_short():
    frame = pl.DataFrame({f"{k}" + "x" * 10_000: [f"a{n}@example.org" for n in range(9)] for k in range(20)})
    text = shown(render_overview(inspect_columns(Table(frame.lazy(), Roles(), Reading(), "here"))))
    assert len(text.splitlines()) < 40
    assert "and 14 more: looks like e-mail addresses" in flat(text)


def test_a_table_that_could_not_be_read_shows_its_columns():
    frame = pl.DataFrame(
        {"v": ["1", "2", "x"], "mail": ["a@example.org", "b@example.org", None], "n": [None, None, 2.0]}
    )
    overview = inspect_columns(Table(frame.lazy(), Roles(), Reading(), "here"))
    text = flat(shown(render_overview(overview)))
    for part in (
        "rows 3",
        "v text 0 %",
        "n number 67 %",
        "v: text, 67 % of it numbers",
        "mail: looks like e-mail addresses, by the form of 100 % of 2 different values sampled",
    ):
        assert part in text
    assert "example.org" not in text
    assert "not all can be read" in shown(render_overview(ColumnsOverview(None, 3, overview.columns)))
