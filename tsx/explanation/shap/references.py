"""Which windows are explained, which stand for their population, and what takes the place of their absent values.

References are counted, never listed: whatever the size of the panel, a window's references are a few runs of cutoffs,
worked out for a whole chunk of windows at once, and cells are cut when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor

from tsx.errors import DataError
from tsx.explanation.shap.game import flatten, frame_of_rows, rescaled_to, with_target
from tsx.explanation.shap.units import from_link, to_link
from tsx.model.batch import Batch, Windows
from tsx.model.forecaster import Forecaster
from tsx.model.window_scaler import Frame
from tsx.panel.cutoffs import Cutoffs, observed_cutoffs
from tsx.panel.lookup import targets_after
from tsx.panel.panel import Panel
from tsx.panel.sampling import evenly_spaced
from tsx.spec.channels import TARGET
from tsx.spec.network import NetworkConfig
from tsx.spec.settings import Question
from tsx.wording import count

POPULATION = 512
"""Windows over which memory, gradients, paths and the surrogate are averaged."""
FEWEST_REFERENCES = 8
"""With fewer windows of one kind the next kind is taken: fewer would make the base value a matter of luck."""
RECENT = 4
"""Seasons, or contexts where these are longer, in which recent references end: as many as share no context, at least
four times the window, and still short against how long most levels stay."""
CHECKED = 1 << 22
"""Cells looked at in one go when cutoffs with an observed context are searched."""
GOLDEN = (5**0.5 - 1) / 2

Cells = Callable[[np.ndarray, np.ndarray], Tensor]
"""Series and cutoffs (R) of windows to the cells (R, M) that they lend to one explained window."""


def choose(forecaster: Forecaster, panel: Panel, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(series, cutoffs) to explain, and which of them are newest forecasts.

    The newest of every series, or of evenly spaced ones where there are more series than `count`; then, a horizon
    earlier each round, those whose whole context lies in the series and has an observed target. Where no series has
    its known-future covariates beyond its newest row, the newest forecasts are those a horizon earlier.
    """
    series, cutoffs = _newest(forecaster, panel)
    shown = evenly_spaced(len(series), count)
    series, cutoffs = series[shown], cutoffs[shown]
    newest = np.arange(len(series))
    horizon, context = forecaster.config.horizon, forecaster.config.context_length
    chosen_series, chosen_cutoffs = [series], [cutoffs]
    missing = count - len(series)
    # how many rounds each series can go back; sorted, so that a block of rounds looks at those alone that take part
    rounds = np.maximum((cutoffs - (context - 1)) // horizon, 0)
    done, last = 0, int(rounds.max(initial=0))
    while missing > 0 and done < last:
        taking = np.flatnonzero(rounds > done)
        block = max(1, min(last - done, max(CHECKED // context, 1) // len(taking), -(-missing // len(taking))))
        back = np.arange(done + 1, done + block + 1)[:, None]
        possible = back <= rounds[taking]
        at = (cutoffs[taking] - back * horizon)[possible]
        whose = np.broadcast_to(series[taking], possible.shape)[possible]
        seen = _sees_target(panel, whose, at, context)
        chosen_series.append(whose[seen][:missing])
        chosen_cutoffs.append(at[seen][:missing])
        missing -= len(chosen_series[-1])
        done += block
    return np.concatenate(chosen_series), np.concatenate(chosen_cutoffs), newest


def choose_known(forecaster: Forecaster, panel: Panel, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """As `choose`, among the forecasts of which every outcome is known.

    Raises DataError `nothing-to-compare` where there is none.
    """
    horizon = forecaster.config.horizon
    ended = replace(panel, lengths=np.maximum(panel.lengths - horizon, 1))
    series, cutoffs, _ = choose(forecaster, ended, count)
    known = ~np.isnan(targets_after(panel, series, cutoffs, horizon)).any(1)
    if not known.any():
        raise DataError(
            "nothing-to-compare",
            f"none of {len(series):,} earlier forecasts has its whole horizon of {horizon} observed",
            hint="bring more rows, or ask for another quantity with --explain",
            where="explain",
        )
    series, cutoffs = series[known], cutoffs[known]
    return series, cutoffs, np.sort(np.unique(series, return_index=True)[1])


def _newest(forecaster: Forecaster, panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """(series, cutoffs) of the newest forecasts; a horizon back where nothing is known ahead of any series' end.

    A forecast needs the covariates of days to come, and an explanation had better explain one of yesterday than none.
    """
    try:
        return forecaster.cutoffs(panel)
    except DataError as error:
        if error.code != "future-covariates-missing":
            raise
        try:
            return forecaster.cutoffs(replace(panel, lengths=np.maximum(panel.lengths - forecaster.config.horizon, 1)))
        except DataError:
            raise error from None


def _sees_target(panel: Panel, series: np.ndarray, cutoffs: np.ndarray, context: int) -> np.ndarray:
    """(B) whether the `context` steps up to each cutoff, all within the series, have an observed target."""
    seen = np.empty(len(series), dtype=np.bool_)
    size = max(1, CHECKED // context)
    for begin in range(0, len(series), size):
        part = slice(begin, begin + size)
        rows = (panel.offsets[series[part]] + cutoffs[part])[:, None] + np.arange(1 - context, 1)
        seen[part] = ~np.isnan(panel.values[rows, 0]).all(1)
    return seen


def population_of(panel: Panel, context: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows with a whole context and a target in it, evenly over series and times; shorter where there are none."""
    whole = _observed(panel, context, context, horizon)
    return (whole if len(whole) else _observed(panel, context, 1, 0)).spread(POPULATION)


@dataclass(frozen=True, eq=False)
class _CutoffRuns:
    """Runs of cutoffs of one series, every `stride`-th: `first` and how many there are `until` the end of each run."""

    series: int
    first: np.ndarray
    until: np.ndarray
    stride: int

    def __len__(self) -> int:
        return int(self.until[-1])

    def pick(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        run = np.searchsorted(self.until, numbers, side="right")
        into = numbers - np.concatenate([[0], self.until[:-1]])[run]
        return np.full(len(numbers), self.series, dtype=np.int64), self.first[run] + self.stride * into


@dataclass(frozen=True, eq=False)
class _CutoffsExcept:
    """All of `cutoffs` but the `skipped` ones from number `begin` on."""

    cutoffs: Cutoffs
    begin: int = 0
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.cutoffs) - self.skipped

    def pick(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.cutoffs.pick(numbers + np.where(numbers >= self.begin, self.skipped, 0))


@dataclass(frozen=True, eq=False)
class References:
    """What may take the place of one window's absent cells (M), cut when asked for.

    own         windows of the series itself, of which is known:
    same_phase  all at the explained window's phase of the season (True where there is no season)
    clear       none shares a step with the explained context
    recent      none ended longer ago than was asked for
    borrowed    windows of the panel, as the series has too few of its own
    """

    _windows: _CutoffRuns | _CutoffsExcept
    _cells: Cells
    own: bool = False
    same_phase: bool = False
    clear: bool = False
    recent: bool = False
    borrowed: bool = False

    def __len__(self) -> int:
        return len(self._windows)

    def population(self, size: int) -> Tensor:
        """(R, M): at most `size` of them, one of each of R equal parts, the same at every call.

        Where in its part each lies follows the golden ratio: equal steps could be whole weeks, and all of them Mondays.
        """
        count = max(1, min(size, len(self)))
        bounds = np.arange(count + 1) * len(self) // count
        inside = np.arange(count) * GOLDEN % 1.0
        return self._cells(*self.places(bounds[:-1] + (inside * np.diff(bounds)).astype(np.int64)))

    def places(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(series, cutoffs) of the references with these numbers, each in [0, len), oldest of a series first."""
        return self._windows.pick(np.asarray(numbers, dtype=np.int64))


@dataclass
class ReferenceCounts:
    """How many explained windows have which references: what was not as asked is counted, chunk by chunk.

    season  of the forecaster; 1 for none
    """

    season: int = 1
    windows: int = 0
    borrowed: int = 0
    any_phase: int = 0
    overlapping: int = 0
    older: int = 0

    def add(self, references: Iterable[References]) -> None:
        for each in references:
            self.windows += 1
            self.borrowed += each.borrowed
            self.any_phase += each.own and not each.same_phase
            self.overlapping += each.own and not each.clear
            self.older += each.own and not each.recent

    def words(self, question: Question) -> str:
        """What the references are, and for how many forecasts they are others, as the method says it."""
        if question.reference in ("panel", "table"):
            whose = "the panel" if question.reference == "panel" else "the given table"
            return f"windows of {whose}" + (", moved to the explained level" if question.level == "hold" else "")
        kind = "the newest earlier windows" if question.reference == "recent" else "earlier windows"
        parts = [f"{kind} of the same series" + (" at the same phase of the season" if self.season > 1 else "")]
        parts += [
            f"for {count(number, 'forecast')} {words}"
            for number, words in (
                (self.any_phase, f"at any phase, as fewer than {FEWEST_REFERENCES} have the same"),
                (self.overlapping, "some that share steps with the explained window"),
                (self.older, "older ones, too"),
                (self.borrowed, "windows of the panel, moved to the explained level"),
            )
            if number
        ]
        return "; ".join(parts)


class ReferencePool:
    """Finds the references of explained windows, a chunk at a time.

    Raises DataError `nothing-to-compare` where the table of references holds no usable window. `table`, read like the
    panel, goes with question.reference "table"; without it that is a ValueError.
    """

    def __init__(
        self, forecaster: Forecaster, panel: Panel, question: Question, source: Windows, table: Panel | None = None
    ) -> None:
        self._network, self._config = forecaster.network, forecaster.config
        self._panel, self._question, self._source = panel, question, source
        self._table: tuple[Panel, Windows] | None = None
        self._of_table: Cutoffs | None = None
        if question.reference == "table":
            if table is None:
                raise ValueError("references are to come from a table, and none is given")
            self._table = table, forecaster.windows(table)
            self._of_table = next((each for each in _stages(table, self._config) if len(each)), None)
            if self._of_table is None:
                raise DataError(
                    "nothing-to-compare",
                    f"the table of references has {len(table):,} series, and none with an observed target",
                    hint="bring a table with values in its target column",
                    where="reference",
                )

    def of(self, series: np.ndarray, cutoffs: np.ndarray, batch: Batch) -> list[References]:
        """The references of the explained windows: of `series` (W) at `cutoffs` (W, positions), cut as `batch`.

        Nothing of an explained series after its cutoff is ever among them, but what is known ahead. Raises DataError
        `nothing-to-compare` where a window has none at all.
        """
        with torch.no_grad():
            frame = self._network.frame(batch)
        cells = [
            partial(self._cells, batch.take(np.array([w])), frame_of_rows(frame, torch.tensor([w])), center)
            for w, center in enumerate(self._panel.centers[series, TARGET])
        ]
        if self._of_table is not None:
            return [References(_CutoffsExcept(self._of_table), each) for each in cells]
        if self._question.reference == "panel":
            return [References(self._others(*at, whole=True), each) for *at, each in zip(series, cutoffs, cells)]
        own = self._own(series, cutoffs, cells)
        return [
            References(self._others(n, cutoff, whole=False), partial(each, borrowed=True), borrowed=True)
            if references is None
            else references
            for references, n, cutoff, each in zip(own, series, cutoffs, cells)
        ]

    def _own(self, series: np.ndarray, cutoffs: np.ndarray, cells: Sequence[Cells]) -> list[References | None]:
        """(W) earlier windows of the same series, of the first kind that there are enough of; None: of no kind."""
        whole = self._whole
        low, high = _runs_of(whole, series)
        counts = high - low
        of = np.repeat(np.arange(len(series)), counts)
        run = np.arange(counts.sum()) + np.repeat(low - np.cumsum(counts) + counts, counts)
        first, last, at = whole.first[run], whole.last[run], cutoffs[of]
        references: list[References | None] = [None] * len(series)
        missing = np.ones(len(series), dtype=np.bool_)
        for recent, same_phase, clear in self._kinds:
            stride = self._config.season if same_phase else 1
            newest = at - (self._config.context_length if clear else 1)
            oldest = newest - RECENT * self._stretch + 1 if recent else np.zeros_like(newest)
            begin, end = np.maximum(first, oldest), np.minimum(last, newest)
            begin = begin + (at - begin) % stride
            sizes = np.maximum((end - begin) // stride + 1, 0)
            some = missing & (np.bincount(of, sizes, len(series)) >= FEWEST_REFERENCES)
            if not some.any():
                continue
            usable = np.flatnonzero(some[of] & (sizes > 0))
            bounds = np.searchsorted(of[usable], np.arange(len(series) + 1))
            for w in np.flatnonzero(some).tolist():
                mine = usable[bounds[w] : bounds[w + 1]]
                references[w] = References(
                    _CutoffRuns(int(series[w]), begin[mine], np.cumsum(sizes[mine]), stride),
                    cells[w],
                    own=True,
                    same_phase=same_phase or self._config.season == 1,
                    clear=clear,
                    recent=recent or self._question.reference != "recent",
                )
            missing &= ~some
            if not missing.any():
                break
        return references

    def _others(self, series: int, cutoff: int, *, whole: bool) -> _CutoffsExcept:
        """Windows of the panel, of this series only those before the cutoff; shorter ones where there are no others."""
        for cutoffs in self._of_panel if whole else self._of_panel[1:]:
            low, high = (int(bound[0]) for bound in _runs_of(cutoffs, np.array([series])))
            first, last = cutoffs.first[low:high], cutoffs.last[low:high]
            sizes = np.maximum(last - first + 1, 0)
            before = np.clip(np.minimum(last, cutoff - 1) - first + 1, 0, sizes)
            skipped = int((sizes - before).sum())
            begin = int(cutoffs.until[high - 1] - skipped) if high > low else 0
            others = _CutoffsExcept(cutoffs, begin, skipped)
            if len(others):
                return others
        raise DataError(
            "nothing-to-compare",
            "the table has no window before the explained one that could stand in for absent values",
            hint="bring more rows, or more series",
        )

    def _cells(
        self,
        like: Batch,
        frame: Frame,
        center: float,
        series: np.ndarray,
        cutoffs: np.ndarray,
        *,
        borrowed: bool = False,
    ) -> Tensor:
        """(R, M): the windows of `series` (R) at `cutoffs` (R), moved to where they can replace cells of `like`.

        That is one explained window, with its `frame` and the `center` of its series' target.
        """
        network, config, question = self._network, self._config, self._question
        panel, source = self._table or (self._panel, self._source)
        others = borrowed or question.reference in ("panel", "table")
        with torch.no_grad():
            # behind a logarithm other series are moved from where their own centers are
            cut = (
                source.cut(series, cutoffs)
                if others and config.link != "none"
                else _cut(source, series, cutoffs, config.context_length, like)
            )
            if question.level == "hold":
                cut = rescaled_to(network, cut, frame, like)
            elif borrowed:
                moved = to_link(config, cut.past[..., TARGET], cut) + (frame.location - network.frame(cut).location)
                cut = replace(cut, past=with_target(cut.past, from_link(config, moved, like)))
            elif others:
                move = panel.centers[series, TARGET] - center  # both are around a center of their own
                moved = cut.past[..., TARGET] + torch.from_numpy(move).to(cut.past)[:, None]
                cut = replace(cut, past=with_target(cut.past, moved))
            if borrowed:
                cut = replace(
                    cut,
                    static_values=like.static_values.expand(len(cut), -1),
                    static_codes=like.static_codes.expand(len(cut), -1),
                )
            return flatten(cut)

    @cached_property
    def _whole(self) -> Cutoffs:
        """All windows of a whole context with an observed target."""
        context = self._config.context_length
        return _observed(self._panel, context, context, 0)

    @cached_property
    def _of_panel(self) -> list[Cutoffs]:
        return list(_stages(self._panel, self._config))

    @property
    def _stretch(self) -> int:
        return max(self._config.season, self._config.context_length, 2)

    @property
    def _kinds(self) -> list[tuple[bool, bool, bool]]:
        """(recent, same phase, clear), the best first. The phase decides what is compared, so it goes before distance
        from the explained context, which only keeps references from repeating its values."""
        phases = (True, False) if self._config.season > 1 else (False,)
        recents = (True, False) if self._question.reference == "recent" else (False,)
        return [(recent, same, clear) for recent in recents for same in phases for clear in (True, False)]


def _cut(source: Windows, series: np.ndarray, cutoffs: np.ndarray, context: int, like: Batch) -> Batch:
    """Windows (R) without a target; those that lie in their series are plain runs of rows, many times faster to cut.

    What is no cell is that of the one window `like`, in whose place they are to stand.
    """
    horizon, channels, count = source.horizon, source.channels, len(series)
    of, at = torch.from_numpy(series).to(source.device), torch.from_numpy(cutoffs).to(source.device)
    inside = cutoffs.min(initial=context) >= context - 1
    if not inside or ((channels.ahead or source.ahead) and bool((at + horizon >= source.rows[of]).any())):
        cut = source.cut(series, cutoffs)
        return replace(cut, usual_scale=like.usual_scale.expand(count), center=like.center.expand(count))
    row = source.offsets[of] + at
    past = _runs(source.values, row - context + 1, context)
    ahead = _runs(source.values, row + 1, horizon) if channels.ahead else past.new_zeros(count, horizon, past.shape[2])
    if channels.covariates:
        shift = source.shift[of][:, None]
        past, ahead = past + shift, ahead + shift
    words, words_ahead = source.words_around(of, source.around(at))
    return Batch(
        past=past,
        future=ahead[..., channels.ahead_positions],
        static_values=source.static_values[of],
        static_codes=source.static_codes[of],
        usual_scale=like.usual_scale.expand(count),
        center=like.center.expand(count),
        target=past.new_zeros(count, 0),
        words=words,
        words_ahead=words_ahead,
    )


def _runs(values: Tensor, rows: Tensor, length: int) -> Tensor:
    """(R, length, C): as many rows of `values` (rows, C) from each of `rows` (R) on."""
    channels = values.shape[1]
    return values.as_strided((len(values) - length + 1, length, channels), (channels, channels, 1))[rows]


def _stages(panel: Panel, config: NetworkConfig) -> Iterator[Cutoffs]:
    """Windows of all series that references are drawn from; shorter ones where there are none of the stage before."""
    for shortest, spared in (
        (config.context_length, config.horizon),
        (config.shortest_context, config.horizon),
        (1, 0),
    ):
        yield _observed(panel, config.context_length, shortest, spared)


def _observed(panel: Panel, context: int, shortest: int, spared: int) -> Cutoffs:
    """Windows of all series with an observed target and `shortest` steps, up to `spared` steps before their ends."""
    return observed_cutoffs(panel, np.full(len(panel), shortest - 1), panel.lengths - 1 - spared, context, 0)


def _runs_of(cutoffs: Cutoffs, series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(W) first run of each series and the one after its last."""
    if cutoffs.series is None:
        return series, series + 1
    return np.searchsorted(cutoffs.series, series), np.searchsorted(cutoffs.series, series, side="right")
