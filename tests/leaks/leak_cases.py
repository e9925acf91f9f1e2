"""Tables whose later values are changed, and checks of what must not move when they are.

A check returns what moved, in words; an empty list means that nothing leaks. Later values are replaced in two ways: in
the panel, and in the table that the panel is read from, so that reading is covered too. Three things are held fixed,
because a reader legitimately looks at the whole table for them: the columns' roles, the frequency, and how long the
histories are (so the last value of each history may change, but not go).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest

import tsx.evaluation.backtest
from tsx.evaluation.backtest import evaluate, run_backtest
from tsx.model.forecaster import Forecaster
from tsx.panel.calendar_features import with_calendar
from tsx.panel.panel import Panel
from tsx.progress import SILENT
from tsx.spec.settings import Evaluation, Reading, Refit, Roles, Settings, Thresholds
from tsx.training.fit import fit_forecaster
from tsx.workflows.fit import fit_panel
from tsx.workflows.forecast import forecast_panel
from tsx.workflows.open_table import open_table, wishes_left

How = Literal["nan", "huge", "permuted"]
Way = tuple[How, Literal["panel", "table"]]
WAYS: tuple[Way, ...] = (
    ("nan", "panel"),
    ("huge", "table"),
    ("permuted", "panel"),
    ("nan", "table"),
    ("huge", "panel"),
    ("permuted", "table"),
)
HORIZON = 3
PLAIN = Reading()
BEYOND = Thresholds(above=(1.0, 10.0), below=(0.0,))
HUGE = 1e9
SMALL: dict[str, Any] = {
    "horizon": HORIZON,
    "context_length": 12,
    "max_steps": 5,
    "hidden_size": 8,
    "batch_size": 32,
    "device": "cpu",
}
START = dt.datetime(2024, 1, 1)
STEPS = {"1d": dt.timedelta(days=1), "1h": dt.timedelta(hours=1)}


@dataclass(frozen=True)
class Case:
    """A table and what is asked of it.

    y          what the target is like: `season`, `positive` (a level whose logarithm moves), `counts`, `price`, `flat`
               (steps up and down, most windows constant), `signed`
    lengths    rows of every series; `starts`: how many steps after the first each begins
    gaps       whether every series lacks stretches of its target
    settings   beside `SMALL`
    """

    name: str
    y: str = "season"
    lengths: tuple[int, ...] = (84, 84, 84)
    starts: tuple[int, ...] = (0, 0, 0)
    freq: str = "1d"
    past: bool = False
    future: bool = False
    static: bool = False
    gaps: bool = False
    reading: Reading = PLAIN
    held: int = 14
    """Steps after `ends` in the first series."""
    zeros: int = 0
    """Values of the first series' target that are 0 before it begins to move."""
    settings: tuple[tuple[str, Any], ...] = ()

    @property
    def wishes(self) -> Settings:
        return Settings(**{**SMALL, **dict(self.settings)})

    @property
    def ends(self) -> np.ndarray:
        """(N) positions: what lies before is learnt from. Not at one time for all, as series need not end at one."""
        held = self.held + np.arange(len(self.lengths)) % 3
        ends: np.ndarray = np.array(self.lengths) - held
        return ends - 1 if self.wishes.transform in ("return", "log-return", "variance") else ends

    @property
    def roles(self) -> Roles:
        def named(name: str, there: bool) -> tuple[str, ...]:
            return (name,) if there else ()

        static = ("kind", "size") if self.static else ()
        return Roles(("unit",), ("when",), ("y",), named("x", self.past), named("z", self.future), static)


def _target(kind: str, length: int, random: np.random.Generator) -> np.ndarray:
    t = np.arange(length)
    noise = random.normal(size=length)
    season = np.sin(2 * np.pi * t / 7)
    if kind == "season":
        return np.asarray(20 + 4 * season + 0.02 * t + 0.5 * noise)
    if kind == "positive":
        return np.asarray(np.exp(3 + season + 0.3 * noise))
    if kind == "counts":
        return random.poisson(np.exp(1.5 + 0.5 * season)).astype(np.float64)
    if kind == "price":
        return np.asarray(50 * np.exp(0.02 * noise.cumsum()))
    if kind == "flat":
        return np.repeat(random.integers(1, 9, -(-length // 20)).astype(np.float64), 20)[:length]
    return np.asarray(np.convolve(noise, [1, 0.8, 0.5], "same"))


def make_table(case: Case) -> pl.DataFrame:
    """The table with, beside its columns, `series` and `position` of each row."""
    parts = []
    for n, (length, start) in enumerate(zip(case.lengths, case.starts, strict=True)):
        random = np.random.default_rng(n)
        rows = length + (HORIZON if case.future else 0)
        step = STEPS[case.freq]
        y: np.ndarray = np.full(rows, np.nan)
        y[:length] = _target(case.y, length, random)
        columns: dict[str, Any] = {
            "series": np.full(rows, n),
            "position": np.arange(rows),
            "unit": [f"s{n}"] * rows,
            "when": [START + (start + k) * step for k in range(rows)],
            "y": y,
        }
        if case.past:
            x = 5 + random.normal(size=rows).cumsum() * 0.3
            y[2:length] += 2 * x[: length - 2]
            columns["x"] = np.where(np.arange(rows) < length, x, np.nan)
        if case.future:
            columns["z"] = 2 + np.cos(np.arange(rows) / 3) + 0.2 * random.normal(size=rows)
            y[:length] += columns["z"][:length]
        if case.static:
            columns["kind"], columns["size"] = [("a", "b")[n % 2]] * rows, np.full(rows, 1.5 + n)
        if case.gaps:
            for begin in (9, 31, 32 + 9 * n, case.ends[n] - 3, case.ends[n] + 5):
                y[begin : begin + 4] = np.nan
            y[length - 1] = 1.0
        if n == 0:
            y[: case.zeros] = 0.0
        parts.append(pl.DataFrame(columns))
    return pl.concat(parts).with_columns(pl.col(pl.Float64).fill_nan(None))


def read(case: Case, table: pl.DataFrame) -> Panel:
    """The panel of a table, as fitting sees it."""
    opened = open_table(table.drop("series", "position"), case.roles, case.reading, case.freq, SILENT, case.wishes)
    return with_calendar(opened.panel, opened.reading, HORIZON)


def _changed(values: np.ndarray, how: How, seed: int) -> np.ndarray:
    if how == "nan":
        return np.full_like(values, np.nan)
    if how == "huge":
        return np.full_like(values, HUGE)
    return np.random.default_rng(seed).permutation(values)


def change_panel(panel: Panel, own: np.ndarray, other: np.ndarray, how: How) -> Panel:
    """The panel with target values from positions `own` (N) on, past ones from `other` and future ones a horizon later.

    What is computed from the time stays.
    """
    values = panel.values.copy()
    schema = panel.schema
    for n, length in enumerate(panel.lengths):
        base = panel.offsets[n]
        for c in range(1 + len(schema.past) + len(schema.future)):
            ahead = c > len(schema.past)
            begin = own[n] if c == 0 else other[n] + (HORIZON if ahead else 0)
            rows = slice(base + begin, max(base + begin, panel.offsets[n + 1] if ahead else base + length))
            new = _changed(values[rows, c].astype(np.float64), how, n)
            values[rows, c] = new - panel.centers[n, c] if how == "huge" else new
    return replace(panel, values=values)


def change_table(case: Case, table: pl.DataFrame, own: np.ndarray, other: np.ndarray, how: How) -> pl.DataFrame:
    """As `change_panel`, in the table. Positions are the panel's: a return is of a step and of the one before it."""
    late = 1 if case.wishes.transform in ("return", "log-return", "variance") else 0
    series, position = table["series"].to_numpy(), table["position"].to_numpy()
    columns = {}
    for name in ("y", *case.roles.past, *case.roles.future):
        values = table[name].to_numpy().copy()
        for n, length in enumerate(case.lengths):
            begin = late + (own[n] if name == "y" else other[n] + (HORIZON if name == "z" else 0))
            last = length if name != "z" else len(table)
            rows = np.flatnonzero((series == n) & (position >= begin) & (position < last))
            if not len(rows):
                continue
            newest = values[rows[-1]]
            values[rows] = _changed(values[rows], how, n)
            if name == "y" and np.isnan(values[rows[-1]]):
                values[rows[-1]] = newest
        columns[name] = pl.Series(values).fill_nan(None)
    return table.with_columns(**columns)


@dataclass(eq=False)
class Data:
    """A case's table and panel, and what becomes of them; made once, as reading costs more than a forecast."""

    case: Case

    def __post_init__(self) -> None:
        self.table = make_table(self.case)
        self.panel = read(self.case, self.table)
        self.settings = wishes_left(self.case.wishes)
        self.delay = self.case.wishes.delay

    @property
    def ways(self) -> tuple[Way, ...]:
        """Half of the ways, each kind of values once: what is fitted again is changed in these, the next case's in
        the others."""
        return WAYS[:3] if len(self.case.name) % 2 else WAYS[3:]

    @property
    def other_ways(self) -> tuple[Way, ...]:
        return tuple(way for way in WAYS if way not in self.ways)

    def variants(
        self, ends: np.ndarray, ways: tuple[Way, ...] = WAYS, *, delay: int = 0
    ) -> Iterator[tuple[str, Panel]]:
        """Panels in which all from `ends` on is another; of the target what was provisional before it, too."""
        own = np.maximum(ends - delay, 1)
        for how, where in ways:
            if where == "panel":
                yield f"{how} in the panel", change_panel(self.panel, own, ends, how)
            else:
                yield f"{how} in the table", read(self.case, change_table(self.case, self.table, own, ends, how))

    def fit(self, panel: Panel) -> Forecaster:
        return fit_forecaster(panel, self.settings, ends=self.case.ends)

    def series(self) -> np.ndarray:
        return np.arange(len(self.panel))


def differences(one: Forecaster, other: Forecaster) -> list[str]:
    """The parts of two forecasters that are not the same bits."""
    weights, others = one.network.state_dict(), other.network.state_dict()
    names = [name for name in weights if weights[name].numpy().tobytes() != others[name].numpy().tobytes()]
    for name in ("covariate_location", "ranks"):
        if _bits(getattr(one, name)) != _bits(getattr(other, name)):
            names.append(name)
    for name in ("config", "training", "schema"):
        if getattr(one, name) != getattr(other, name):
            names.append(name)
    decided = {decision.name: asdict(decision) for decision in one.decisions}
    names += [d.name for d in other.decisions if decided.get(d.name) != asdict(d)]
    if replace(one.history, seconds=0.0) != replace(other.history, seconds=0.0):
        names.append("history")
    return names


def _bits(values: np.ndarray | None) -> bytes:
    return b"" if values is None else values.tobytes()


def fit_leaks(data: Data, fitted: Forecaster) -> list[str]:
    """What of a fit before `ends`, or of its forecast from there, moves with what comes after."""
    ends = data.case.ends
    forecast = fitted.quantiles(data.panel, data.series(), ends - 1)
    found = []
    for how, panel in data.variants(ends, data.ways):
        other = data.fit(panel)
        found += [f"{how}: {name}" for name in differences(fitted, other)]
        if _bits(forecast) != _bits(other.quantiles(panel, data.series(), ends - 1)):
            found.append(f"{how}: the forecast")
    return found


def forecast_leaks(data: Data, fitted: Forecaster) -> list[str]:
    """At which cutoffs a fitted network's forecast moves with what comes after them."""
    found = []
    for place, cutoffs in (("early", data.case.ends // 3), ("at the end", data.case.ends - 1)):
        made = fitted.quantiles(data.panel, data.series(), cutoffs)
        for how, panel in data.variants(cutoffs + 1, delay=data.delay):
            if _bits(made) != _bits(fitted.quantiles(panel, data.series(), cutoffs)):
                found.append(f"{how}: the forecast {place}")
    return found


def model_leaks(frame: pl.DataFrame, other: pl.DataFrame, keys: pl.DataFrame) -> list[str]:
    """The models whose forecasts at `keys` (id, cutoff) are not the same bits in two backtests."""
    found = []
    one, two = (each.join(keys, on=keys.columns, how="semi", maintain_order="left") for each in (frame, other))
    if not len(one):
        return ["nothing to compare"]
    for model in one["model"].unique(maintain_order=True):
        parts = [each.filter(pl.col("model") == model).drop("y") for each in (one, two)]
        names = [name for name, dtype in parts[0].schema.items() if dtype == pl.Float64]
        bits = [[part[name].fill_null(np.nan).to_numpy().tobytes() for name in names] for part in parts]
        if bits[0] != bits[1]:
            found.append(model)
    return found


def _keys(data: Data, cutoffs: np.ndarray) -> pl.DataFrame:
    series = np.tile(data.series(), len(cutoffs) // len(data.panel))
    times = data.panel.times(series, cutoffs)
    return pl.DataFrame({data.panel.schema.id_names[0]: data.panel.ids.gather(series), "cutoff": times})


@contextmanager
def unscored() -> Iterator[None]:
    """Backtests without scores, where only forecasts are compared: scores take most of the time of a small table."""
    nothing = SimpleNamespace(summary=[], per_step=[], verdict=None, clinical=[], reliability=[], notes=[])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tsx.evaluation.backtest, "score", lambda *given: nothing)
        yield


def evaluation_leaks(data: Data, fitted: Forecaster) -> list[str]:
    """Which models' forecasts, and whether scores, move with what comes later, where a fitted network is judged.

    Windows of two origins; what comes after the older one, or after the newer one, is changed. Scores of a fold may
    move with its own truth only: there nothing changes before that is over.
    """
    ends, stride = data.case.ends, HORIZON
    older, newer = ends - 1, ends - 1 + stride
    series, both = np.tile(data.series(), 2), np.concatenate([older, newer])
    with unscored():
        before = evaluate(fitted, data.panel, ends, series, both, stride)
    found = []
    for name, cutoffs, keys, ways in (
        ("older", older, older, data.ways),
        ("newer", newer, both, data.other_ways[1:2]),
    ):
        for how, panel in data.variants(cutoffs + 1, ways, delay=data.delay):
            with unscored():
                after = evaluate(fitted, panel, ends, series, both, stride)
            models = model_leaks(before.frame, after.frame, _keys(data, keys))
            found += [f"{how} after the {name} origin: {model}" for model in models]
    scores = evaluate(fitted, data.panel, ends, data.series(), older, stride)
    for how, panel in data.variants(ends + HORIZON, data.ways[1:2]):
        after = evaluate(fitted, panel, ends, data.series(), older, stride)
        if repr((scores.summary, scores.per_step, scores.verdict)) != repr(
            (after.summary, after.per_step, after.verdict)
        ):
            found.append(f"{how} after the truth: scores")
    return found


def backtest_leaks(data: Data, refit: Refit) -> list[str]:
    """Which models' forecasts of a rolling backtest move with what comes after their fold's cutoff."""
    folds = 3

    def backtest(panel: Panel) -> pl.DataFrame:
        with unscored():
            return run_backtest(panel, data.settings, Evaluation(cutoffs=folds, refit=refit, thresholds=BEYOND)).frame

    before = backtest(data.panel)
    cutoffs = data.panel.lengths - 1 - HORIZON * np.arange(1, folds + 1)[::-1, None]
    found = []
    for older, ways in ((1, data.ways[:1]), (2, data.ways[1:])):
        keys = _keys(data, cutoffs[:older].ravel())
        for how, panel in data.variants(cutoffs[older - 1] + 1, ways, delay=data.delay):
            found += [f"{how}: {model}" for model in model_leaks(before, backtest(panel), keys)]
    return found


def hold_out_leaks(data: Data, directory: Path) -> list[str]:
    """Which models' forecasts move with what comes after the oldest origin, where a fit is judged on held-out rows."""

    def held(panel: Panel) -> pl.DataFrame:
        backtest = fit_panel(panel, data.case.reading, data.settings, directory).backtest
        assert backtest is not None
        return backtest.frame

    before = held(data.panel)
    id_name = data.panel.schema.id_names[0]
    keys = before.group_by(id_name).agg(pl.col("cutoff").min()).sort(id_name)
    steps = data.panel.calendar.steps(data.panel.starts, keys["cutoff"])[0]
    found = []
    for how, panel in data.variants(steps + 1, data.ways, delay=data.delay):
        found += [f"{how}: {model}" for model in model_leaks(before, held(panel), keys)]
    return found


def adapted_leaks(data: Data, fitted: Forecaster) -> list[str]:
    """Whether intervals that follow what came since the fit follow what comes after their cutoff, too."""
    lengths = data.case.ends + 3 * HORIZON
    newest = _moment(data.panel.times(data.series(), data.case.ends - 1))

    def made(panel: Panel) -> bytes:
        frame = forecast_panel(fitted, replace(panel, lengths=lengths), newest=newest, thresholds=BEYOND).frame
        return frame.select(pl.col(pl.Float64)).to_numpy().tobytes()

    before = made(data.panel)
    return [f"{how}: adapted" for how, panel in data.variants(lengths, delay=data.delay) if made(panel) != before]


def reconciled_leaks(data: Data, fitted: Forecaster) -> list[str]:
    """Whether forecasts of series and of their total, made to add up, move with what comes after their cutoff."""
    ends = np.full(len(data.panel), data.case.ends.min())  # of series that begin together: only these have a total

    def made(panel: Panel) -> bytes:
        frame = forecast_panel(fitted, replace(panel, lengths=ends), reconcile_by=panel.schema.id_names).frame
        assert len(frame) == HORIZON * (len(panel) + 1)
        return frame.select(pl.col(pl.Float64)).to_numpy().tobytes()

    before = made(data.panel)
    return [f"{how}: reconciled" for how, panel in data.variants(ends, delay=data.delay) if made(panel) != before]


def _moment(times: pl.Series) -> int:
    newest = times.min()
    assert isinstance(newest, dt.datetime)
    return int(newest.replace(tzinfo=dt.UTC).timestamp() * 1e6)


def _case(name: str, *settings: tuple[str, Any], **rest: Any) -> Case:
    return Case(name, settings=settings, **rest)


CASES = (
    _case("season found"),
    _case("gru, other lengths and starts", ("cell", "gru"), lengths=(84, 70, 95), starts=(0, 6, 3)),
    _case("rnn, gaps around the end", ("cell", "rnn"), gaps=True),
    _case("no output gate, past covariate", ("cell", "lstm-nog"), past=True),
    _case("minimal cell, future covariate", ("cell", "minlstm"), future=True),
    _case("variables apart, past and future", ("cell", "imv-lstm"), past=True, future=True),
    _case("attention, statics", ("attention", "temporal"), static=True),
    _case("self-attention, gaps", ("attention", "self"), gaps=True),
    _case("logarithm chosen", y="positive"),
    _case("ensemble", ("ensemble", 2), past=True),
    _case("no link, floor", ("transform", "none"), y="positive"),
    _case("logarithm asked, segments", ("transform", "log"), ("segment", 3), y="positive"),
    _case("logarithm of zeros", ("transform", "log"), y="counts"),
    _case("last value held", ("transform", "none"), y="price", lengths=(84,) * 4, starts=(0,) * 4),
    _case("series told apart", past=True, lengths=(1040,) * 3, starts=(0,) * 3),
    _case("delay", ("delay", 2)),
    _case("delay, past covariate, gaps", ("delay", 2), past=True, gaps=True),
    _case("counts", ("counts", True), y="counts"),
    _case("returns", ("transform", "return"), y="price"),
    _case("variance, mean", ("transform", "variance"), y="price"),
    _case("adaptive intervals", ("intervals", "adaptive"), y="signed"),
    _case("calendar features by the hour", freq="1h", lengths=(90, 90, 90), reading=Reading(calendar=True)),
    _case("layers, dropout, plain intervals", ("layers", 2), ("dropout", 0.1), ("intervals", "network")),
    _case("nothing held back", ("context_length", 8), lengths=(19, 20, 21) * 2, starts=(0, 1, 2, 3, 4, 5), held=12),
    _case("flat, mean, few levels", ("point", "mean"), ("quantile_levels", (0.1, 0.5, 0.9)), y="flat", past=True),
)
BY_NAME = {case.name: case for case in CASES}
BACKTESTED = {
    "once": ("season found", "delay, past covariate, gaps", "counts", "variance, mean"),
    "every": ("gru, other lengths and starts", "attention, statics", "logarithm chosen"),
}
ZEROS = _case("zeros before the end and behind it", zeros=78)
CHOSEN = _case("context chosen", ("context_length", None))
HELD_OUT = ("variables apart, past and future", "delay", "returns")
ADAPTED = "adaptive intervals"
RECONCILED = ("season found", "delay", "minimal cell, future covariate")


@cache
def prepared(name: str) -> tuple[Data, Forecaster]:
    """A case and a network that is fitted to what lies before its ends."""
    data = Data(BY_NAME[name])
    return data, data.fit(data.panel)
