from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import version

import pytest

from tests.cli.shell import Run
from tsx.spec.verbs import USUAL, VERBS, Verb

COMMANDS = ("inspect", "fit", "forecast", "backtest", "tune", "explain", "models", "demo", "doctor")


def test_the_help_shows_examples_first_then_the_commands_in_groups_then_the_options(run: Callable[..., Run]) -> None:
    shown = run("--help")
    assert shown.status == 0
    places = [shown.out.index(text) for text in ("Examples:", "Usage:", "Look at a table:", "Forecast it:", "Options:")]
    assert places == sorted(places)
    assert all(f"\n  {name}  " in shown.out for name in COMMANDS)
    assert "completion" not in shown.out
    assert re.search(r"tsx fit \S+ --label ", shown.out[: places[1]])


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_shows_an_example_before_its_flags_and_fits_100_columns(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    shown = run(name, "--help")
    assert shown.status == 0
    assert shown.out.index(f"  tsx {name}") < shown.out.index("Usage:") < shown.out.index("  --json ")
    assert max(len(line) for line in shown.out.splitlines()) < 100
    assert run(name, "-h").out == shown.out


def test_the_help_of_the_program_fits_80_columns(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert max(len(line) for line in run("--help").out.splitlines()) < 80


def test_the_help_fits_a_narrow_terminal(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    options = run("fit", "--help-all").out.split("Usage:")[1]
    assert max(len(line) for line in options.splitlines()) < 64


def test_a_flag_means_the_same_everywhere(run: Callable[..., Run]) -> None:
    for flag in ("--json", "--quiet", "--seed", "--device", "--horizon", "--past", "--config"):
        shown = {
            " ".join(found[0].split())
            for name in COMMANDS
            if (found := re.search(rf"^  {flag}[ ,].*(\n {{8,}}.*)*", all_flags(run, name), re.MULTILINE))
        }
        assert len(shown) == 1, flag


def all_flags(run: Callable[..., Run], name: str) -> str:
    """The help of a command with every flag; of one with few flags that is its help."""
    shown = run(name, "--help-all")
    return shown.out if shown.status == 0 else run(name, "--help").out


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.command)
def test_the_help_of_a_command_fits_a_screen_and_help_all_has_every_flag(
    run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    screen = run(verb.command, "--help").out
    assert len(screen.splitlines()) <= 50
    flags = {one.flag for one in verb.flags}
    assert {"--" + name.replace("_", "-") for name in verb.usual} <= flags
    named = set(re.findall(r"^  (--[a-z-]+)", screen, re.MULTILINE)) - {"--help", "--help-all"}
    usual = flags & {"--" + name.replace("_", "-") for name in (*verb.usual, *USUAL)}
    assert named == (usual if verb.usual else flags)
    shown = set(re.findall(r"^  (--[a-z-]+)", all_flags(run, verb.command), re.MULTILINE))
    assert flags <= shown
    if verb.usual:
        assert f"shows {len(flags - usual)} more flags" in screen


def test_the_help_names_no_default_where_a_value_has_to_be_given(run: Callable[..., Run]) -> None:
    (line,) = (line for line in run("partition", "--help").out.splitlines() if "--out FOLDER " in line)
    assert "Default" not in line


def test_the_version_is_that_of_the_package(run: Callable[..., Run]) -> None:
    assert run("--version") == Run(0, f"tsx {version('tsx-forecast')}\n", "")
