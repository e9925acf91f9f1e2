from __future__ import annotations

import re
from collections.abc import Callable
from importlib.metadata import version

import pytest

from tests.cli.shell import Run

COMMANDS = ("inspect", "fit", "forecast", "backtest", "tune", "explain", "models", "demo", "doctor")


def test_the_help_shows_examples_first_then_the_commands_in_groups_then_the_options(run: Callable[..., Run]) -> None:
    shown = run("--help")
    assert shown.status == 0
    places = [shown.out.index(text) for text in ("Examples:", "Usage:", "Look at a table:", "Forecast it:", "Options:")]
    assert places == sorted(places)
    assert all(f"\n  {name}  " in shown.out for name in COMMANDS)
    assert "completion" not in shown.out


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


def test_the_help_fits_a_narrow_terminal(run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    options = run("fit", "--help").out.split("Usage:")[1]
    assert max(len(line) for line in options.splitlines()) < 64


def test_a_flag_means_the_same_everywhere(run: Callable[..., Run]) -> None:
    for flag in ("--json", "--quiet", "--seed", "--device", "--horizon", "--past", "--config"):
        shown = {
            " ".join(found[0].split())
            for name in COMMANDS
            if (found := re.search(rf"^  {flag}[ ,].*(\n {{8,}}.*)*", run(name, "--help").out, re.MULTILINE))
        }
        assert len(shown) == 1, flag


def test_the_version_is_that_of_the_package(run: Callable[..., Run]) -> None:
    assert run("--version") == Run(0, f"tsx {version('tsx-forecast')}\n", "")
