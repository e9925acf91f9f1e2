"""`tsx docs`: the pages that come with the program."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.cli.shell import Run

ROOT = Path(__file__).resolve().parents[2]


def test_every_page_is_listed_with_its_title_and_can_be_printed(run: Callable[..., Run]) -> None:
    listed = json.loads(run("docs", "--json").out)["pages"]
    assert set(listed) == {path.stem.casefold() for path in (ROOT / "docs").rglob("*.md")} - {"readme"}
    assert listed["cli"] == "Command line"
    assert "skill" in run("docs").out
    for page in ("explaining", "Explaining"):
        assert run("docs", page).out == (ROOT / "docs" / "explaining.md").read_text(encoding="utf-8")


def test_a_page_that_there_is_not_names_the_nearest_one(run: Callable[..., Run]) -> None:
    failed = run("docs", "explainig", "--json")
    assert (failed.status, failed.error["code"]) == (2, "page-unknown")
    assert "tsx docs explaining" in failed.error["hint"]
    assert "lists them" in run("docs", "xyz", "--json").error["hint"]
