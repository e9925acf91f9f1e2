"""What would have to be different for a forecast to lie below or above a value: few inputs, with values that occur.

Inputs take the values of a real window with which the goal is reached; then as many of them as possible go back to what
they were, and what is left moves only as far as it has to (a nearest unlike neighbour made sparse: Brughmans, Leyman &
Martens 2023, *NICE: an algorithm for nearest instance counterfactual explanations*). Every answer is a window that the
network was asked about. That nothing is found is an answer, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from torch import Tensor

from tsx.errors import ConfigError
from tsx.explanation.distance import distances
from tsx.explanation.measure import CUTOFF, ID, Context, Measure, Measured, Results, TableSpec
from tsx.explanation.shap.chunk import Chunk
from tsx.explanation.shap.game import flatten, game_of, unflatten, with_target
from tsx.explanation.shap.importance_writer import RowLayout
from tsx.explanation.shap.players import cells_of, players_of
from tsx.model.batch import Batch
from tsx.spec.channels import TARGET
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Question, Side
from tsx.wording import column_list, count, verb

ANSWERED = 8
"""Newest forecasts that are asked about, at most."""
DONORS = 16
"""Real windows whose values are tried for each of them: the nearest that reach the goal."""
SHOWN = 3
"""Answers for each forecast, at most."""
ALIKE = 0.5
"""Two answers that share more of their changed inputs than this are one."""
ROUNDS = 8
HALVINGS = 10
"""Of the way between two values: a thousandth of it is close enough, and no matter of rounding."""
ROUNDING = 1e-6
"""Of the other one of two values: what is smaller is the rounding of 0 around a center."""
DISTINCT = 10
"""A column of at most so many values keeps to them: half a holiday is none."""
WINDOWS_TABLE = TableSpec(
    "counterfactual_windows",
    {
        **{ID: None, CUTOFF: None, "step": pl.Int64, "number": pl.Int64},
        **{"before": pl.Float64, "after": pl.Float64, "changed": pl.Int64},
        **{"distance": pl.Float64, "unusual": pl.Boolean},
    },
)
INPUTS_TABLE = TableSpec(
    "counterfactuals",
    {
        **{ID: None, CUTOFF: None, "number": pl.Int64, "feature": pl.String, "lag": pl.Int64},
        **{"value": pl.Float64, "changed_to": pl.Float64},
    },
)
WRITTEN = re.compile(r"(below|above)=([+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?)", re.IGNORECASE)


@dataclass(frozen=True)
class Goal:
    """A forecast `side` (above, below) of a value."""

    side: Side
    value: float

    @classmethod
    def of(cls, text: str) -> Goal:
        """Raises ConfigError `setting-unknown`."""
        found = WRITTEN.fullmatch(text.strip())
        if found is None:
            raise ConfigError(
                "setting-unknown",
                f"counterfactual is {text!r}",
                hint="write it as below=70 or above=180",
                where="counterfactual",
            )
        side: Side = "below" if found[1].casefold() == "below" else "above"
        return cls(side, float(found[2]))

    def reached(self, forecasts: np.ndarray) -> np.ndarray:
        """(n) whether forecasts (n) in the user's units lie there."""
        return np.asarray(forecasts < self.value if self.side == "below" else forecasts > self.value)

    def lacking(self, forecasts: np.ndarray) -> np.ndarray:
        """(n) how far they are from it; negative beyond it."""
        return np.asarray(forecasts - self.value if self.side == "below" else self.value - forecasts)

    def __str__(self) -> str:
        return f"{self.side} {self.value:g}"


def changeable_columns(config: NetworkConfig, question: Question) -> tuple[str, ...]:
    """The columns whose values may change: those that are named, or all covariates over time that the table has.

    Raises ConfigError `column-not-found` for a column that the network does not read over time, `settings-contradict`
    where it reads no covariate and none is named.
    """
    channels = [channel for channel in config.channels.time_varying if not channel.computed]
    names = [channel.name for channel in channels]
    if not question.changeable:
        covariates = tuple(channel.name for channel in channels if channel.role != "target")
        if not covariates:
            raise ConfigError(
                "settings-contradict",
                "the model reads no covariates that could be different",
                hint=f"name what may change: --changeable {names[TARGET]}",
                where="changeable",
            )
        return covariates
    for name in question.changeable:
        if name not in names:
            raise ConfigError(
                "column-not-found",
                f"the network reads no column {name!r} over time; it reads {column_list(names)}",
                hint="name some of these with --changeable",
                where="changeable",
            )
    return question.changeable


@dataclass(frozen=True, eq=False)
class Answer:
    """One changed window: its `cells` (M), which of them were changed (M, bool), and its forecast."""

    cells: Tensor
    changed: Tensor
    forecast: float


@dataclass(frozen=True, eq=False)
class Search:
    """Looks for changed windows that reach the goal.

    chunk    the windows; its players are what may change: a cell each, or the words of a time together
    centers  (W) what the windows' forecasts are around
    donors   (D, M) real windows, whose target is around `donor_centers` (D) while a window's is around its own
    apart    (M) how far values of a cell usually lie apart
    moves    (M, bool) cells that may take values between those of the table
    words    (M, bool) cells that are codes of words, of which one is as far from the other as any; none without
    """

    chunk: Chunk
    goal: Goal
    centers: np.ndarray
    donors: Tensor
    apart: Tensor
    moves: Tensor
    words: Tensor | None = None

    def forecasts(self, rows: Tensor, w: int) -> np.ndarray:
        """(n) the last step, or the sum, of windows (n, M) that came from window `w`."""
        of = torch.full((len(rows),), w, device=rows.device)
        return np.asarray(self.chunk.values(rows, of).sum(-1)[:, -1].numpy() + self.centers[w])

    def answers(self, w: int) -> list[Answer]:
        """Several different answers for window `w`, those that change the fewest inputs first; none where none is."""
        window, may = self.chunk.cells[w], self._player >= 0
        mixed = torch.where(may & ~torch.isnan(self.donors), self.donors, window)
        reached = np.flatnonzero(self.goal.reached(self.forecasts(mixed, w)))
        far = self._distance(mixed, window).cpu().numpy()
        nearest = reached[np.argsort(far[reached], kind="stable")][:DONORS]
        found = []
        for donor in mixed[torch.from_numpy(nearest)]:
            changed = self._fewest(window, donor, w)
            cells = self._least(window, torch.where(changed, donor, window), w)
            answer = Answer(cells, changed, float(self.forecasts(cells[None], w)[0]))
            found.append((len(self.changed(answer)), float(self._distance(cells[None], window)), answer))
        kept: list[Answer] = []
        for _, _, each in sorted(found, key=lambda item: item[:2]):
            if len(kept) < SHOWN and all(_alike(each.changed, other.changed) <= ALIKE for other in kept):
                kept.append(each)
        return kept

    def changed(self, answer: Answer) -> np.ndarray:
        """The players whose cells an answer changes, in the order of the cells."""
        players = self.chunk.players.of_cell[answer.changed.cpu().numpy()]
        return np.array(list(dict.fromkeys(players.tolist())), dtype=np.int64)

    @property
    def _player(self) -> Tensor:
        """(M) which player a cell is of, -1: it may not change."""
        return torch.from_numpy(self.chunk.players.of_cell).long().to(self.chunk.cells.device)

    def _distance(self, cells: Tensor, window: Tensor) -> Tensor:
        """(n) how far windows (n, M) are from `window` (M), each cell by how far its values usually lie apart."""
        apart = (cells - window).abs().div(self.apart).nan_to_num()
        if self.words is not None:
            apart = torch.where(self.words, (cells != window).to(apart.dtype), apart)
        return apart.sum(1)

    def _fewest(self, window: Tensor, donor: Tensor, w: int) -> Tensor:
        """(M, bool) cells of `donor` that are enough; no player can go back to the window's own by itself."""
        changed = (donor != window) & ~(torch.isnan(donor) & torch.isnan(window))
        player = self._player
        for _ in range(ROUNDS):
            players = torch.unique(player[changed])
            if len(players) < 2:
                break
            without = changed & (player != players[:, None])
            lacking = self.goal.lacking(self.forecasts(torch.where(without, donor, window), w))
            order = players[torch.from_numpy(np.argsort(lacking, kind="stable"))]
            # the first c of them go back together, those first that are missed least
            places = torch.full((len(self.chunk.players) + 1,), len(players), device=player.device)
            places[order] = torch.arange(len(players), device=player.device)
            together = changed & (places[player] >= torch.arange(1, len(players), device=player.device)[:, None])
            enough = np.flatnonzero(self.goal.reached(self.forecasts(torch.where(together, donor, window), w)))
            if not len(enough):
                break
            changed = together[int(enough[-1])]
        return changed

    def _least(self, window: Tensor, donor: Tensor, w: int) -> Tensor:
        """(M) the window moved towards `donor` no farther than it takes; columns of few values keep the donor's."""
        low, high = 0.0, 1.0

        def part_way(share: float) -> Tensor:
            return torch.where(self.moves & (donor != window), window + share * (donor - window), donor)

        if torch.isnan(window[self.moves & (donor != window)]).any():
            return donor
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            if self.goal.reached(self.forecasts(part_way(middle)[None], w))[0]:
                high = middle
            else:
                low = middle
        return part_way(high)


def _alike(one: Tensor, other: Tensor) -> float:
    """The share of the changed inputs of both that both change."""
    return float((one & other).sum()) / max(float((one | other).sum()), 1.0)


def search_of(context: Context, series: np.ndarray, cutoffs: np.ndarray, goal: Goal) -> Search:
    """The search among windows of `series` (W) at `cutoffs` (W), with the windows of the population as donors."""
    config, question = context.config, context.question
    columns = changeable_columns(config, question)
    among = np.array([name in columns for name, _ in cells_of(config)], dtype=np.bool_)
    players = players_of(config, replace(question, players="cell", group=None), among)
    batch = context.task.source.cut(series, cutoffs)
    chunk = Chunk(game_of(context.forecaster, batch, question), flatten(batch), [], players)
    donors = flatten(context.population)
    spread = (donors - donors.nanmean(0)).square().nanmean(0).sqrt()
    few = few_values(donors, [name for name, _ in cells_of(config)], players.feature)
    times = {"width": 0, "sum": config.horizon}.get(question.explain, 1)
    centers = times * context.panel.centers[series, TARGET]
    return Search(chunk, goal, centers, donors, spread.clamp(min=1e-12), ~few)


def few_values(donors: Tensor, names: Sequence[str | None], columns: Iterable[str | None]) -> Tensor:
    """(M, bool) cells of these columns that take few values; `names` (M) of the cells' columns."""
    few = torch.zeros(len(names), dtype=torch.bool)
    for name in dict.fromkeys(columns):
        cells = torch.tensor([each == name for each in names])
        values = donors[:, cells.to(donors.device)].cpu()
        few |= cells & (len(torch.unique(values[~torch.isnan(values)])) <= DISTINCT)
    return few.to(donors.device)


def _around_own_centers(population: Batch, centers: np.ndarray, center: float) -> Tensor:
    """(D, M) the windows of the population, their target around the `center` of another series."""
    shift = torch.from_numpy(centers - center).to(population.past)[:, None]
    return flatten(replace(population, past=with_target(population.past, population.past[..., TARGET] + shift)))


def _measure(context: Context, results: Results) -> Measured:
    question, panel = context.question, context.panel
    assert question.counterfactual is not None
    goal = Goal.of(question.counterfactual)
    _, first = np.unique(context.series, return_index=True)
    newest = np.sort(first)[:ANSWERED]
    series, cutoffs = context.series[newest], context.cutoffs[newest]
    search = search_of(context, series, cutoffs, goal)
    batch = context.task.source.cut(series, cutoffs)
    layout = RowLayout.of(context.forecaster, panel, search.chunk.players, question)
    who, step = layout.player_columns(), layout.steps[-1]
    windows: list[dict[str, object]] = []
    inputs: list[pl.DataFrame] = []
    tally = {"already": 0, "found": 0, "none": 0}
    for w in range(len(series)):
        keys = {name: column[0] for name, column in panel.id_columns(series[w : w + 1]).items()}
        keys |= {CUTOFF: panel.times(series[w : w + 1], cutoffs[w : w + 1])[0]}
        own = search.chunk.cells[w]
        before = float(search.forecasts(own[None], w)[0])
        there = bool(goal.reached(np.array([before]))[0])
        own_search = replace(
            search,
            donors=_around_own_centers(
                context.population,
                panel.centers[context.population_series, TARGET],
                float(panel.centers[series[w], TARGET]),
            ),
        )
        answers = [] if there else own_search.answers(w)
        tally["already" if there else "found" if answers else "none"] += 1
        if not answers:
            row = {"number": 0 if there else None, "after": before if there else None, "changed": 0 if there else None}
            windows.append({**keys, "step": step, "before": before, "distance": None, "unusual": None, **row})
        changed = [unflatten(each.cells[None], context.config, batch, torch.tensor([w])) for each in answers]
        apart = [distances(context.network, each, context.population)[0] for each in changed]
        for number, (each, (distance, unusual)) in enumerate(zip(answers, apart, strict=True), 1):
            row = {"number": number, "after": each.forecast, "changed": len(search.changed(each))}
            windows.append({**keys, "step": step, "before": before, "distance": distance, "unusual": unusual, **row})
            values = layout.values(series[[w, w]], torch.stack([own, each.cells]).cpu().numpy())
            values[np.abs(values) < ROUNDING * np.abs(values).max(0)] = 0.0
            of_players = search.changed(each)
            inputs.append(
                who[of_players].with_columns(
                    *(pl.lit(value).alias(name) for name, value in keys.items()),
                    number=pl.lit(number, pl.Int64),
                    value=pl.Series(values[0, of_players]).fill_nan(None),
                    changed_to=pl.Series(values[1, of_players]).fill_nan(None),
                )
            )
    names = panel.schema.id_names
    frame = pl.DataFrame(
        windows, schema_overrides={k: v for k, v in WINDOWS_TABLE.columns.items() if v}, infer_schema_length=None
    )
    tables = {"counterfactual_windows": frame.select(list(WINDOWS_TABLE.types(names)))}
    if inputs:
        tables["counterfactuals"] = pl.concat(inputs).select(list(INPUTS_TABLE.types(names)))
    sentence = counterfactual_sentence(goal, tally, tables["counterfactual_windows"], context)
    return Measured(tables, {"counterfactual": {"goal": str(goal), **tally}}, sentences=(sentence,))


def counterfactual_sentence(goal: Goal, tally: dict[str, int], windows: pl.DataFrame, context: Context) -> str:
    """How many forecasts reach the goal as they are, by which changes, or not at all."""
    what = f"the sum of {context.schema.target}" if context.question.explain == "sum" else context.schema.target
    at = "" if context.question.explain == "sum" else f" at step {context.config.horizon}"
    columns = column_list(changeable_columns(context.config, context.question))
    total = sum(tally.values())
    words = [f"What would have to be different for {what} to be forecast {goal}{at}, with other values of {columns}:"]
    parts = []
    if tally["already"]:
        parts.append(f"{tally['already']} of {count(total, 'forecast')} {verb(tally['already'], 'is')} there already")
    if tally["found"]:
        best = windows.filter(pl.col("number") == 1)
        fewest, most = min(best["changed"]), max(best["changed"])
        inputs = count(fewest, "input") if fewest == most else f"{fewest} to {most} inputs"
        part = f"for {tally['found']} of {total} a change of {inputs} is enough"
        far = int(best["unusual"].sum())
        parts.append(part + (f", though {far} of these windows {verb(far, 'is')} unlike real ones" if far else ""))
    if tally["none"]:
        parts.append(f"for {tally['none']} of {total} none was found among the values of real windows")
    return f"{words[0]} {'; '.join(parts)}."


COUNTERFACTUALS = Measure(
    name="counterfactuals",
    section="counterfactuals",
    group="What drives it",
    tables=(WINDOWS_TABLE, INPUTS_TABLE),
    measure=_measure,
    applies=lambda context: context.question.counterfactual is not None,
)
