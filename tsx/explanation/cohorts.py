"""Groups of series side by side: what matters to each, with error bars, and whether they differ.

Windows of one series are not independent of each other, so every standard error and test counts series, not windows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import polars as pl
from scipy.special import chdtrc

from tsx.errors import ConfigError, DataError
from tsx.explanation.measure import Context, Measure, Measured, Results, TableSpec
from tsx.explanation.ranks import ranks
from tsx.explanation.shap.importance_writer import RowLayout, shares, square_beyond_error
from tsx.io.failures import collecting
from tsx.io.source import Source, scan, where_of
from tsx.panel.lookup import series_column
from tsx.panel.panel import Panel
from tsx.spec.decision import Finding
from tsx.wording import count, verb

MOST = 50
"""Cohorts at most: more of them nobody compares."""
DISTINCT = 10
"""A number with more distinct values than this is cut at its quartiles."""
PERMUTED = 500
"""Series up to which the test's distribution is found by permutation; of more, chi-square says the same."""
PERMUTATIONS = 9999
SIGNIFICANT = 0.05
COHORT = "\x1fcohort"
"""The column of cohorts beside the user's own ones."""
COHORTS_TABLE = TableSpec(
    "cohorts",
    {
        "cohort": pl.String,
        "feature": pl.String,
        "lag": pl.Int64,
        "windows": pl.Int64,
        "series": pl.Int64,
        **dict.fromkeys(("mean_abs_shap", "mean_abs_shap_se", "mean_shap", "mean_shap_se", "share"), pl.Float64),
    },
    optional={"oldest_lag": pl.Int64},
)
TESTS_TABLE = TableSpec(
    "cohort_tests",
    {
        "feature": pl.String,
        "cohorts": pl.Int64,
        **dict.fromkeys(("statistic", "p_value", "p_adjusted"), pl.Float64),
    },
)


def cohort_values(panel: Panel, by: Sequence[str], by_data: Source | None) -> pl.Series | None:
    """(N) the value of every series in the column `by`: a static covariate, a part of its id, or a column of the table
    `by_data`. Of several columns, their values one after the other.

    Raises ConfigError `settings-contradict` for a table without a column, and as the functions below.
    """
    if not by:
        if by_data is None:
            return None
        raise ConfigError(
            "settings-contradict",
            "a table of groups is given, and no column of it",
            hint="name the column with --by",
            where="by",
        )
    if by_data is None:
        return _together([cohorts_from_panel(panel, name) for name in by])
    with collecting(where_of(by_data)):
        frame = scan(by_data).rows.collect()
    ids = pl.DataFrame(panel.id_columns(np.arange(len(panel))))
    values = _together([cohorts_from_table(frame, name, ids) for name in by])
    numbers = values.cast(pl.Float64, strict=False) if values.dtype == pl.String else values
    return numbers if numbers.null_count() == values.null_count() else values


def _together(columns: Sequence[pl.Series]) -> pl.Series:
    """One column as it is; of several, their values as texts one after the other, null where one of them is."""
    if len(columns) == 1:
        return columns[0]
    values = pl.DataFrame([column.alias(str(n)) for n, column in enumerate(columns)])
    return (
        values.select(pl.concat_str(pl.all().cast(pl.String), separator=", "))
        .to_series()
        .alias(", ".join(column.name for column in columns))
    )


def cohorts_from_panel(panel: Panel, by: str) -> pl.Series:
    """(N) the value of a static covariate, or of one of several id columns, for every series.

    Raises ConfigError `column-not-found`.
    """
    static = panel.schema.static
    part_of_id = by in panel.schema.ids and len(panel.schema.ids) > 1
    if by not in static and not part_of_id:
        names = ", ".join(f"'{name}'" for name in static) or "none"
        ids = panel.schema.ids if len(panel.schema.ids) > 1 else ()
        parts = f", and the parts of the id: {', '.join(map(repr, ids))}" if ids else ""
        raise ConfigError(
            "column-not-found",
            f"there is no static covariate '{by}' to group by; there are {names}{parts}",
            hint="name one of these, or bring a table of ids and groups with --by-data",
            where="by",
        )
    return series_column(panel, by)


def cohorts_from_table(frame: pl.DataFrame, by: str, ids: pl.DataFrame) -> pl.Series:
    """(N) what a table of the user's says in column `by` of each of `ids` (N); null where it does not.

    `ids` has the columns of the id under the user's names.

    Raises ConfigError `column-not-found`, DataError `cohort-ambiguous` where an id has several values and
    `cohorts-unmatched` where none of the ids is in the table.
    """
    keys = ids.columns
    for name in (*keys, by):
        if name not in frame.columns:
            names = ", ".join(f"'{column}'" for column in frame.columns)
            raise ConfigError(
                "column-not-found",
                f"there is no column '{name}' in the table of cohorts; there are {names}",
                hint="take a name from the message",
                where="by",
            )
    # as text on both sides: an id that was a number in one file may be text in the other
    as_text = pl.col(keys).cast(pl.String)
    known = frame.select(as_text, pl.col(by).alias(COHORT)).drop_nulls().unique(maintain_order=True)
    if known.select(keys).is_unique().all():
        labels = ids.select(as_text).join(known, on=keys, how="left", maintain_order="left")[COHORT].alias(by)
        if len(ids) and labels.null_count() == len(ids):
            raise DataError(
                "cohorts-unmatched",
                f"none of {len(ids):,} series is among the {len(known):,} ids with a cohort",
                hint="the ids must be written as in the table of the series",
                where=keys[0],
            )
        return labels
    several = known.group_by(keys).len().filter(pl.col("len") > 1).height
    of = known.select(keys).n_unique()
    raise DataError(
        "cohort-ambiguous",
        f"{several:,} of {of:,} ids have more than one value in '{by}' of the table of cohorts",
        hint="keep one row an id, or one value for all its rows",
        where=by,
    )


@dataclass(frozen=True, eq=False)
class Cohorts:
    """Which cohort each series is in.

    by       the column that says so
    labels   (K) the cohorts, in order; they are the user's data
    codes    int64 (N) the cohort of every series, -1 for none
    windows  int64 (N) explained windows of every series
    """

    by: str
    labels: tuple[str, ...]
    codes: np.ndarray
    windows: np.ndarray
    findings: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, values: pl.Series, series: np.ndarray) -> Cohorts:
        """From the values (N) of all series and the `series` (W) of the explained windows.

        A text's values are cohorts; so are a number's where they are few, else its quarters over the explained series.
        Series without a value are in none, which a finding counts. Raises ConfigError `too-many-cohorts`.
        """
        windows = np.bincount(series, minlength=len(values))
        explained = pl.Series(windows > 0)
        if values.dtype.is_float():
            values = values.fill_nan(None)
        elif not values.dtype.is_numeric():
            values = values.cast(pl.String)
        known = values.filter(explained).drop_nulls()
        distinct = known.unique().sort()
        wide = distinct.dtype.is_numeric() and len(distinct) > DISTINCT
        codes, labels = _quarters(values, known) if wide else _distinct(values, distinct)
        if len(labels) > MOST:
            raise ConfigError(
                "too-many-cohorts",
                f"column '{values.name}' makes {len(labels):,} cohorts, more than {MOST}",
                hint="bring a column with fewer values",
                where="by",
            )
        codes = np.where(explained.to_numpy(), codes, -1)
        total, lacking = int(explained.sum()), int(explained.sum()) - len(known)
        findings: tuple[Finding, ...] = ()
        if lacking:
            have, are = ("has", "is") if lacking == 1 else ("have", "are")
            message = (
                f"{lacking:,} of {total:,} explained series {have} no value in '{values.name}' and {are} in no cohort"
            )
            findings = (Finding("cohort-missing", message, values.name, count=lacking),)
        return cls(values.name, labels, codes, windows, findings)


def large_enough(cohorts: Cohorts, least: int) -> Cohorts:
    """Without the cohorts of fewer than `least` explained series.

    What the others leave of all series has as many, or none: the figures of all less those of the others are its own.
    Left-out series are in no cohort, which a finding counts.
    """
    sizes = np.bincount(cohorts.codes[cohorts.codes >= 0], minlength=len(cohorts.labels))
    outside = int(((cohorts.codes < 0) & (cohorts.windows > 0)).sum())
    smallest = np.argsort(sizes, kind="stable")
    out = int((sizes < least).sum())
    while out < len(sizes) and 0 < outside + int(sizes[smallest[:out]].sum()) < least:
        out += 1
    if not out:
        return cohorts
    codes = np.where(np.isin(cohorts.codes, smallest[:out]), -1, cohorts.codes)
    message = (
        f"{out} of {count(len(sizes), 'cohort')} {verb(out, 'is')} not shown, so that no figures of fewer than {least} "
        "series follow"
    )
    return replace(cohorts, codes=codes, findings=(*cohorts.findings, Finding("cohorts-left-out", message, cohorts.by)))


def _distinct(values: pl.Series, distinct: pl.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    texts = [f"{value:g}" if isinstance(value, float) else str(value) for value in distinct.to_list()]
    codes = values.replace_strict(distinct, pl.Series(range(len(distinct)), dtype=pl.Int64), default=-1)
    return codes.fill_null(-1).to_numpy(), tuple(texts)


def _quarters(values: pl.Series, known: pl.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    numbers = values.cast(pl.Float64).to_numpy()
    edges = np.unique(np.quantile(known.cast(pl.Float64).to_numpy(), (0.25, 0.5, 0.75)))
    codes = np.searchsorted(edges, np.nan_to_num(numbers))
    codes[np.isnan(numbers)] = -1
    between = [f"over {low:g} to {high:g}" for low, high in pairwise(edges)]
    return codes, (f"up to {edges[0]:g}", *between, f"over {edges[-1]:g}")


class CohortSums:
    """Sums over the explained windows by cohort and player, clustered by series.

    Windows may come in any order; memory stays small where those of a series come together.
    """

    def __init__(self, cohorts: Cohorts, layout: RowLayout, seed: int = 0) -> None:
        self._cohorts, self._layout, self._seed = cohorts, layout, seed
        players, count = len(layout.players), len(cohorts.labels)
        self._features = list(dict.fromkeys(layout.players.feature))
        self._of_feature = np.zeros((players, len(self._features)))
        of = [self._features.index(name) for name in layout.players.feature]
        self._of_feature[np.arange(players), of] = 1.0
        self._series, self._windows, self._squared = np.zeros((3, count))
        # sum of S, of S squared and of n S over series, S the sum over a series' n windows: |SHAP|, SHAP, its square
        self._sums, self._squares, self._crossed = np.zeros((3, count, 3 * players))
        self._open: dict[int, tuple[int, np.ndarray]] = {}
        self._means: list[np.ndarray] = []
        self._codes: list[np.ndarray] = []

    def add(self, series: np.ndarray, values: np.ndarray, errors: np.ndarray) -> None:
        """Windows of `series` (W), their SHAP values and the standard errors of these, both (W, O, P)."""
        mine = self._cohorts.codes[series] >= 0
        if not mine.any():
            return
        series, values, errors = series[mine], values[mine], errors[mine]
        order = np.argsort(series, kind="stable")
        names, begins, counts = np.unique(series[order], return_index=True, return_counts=True)
        each = (np.abs(values), values, square_beyond_error(values, errors))
        means = np.concatenate([part.mean(1) for part in each], 1)[order]
        sums = np.add.reduceat(means, begins, axis=0)
        for k in np.flatnonzero(counts < self._cohorts.windows[names]).tolist():
            before, earlier = self._open.pop(int(names[k]), (0, np.zeros(sums.shape[1])))
            counts[k] += before
            sums[k] += earlier
            if counts[k] < self._cohorts.windows[names[k]]:
                self._open[int(names[k])] = int(counts[k]), sums[k].copy()
        whole = counts == self._cohorts.windows[names]
        self._close(names[whole], counts[whole], sums[whole])

    def _close(self, series: np.ndarray, counts: np.ndarray, sums: np.ndarray) -> None:
        """Add series (U) all of whose windows, `counts` (U), have come, with the sums over them (U, 3 P)."""
        codes = self._cohorts.codes[series]
        for total, each in (
            (self._series, np.ones(len(series))),
            (self._windows, counts),
            (self._squared, np.square(counts)),
            (self._sums, sums),
            (self._squares, np.square(sums)),
            (self._crossed, counts[:, None] * sums),
        ):
            np.add.at(total, codes, each)
        self._means.append(sums[:, : len(self._of_feature)] @ self._of_feature / counts[:, None])
        self._codes.append(codes)

    def _close_all(self) -> None:
        """Take every series as whole, those of which windows were still expected too."""
        for name, (windows, sums) in self._open.items():
            self._close(np.array([name]), np.array([windows]), sums[None])
        self._open.clear()

    def table(self) -> pl.DataFrame:
        """cohort, feature, lag, windows, series, mean_abs_shap, mean_abs_shap_se, mean_shap, mean_shap_se, share.

        Means over windows and steps. Standard errors are those of a mean over clusters of unequal size, the series: of
        the ratio of two sums over them (Cochran 1977, Sampling techniques, chapter 9A); null for a single series.
        `share`: of all players in that cohort, of mean squares less squared standard errors.
        """
        self._close_all()
        players = len(self._layout.players)
        met = np.flatnonzero(self._series)
        windows, count = self._windows[met, None], self._series[met, None]
        mean = self._sums[met] / windows
        scatter = self._squares[met] - 2 * mean * self._crossed[met] + np.square(mean) * self._squared[met, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.sqrt(np.maximum(scatter, 0) * count / (count - 1)) / windows
        error[count[:, 0] < 2] = np.nan
        by_row = self._layout.players.by_row
        size, shap, square = (by_row(each) for each in np.split(mean, 3, axis=1))
        size_error, shap_error = (by_row(error[:, part : part + players]).ravel() for part in (0, players))
        who = self._layout.row_columns[np.tile(np.arange(size.shape[1]), len(met))]
        of = np.repeat(met, size.shape[1])
        figures = {
            "windows": self._windows[of].astype(np.int64),
            "series": self._series[of].astype(np.int64),
            "mean_abs_shap": size.ravel(),
            "mean_abs_shap_se": pl.Series(size_error).fill_nan(None),
            "mean_shap": shap.ravel(),
            "mean_shap_se": pl.Series(shap_error).fill_nan(None),
            "share": shares(np.maximum(square, 0.0)).ravel(),
        }
        cohort = pl.Series("cohort", self._cohorts.labels, dtype=pl.String).gather(of)
        return COHORTS_TABLE.frame({"cohort": cohort, **who.to_dict(), **figures})

    def tests(self) -> pl.DataFrame:
        """feature, cohorts, statistic, p_value, p_adjusted: does the feature's importance differ between cohorts?

        Kruskal & Wallis (1952): ranks of the series' mean |SHAP|, summed over the feature's lags. Up to `PERMUTED`
        series the p-value is that of random permutations of the cohorts (Phipson & Smyth 2010: one is added to both
        counts). Adjusted for the number of features after Holm (1979). Null where there is a single cohort.
        """
        self._close_all()
        means = np.concatenate([np.zeros((0, len(self._features))), *self._means])
        met, codes = np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *self._codes]), return_inverse=True)
        statistic, p_value = np.full((2, len(self._features)), np.nan)
        if len(met) > 1:
            statistic, p_value = kruskal(means, codes, len(met), np.random.default_rng(self._seed))
        return TESTS_TABLE.frame(
            {
                "feature": self._features,
                "cohorts": [len(met)] * len(self._features),
                "statistic": pl.Series(statistic).fill_nan(None),
                "p_value": pl.Series(p_value).fill_nan(None),
                "p_adjusted": pl.Series(holm(p_value)).fill_nan(None),
            }
        )


def kruskal(
    means: np.ndarray, codes: np.ndarray, cohorts: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Kruskal-Wallis statistics (F), corrected for ties, and p-values (F) of `means` (S, F) in cohorts `codes` (S)."""
    count, features = means.shape
    order = ranks(means)
    sizes = np.bincount(codes, minlength=cohorts)[:, None]
    center, spread = (count + 1) / 2, np.square(order - (count + 1) / 2).sum(0)

    def between(shuffled: np.ndarray) -> np.ndarray:
        """(B, S) codes to the sum of squares between cohorts (B, F)."""
        total = np.zeros((len(shuffled), features))
        for cohort in range(cohorts):
            total += np.square((shuffled == cohort) @ (order - center)) / sizes[cohort]
        return total

    observed = between(codes[None])[0]
    # ranks that do not vary differ nowhere
    statistic = np.where(spread > 0, (count - 1) * observed / np.where(spread > 0, spread, 1), 0.0)
    if count > PERMUTED:
        return statistic, np.asarray(chdtrc(cohorts - 1, statistic))
    as_large = np.zeros(features)
    for begin in range(0, PERMUTATIONS, 1000):
        many = min(1000, PERMUTATIONS - begin)
        as_large += (between(random.permuted(np.tile(codes, (many, 1)), axis=1)) >= observed * (1 - 1e-9)).sum(0)
    return statistic, (1 + as_large) / (1 + PERMUTATIONS)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Holm's (1979) adjusted p-values."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty_like(p_values)
    steps = (len(p_values) - np.arange(len(p_values))) * p_values[order]
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted


def cohort_sentences(cohorts: Cohorts, table: pl.DataFrame, tests: pl.DataFrame) -> tuple[str, ...]:
    """What the tests say, without naming a cohort."""
    count = table["cohort"].n_unique()
    if count < 2:
        known = "All explained series are in one cohort" if count else "None of the explained series is in a cohort"
        return (f"{known} of '{cohorts.by}', so nothing is compared.",)
    differing = tests.filter(pl.col("p_adjusted") < SIGNIFICANT).sort("p_adjusted", "feature")
    names = ", ".join(
        f"{'all features together' if name is None else name} (p {_p(p)})"
        for name, p in differing.select("feature", "p_adjusted").iter_rows()
    )
    differs = f"differs between the {count} cohorts of '{cohorts.by}'"
    if differing.height:
        return (f"What {differs}: the importance of {names}.",)
    if smallest_p(table.unique("cohort")["series"].to_list()) * tests.height >= SIGNIFICANT:
        return (f"There are too few series to find a difference between the {count} cohorts of '{cohorts.by}'.",)
    least = _p(float(np.min(tests["p_adjusted"].to_numpy())))
    return (f"No feature's importance {differs} by more than chance would make it (smallest p {least}).",)


def smallest_p(sizes: list[int]) -> float:
    """What a test by permutation could find at best: cohorts that are wholly apart, in any order of equal ones."""
    alike = sum(math.lgamma(sizes.count(size) + 1) for size in set(sizes))
    return math.exp(alike + sum(math.lgamma(size + 1) for size in sizes) - math.lgamma(sum(sizes) + 1))


def _p(value: float) -> str:
    return "under 0.001" if value < 0.001 else f"{value:.3f}"


def _measure(context: Context, results: Results) -> Measured:
    cohorts, sums = context.cohorts, context.run.cohorts
    assert cohorts is not None
    assert sums is not None
    table, tests = sums.table(), sums.tests()
    return Measured({"cohorts": table, "cohort_tests": tests}, sentences=cohort_sentences(cohorts, table, tests))


COHORTS = Measure(
    name="cohorts",
    section="cohorts",
    group="What drives it",
    tables=(COHORTS_TABLE, TESTS_TABLE),
    measure=_measure,
    applies=lambda context: context.cohorts is not None,
)
