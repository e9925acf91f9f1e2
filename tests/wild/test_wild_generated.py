"""Drawn tables are read without a flag, or refused with a hint that leads to the panel; no hint loses a value."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.wild.corpus import CASES
from tests.wild.generated import Drawn, alternatives, drawn, followed
from tests.wild.truth import Case, difference, file
from tsx.errors import TsxError
from tsx.panel.panel import Panel
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles
from tsx.workflows.open_table import open_table

MOST_HINTS = 2
"""A date and an id may each need one."""
REACHED = 0.98
DROPS = ("duplicates", "regularize", "skip_rows_without")
"""Settings that leave rows out."""


def outcome(table: Drawn, folder: Path) -> str:
    """Nothing where the table becomes its panel, at once or by the first hint; else what came instead."""
    path = file("a.csv", table.text)(folder)
    roles, reading, freq = Roles(), Reading(), None
    for _ in range(MOST_HINTS + 1):
        try:
            panel = open_table(path, roles, reading, freq, SILENT).panel
        except TsxError as error:
            offers = alternatives(error.hint)
            if not offers or any(name in offers[0][1] for name in DROPS):
                return f"{error.code}: {error.message} ({error.hint})"
            roles, reading, freq = followed(offers[0][1], roles, reading)
            continue
        if panel.schema.target != table.target:
            return f"the target is {panel.schema.target}"
        if {*panel.schema.ids} != {*table.ids}:
            return f"the id is {panel.schema.ids}"
        truth = table.truth
        if not table.ids:
            truth = truth.named(table.target)
        return difference(table.named(panel) if table.ids else panel, truth)
    return "a hint after the last one"


def test_drawn_tables_become_their_panels(tmp_path: Path) -> None:
    failed = _failed(range(40), tmp_path)
    assert len(failed) <= (1 - REACHED) * 40, failed


@pytest.mark.nightly
def test_two_thousand_drawn_tables_become_their_panels(tmp_path: Path) -> None:
    failed = _failed(range(1000, 3000), tmp_path)
    print(f"{2000 - len(failed)} of 2000", Counter(what.split(":")[0] for what in failed))
    assert len(failed) <= (1 - REACHED) * 2000, failed[:10]


def _failed(seeds: range, folder: Path) -> list[str]:
    outcomes = ((seed, table.kind, outcome(table, folder)) for seed in seeds if (table := drawn(seed)))
    return [f"{what} in {seed} ({kind})" for seed, kind, what in outcomes if what]


def observed(panel: Panel) -> int:
    """How many values the panel holds."""
    return int((~np.isnan(panel.values[:, 0])).sum())


def refusals(table: Drawn) -> list[tuple[str, Roles, Reading]]:
    """The table with rows that repeat, with times off the grid, and as it is."""
    lines = table.text.splitlines(keepends=True)
    again = [*lines, *lines[3:9]]
    return [("".join(content), Roles(), Reading()) for content in (lines, again, [*again, *lines[1:3]])]


@pytest.mark.parametrize("seed", range(12))
def test_a_hint_that_loses_a_value_says_how_many_rows_are_left(seed: int, tmp_path: Path) -> None:
    _check_hints_of_drawn(seed, tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(3000, 3200))
def test_no_hint_for_two_hundred_more_loses_a_value_silently(seed: int, tmp_path: Path) -> None:
    _check_hints_of_drawn(seed, tmp_path)


def _check_hints_of_drawn(seed: int, tmp_path: Path) -> None:
    table = drawn(seed)
    held = sum(value is not None for one in table.truth.series for value in one.target)
    for content, roles, reading in refusals(table):
        path = file("a.csv", content)(tmp_path)
        for words, panel in _followed(path, roles, reading, None):
            if observed(panel) < held:
                assert "leaves" in words, f"{table.kind}: {observed(panel)} of {held} values are left by: {words}"


REFUSED = [pytest.param(case, id=case.name) for case in CASES if case.error and not case.stdin]
COUNTED = ("left out", "leaves", "no row of", "became", "counts", "merged", "stay", "not observed", "means missing")
"""Words with which a finding or a decision says how many rows or values are not used."""


@pytest.mark.parametrize("case", REFUSED)
def test_of_two_ways_on_the_one_that_keeps_fewer_values_says_so(case: Case, tmp_path: Path) -> None:
    ways = _followed(case.write(tmp_path), case.roles, case.reading, case.freq)
    most: dict[str, int] = {}
    for _, panel in ways:
        most[panel.schema.target] = max(observed(panel), most.get(panel.schema.target, 0))
    for words, panel in ways:
        if observed(panel) < most[panel.schema.target]:
            said = [words, *(one.message for one in panel.findings)]
            assert any(word in text for text in said for word in COUNTED), words


@pytest.mark.parametrize("case", REFUSED)
def test_no_hint_of_the_corpus_drops_rows_without_a_count(case: Case, tmp_path: Path) -> None:
    source = case.write(tmp_path)
    with pytest.raises(TsxError) as caught:
        open_table(source, case.roles, case.reading, case.freq, SILENT)
    offers = alternatives(caught.value.hint)
    dropping = [n for n, (_, flags) in enumerate(offers) if any(name in flags for name in DROPS)]
    for n in dropping:
        words, flags = offers[n]
        assert all(any(name in later for name in DROPS) for _, later in offers[n:]), "what drops rows comes last"
        if "leaves" in words:
            continue
        roles, reading, freq = followed(flags, case.roles, case.reading)
        try:
            opened = open_table(source, roles, reading, freq or case.freq, SILENT)
        except TsxError:
            continue
        counted = [one.message for one in opened.panel.findings] + [one.reason for one in opened.decisions]
        assert any(word in text for text in counted for word in ("left out", "became", "repeat", "steps")), words


def _followed(path: Any, roles: Roles, reading: Reading, freq: str | None, depth: int = 2) -> list[tuple[str, Panel]]:
    """What each hint leads to, and the words of the hints on the way."""
    try:
        return [("", open_table(path, roles, reading, freq, SILENT).panel)]
    except TsxError as error:
        if depth < 0:
            return []
        found = []
        for words, flags in alternatives(error.hint):
            then = _followed(path, *followed(flags, roles, reading), depth - 1)
            found += [(f"{words}; {more}", panel) for more, panel in then]
        return found
