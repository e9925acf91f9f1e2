"""`fit --if-better`: a new version that is significantly worse stays beside the one in use."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tsx
from tests.handmade import FakeForecaster, network_config, panel_of
from tsx.cli.main import main
from tsx.evaluation.backtest import HoldOut
from tsx.evaluation.contest import Contestant, contest
from tsx.evaluation.verdict import surely_worse
from tsx.panel.calendar import DAY, to_moments
from tsx.store.catalog import version_in_use

SMALL: dict[str, Any] = {"horizon": 3, "context_length": 14, "max_steps": 5, "hidden_size": 4, "device": "cpu"}
FLAGS = [word for name, value in SMALL.items() for word in (f"--{name.replace('_', '-')}", str(value))]


def table(rows: int, columns: int = 9) -> pl.DataFrame:
    random = np.random.default_rng(1)
    days = [dt.date(2024, 1, 1) + dt.timedelta(n) for n in range(rows)]
    return pl.concat(
        pl.DataFrame(
            {
                "shop": f"s{k}",
                "day": days,
                "y": 50 + 8 * np.sin(np.arange(rows) * 2 * np.pi / 7) + random.normal(size=rows),
            }
        )
        for k in range(columns)
    )


def contestants(worse: float, newest: int | None = None) -> tuple[Contestant, Contestant, HoldOut]:
    """A champion that is right, and a challenger that is wrong by `worse`, in 10 series from 12 origins."""
    panel = panel_of([np.sin(np.arange(80) + k) for k in range(10)])
    series, cutoffs = np.repeat(np.arange(10), 12), np.tile(76 - 3 * np.arange(12), 10)
    ends = np.full(10, 44)

    def truth(which: np.ndarray, at: np.ndarray) -> np.ndarray:
        return np.asarray(np.sin(at + 1 + which) - np.sin(at + which))

    right = FakeForecaster(network_config(), truth)
    wrong = FakeForecaster(network_config(), lambda which, at: truth(which, at) + worse)
    return (
        Contestant("v4", right, panel, newest),  # type: ignore[arg-type]
        Contestant("new", wrong, panel),  # type: ignore[arg-type]
        HoldOut(ends, series, cutoffs, 3),
    )


@pytest.mark.parametrize(("worse", "expected"), [(3.0, True), (0.0, False)])
def test_a_challenger_is_worse_only_where_the_difference_is_no_chance(worse: float, expected: bool) -> None:
    made = contest(*contestants(worse))
    assert surely_worse(made.verdict) is expected
    assert made.forecasts == 120


def test_forecasts_that_are_new_to_both_are_compared_where_there_are_any() -> None:
    champion, challenger, held = contestants(0.0)
    moments = np.asarray(to_moments(champion.panel.times(held.series, held.cutoffs), local=False))
    newest = int(np.sort(np.unique(moments))[-4])
    made = contest(Contestant("v4", champion.forecaster, champion.panel, newest), challenger, held)
    assert (made.unseen, made.forecasts) == (True, 40)
    later = contest(Contestant("v4", champion.forecaster, champion.panel, int(moments.max()) + DAY), challenger, held)
    assert (later.unseen, later.forecasts) == (False, 120)


def test_a_worse_version_is_kept_and_not_used_and_a_gate_can_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table(120).write_csv("a.csv")
    table(124).write_csv("b.csv")
    first = tsx.fit("a.csv", model="m", if_better=True, **SMALL)
    assert (first.version, first.in_use) == ("v1", True)
    same = tsx.fit("b.csv", model="m", if_better=True, **SMALL)
    assert (same.version, same.in_use, version_in_use("m").name) == ("v2", True, "v2")
    worse = ["fit", "b.csv", "--model", "m", *FLAGS, "--if-better", "--fail-on", "not-promoted", "--keep", "1"]
    monkeypatch.setattr("tsx.workflows.promotion.surely_worse", lambda verdict: True)
    assert main([*worse, "--json", "--quiet"]) == 6
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["code"] == "not-promoted"
    assert (document["version"], document["in_use"]) == ("v3", False)
    (finding,) = [each for each in document["findings"] if each["code"] == "not-promoted"]
    assert "v2 stays in use" in finding["message"]
    assert version_in_use("m").name == "v2"
    updated = tsx.fit(table(130), model="m", update=True, if_better=True, max_steps=2)
    assert (updated.in_use, version_in_use("m").name) == (False, "v2")
