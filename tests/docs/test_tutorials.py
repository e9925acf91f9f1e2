"""The tutorials can be followed to the end, and what they show is what comes out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, SMALL, Reader, Step, cheaper, missing, steps

LONG = ("tutorial-finance.md", "tutorial-digits.md", "tutorial-decisions.md", "tutorial-text.md", "tuning.md")
"""Pages of half a minute and more; the first pages, a tutorial and the tables stand for them in every run."""
PAGES = (
    "tutorial-health.md",
    "tables.md",
    "python.md",
    *(pytest.param(page, marks=pytest.mark.nightly) for page in LONG),
)
INPUT = re.compile(r"\w+(?= at lag \d)")
"""Which input a small network weighs most is a figure as well."""
DEFINITIONS = ("definitions.md", "explanations.md", "memory.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_a_tutorial_runs_and_prints_what_the_page_shows(page: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path, **(SMALL if page == "tutorial-health.md" else {}))
    wrong = {}
    for step in steps(ROOT / "docs" / page):
        step.code = cheaper(step.code)
        real = reader.follow(step)
        if lines := missing(step.shown, real):
            wrong[step.code] = lines
    assert not wrong


@pytest.mark.nightly
def test_every_block_of_the_guide_to_explaining_runs_and_prints_what_the_page_shows(tmp_path: Path) -> None:
    """The page trains little itself, and names windows and evaluations where fewer would change what it says."""
    reader = Reader(tmp_path, **SMALL, TSX_WINDOWS="6", TSX_MAX_EVALS="500")
    wrong = {}
    for step in steps(ROOT / "docs" / "explaining.md"):
        code = step.code.replace("30000", "500").replace("--windows 60", "--windows 12")
        real = INPUT.sub("input", reader.follow(Step(step.language, code, step.shown)))
        if lines := missing([INPUT.sub("input", line) for line in step.shown], real):
            wrong[step.code] = lines
    assert not wrong


@pytest.mark.parametrize("page", DEFINITIONS)
def test_the_examples_of_the_definitions_come_out_as_they_are_worked_by_hand(page: str, tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    examples = list(steps(ROOT / "docs" / page))
    assert examples
    assert [(step.code, reader.follow(step).splitlines()) for step in examples] == [
        (step.code, step.shown) for step in examples
    ]


def test_commands_and_python_are_told_from_what_they_print(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```console\n$ echo a\na\n…\n$ echo b\n```\n\nwords\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n"
        "```toml\nseed = 1\n```\n```text\nnot an output\n```\n",
        encoding="utf-8",
    )
    assert list(steps(page)) == [
        Step("console", "echo a", ["a", "…"]),
        Step("console", "echo b"),
        Step("python", "print(1)\n", ["1"]),
    ]


def test_shown_output_may_differ_in_figures_bars_and_line_breaks_only() -> None:
    real = "lag 1  ████▏  75 %\nhalf of it within the last\n  12 days\n"
    assert missing(["lag 7  ██  8.1 %", "…", "half of it within the last 3 days"], real) == []
    assert missing(["lag 7  ██  < 0.1 %"], real) == []
    assert missing(["lag 7  ██  8.1 mm"], real) == ["lag 7  ██  8.1 mm"]


def test_a_verdict_is_not_compared_but_the_line_after_it_is() -> None:
    real = "No skill: use naive.\n\nWritten\n"
    shown = ["  The forecast beats naive by 3 % (p = .01,", "  24 origins).", "", "Written", "Elsewhere"]
    assert missing(shown, real) == ["Elsewhere"]
    asked = ["Does the model know anything? Yes.", *shown]
    assert missing(asked, real) == ["Elsewhere"]


def test_a_check_may_come_out_otherwise_but_must_be_there() -> None:
    real = "Can you trust this explanation? No.\n\n  fail  precision  0.45  Rough.\n  weak  noise stability  0.2\n"
    shown = [
        "Can you trust this explanation? Yes.",
        "…",
        "  pass  precision        0.09",
        "  pass  additivity       2e-7",
    ]
    assert missing(shown, real) == shown[3:]


def test_a_command_that_needs_a_shell_finds_the_program(tmp_path: Path) -> None:
    assert Reader(tmp_path).follow(Step("console", "tsx --version | head -1")).startswith("tsx ")


def test_a_command_that_fails_is_an_error_unless_the_page_shows_that(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    with pytest.raises(AssertionError, match="file-not-found"):
        reader.follow(Step("console", "tsx inspect no-such.csv"))
    said = reader.follow(Step("console", "tsx inspect no-such.csv", ["error: there is no file no-such.csv"]))
    assert missing(["error: there is no file no-such.csv"], said) == []
    with pytest.raises(AssertionError):
        reader.follow(Step("console", "tsx --version", ["error: there is no version"]))
