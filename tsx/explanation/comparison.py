"""What changed since an earlier report: explanation drift, as a figure that a pipeline can be stopped by."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from scipy.special import stdtrit

from tsx.errors import DataError, NotFound
from tsx.explanation.ranks import rank_similarity
from tsx.explanation.report_folder import INDEX, check_whole
from tsx.explanation.result import LACKING, Explained
from tsx.io.formats import read_parquet
from tsx.io.remote import place_of
from tsx.panel.sampling import evenly_spaced
from tsx.spec.schema import Schema
from tsx.spec.settings import Question
from tsx.wording import percent

SURE = 0.977
"""One-sided certainty beyond which a difference counts: two standard errors of many windows."""
SAMPLED = 2000
"""Windows at most that standard errors of the profile are taken over."""
MOST_ROWS = 5_000_000
"""Rows of SHAP values at most that are looked at for them, however many players a window has; 50 windows at least."""
TOP = 10
"""Strongest players whose overlap is counted."""
MOVED = 5
"""Strongest players of either report that have a row of their own."""
SPAN = 0.05
"""Retention below which memory has ended."""
ROUNDING = 1e-9
"""Drift below which only the order of additions differs."""
ERROR = "share_se"
OF_ONE_WINDOW = ("step", "class", "feature")
"""The column of SHAP values that comes first after those that name a window."""
SIZE, EARLIER_SIZE = "mean_square_shap", "mean_abs_shap"
"""The column that shares are of, and the one that they were of in reports of version 0.1.0, which lack the other."""


@dataclass(frozen=True, eq=False)
class Report:
    """What a comparison needs of an explanation, new or read from its folder.

    `profile`: feature, lag, share, share_se (null where unknown); `features`: feature, share, share_se; `windows`
    explained; `summary`: explanation.json. `retention`: lag, mean of the last layer, None where there is none;
    `time_constant`: the units' median. `size`: the column of the profile that shares are of.
    """

    summary: dict[str, Any]
    profile: pl.DataFrame
    features: pl.DataFrame
    windows: int
    retention: pl.DataFrame | None
    time_constant: float | None
    size: str = SIZE


@dataclass(frozen=True, eq=False)
class Comparison:
    """`table`: measure, before, after, drift (null where there is none), note. `drift` in [0, 1]: see `compare`.

    `smallest`: the drift that sampling noise alone could hide in these two reports; None where it is not known.
    `features`: feature, share, share_after, and `moved`, what of their difference is certain.
    """

    table: pl.DataFrame
    features: pl.DataFrame
    drift: float
    smallest: float | None
    sentence: str


def read_report(path: str | Path) -> Report:
    """The report in a folder, or beside an explanation.json.

    Raises NotFound `report-not-found`, DataError `report-unreadable`, `report-mixed`.
    """
    folder, summary = _read_index(Path(path))
    tables = {name: _read(folder / f"{name}.parquet") for name in ("lag_profile", "retention", "memory_units")}
    profile = tables["lag_profile"]
    if profile is None:
        raise _unreadable(folder / "lag_profile.parquet", "the file is not there")
    importance = folder / "lag_importance.parquet"
    try:
        return _report(
            summary,
            profile,
            _scan(importance) if importance.is_file() else None,
            tables["retention"],
            tables["memory_units"],
            SIZE if SIZE in profile.columns else EARLIER_SIZE,
        )
    except (pl.exceptions.PolarsError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise _unreadable(folder, "its tables do not have the columns of a report") from error


def read_forecasts(path: str | Path, schema: Schema, frequency: str, question: Question) -> pl.DataFrame:
    """id, cutoff, step, yhat of the forecasts that the report in a folder explained.

    Raises as `read_report` does, and DataError `reports-differ` for another target, frequency, id or quantity.
    """
    folder, summary = _read_index(Path(path))
    asked = summary.get("question")
    explains = asked.get("explain") if isinstance(asked, dict) else None
    for name, old, new in (
        ("target", summary["target"], schema.target),
        ("frequency", summary["frequency"], frequency),
        ("explain", explains, question.explain),
    ):
        if old != new:
            raise _differ(f"the earlier one has {name} `{str(old)[:80]}`, this one `{new[:80]}`", where="since")
    frame = _read(folder / "forecasts.parquet")
    if frame is None:
        raise _unreadable(folder / "forecasts.parquet", "the file is not there")
    needed = (*schema.id_names, "cutoff", "step", "yhat")
    if not set(needed) <= set(frame.columns):
        raise _unreadable(folder / "forecasts.parquet", "its forecasts do not have the columns of this table")
    return frame.select(needed)


def _read_index(path: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of a report and its `explanation.json`, checked against the files beside it."""
    folder = path if path.is_dir() else path.parent
    document = folder / INDEX if path.is_dir() else path
    if not document.is_file():
        raise NotFound(
            "report-not-found",
            f"there is no explanation.json in {folder}" if path.is_dir() else f"there is no report {place_of(path)}",
            hint="give the folder that an earlier `tsx explain --out` wrote",
            where=place_of(path),
        )
    try:
        summary = json.loads(document.read_text(encoding="utf-8"))
        check_whole(folder, summary)
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(document, "it is not the JSON that was written") from error
    if not isinstance(summary, dict) or not all(isinstance(each, str) for each in _subject(summary)):
        raise _unreadable(document, "it is not an explanation: it names no target and frequency")
    return folder, summary


def _subject(summary: dict[str, Any]) -> tuple[Any, Any]:
    """What is explained, a target or a label, and the frequency."""
    return summary.get("target", summary.get("label")), summary.get("frequency")


def report_of(explanation: Explained, size: str = SIZE) -> Report:
    """What a comparison needs of an explanation that has just been made, its shares of the column `size`."""
    retention, units = (getattr(explanation, name, None) for name in ("retention", "memory_units"))
    return _report(explanation.summary(), explanation.lag_profile, explanation.importance, retention, units, size)


Either = TypeVar("Either", bound=Explained)


def compared(explanation: Either, earlier: Report) -> Either:
    """The explanation with what changed since an earlier report. Raises as `compare` does."""
    found = compare(earlier, report_of(explanation, earlier.size))
    return replace(
        explanation,
        findings=(*explanation.findings, found.sentence),
        grouped=(*explanation.grouped, ("What has changed", (found.sentence,))),
        tables={**explanation.tables, "comparison": found.table},
        facts={**explanation.facts, "drift": found.drift, "smallest_drift": found.smallest},
    )


def report_from(summary: dict[str, Any], profile: pl.DataFrame, importance: pl.LazyFrame) -> Report:
    """What a comparison needs of explained windows, of which nothing else was measured.

    `summary`: target, frequency and question.
    """
    return _report(summary, profile, importance, None, None, SIZE)


def compare(before: Report, after: Report) -> Comparison:
    """What changed from one report to the next.

    Drift is the share of the importance that has moved for certain: half the sum of the differences of the players'
    shares (total variation distance), or of whole features' shares where that is more. Each difference
    d counts as max(0, d - e^2 / d), where e is two standard errors of both (by Student's t): nothing where it is within
    them, nearly whole where it is far beyond (the garrote of Breiman 1995). 0: nothing beyond sampling noise; 1: no
    player in common. Standard errors are over the explained windows. A report of one window, or without
    lag_importance.parquet, has none: those of the other stand in, and where neither has any, sampling noise counts as
    drift, which a note in the table says. Both reports have shares of the same column (`Report.size`).

    Raises DataError `reports-differ` where they explain different things.
    """
    summary = after.summary
    check_alike(before, *_subject(summary), Question(**summary["question"]))
    lags, lag_drift = _differences(before, after, "profile")
    features, feature_drift = _differences(before, after, "features")
    ranks = rank_similarity(lags["share"].to_numpy(), lags["share_after"].to_numpy())
    top = min(TOP, lags.height)
    strongest = [set(lags[name].arg_sort(descending=True).head(top).to_list()) for name in ("share", "share_after")]
    known = max(before.windows, after.windows) > 1
    size = pl.max_horizontal("share", "share_after")
    largest = lags.sort(size, descending=True, maintain_order=True).head(MOVED)
    spans, verdicts = _memory_spans(before, after), _verdicts(before.summary, after.summary)
    noise = None if known else "sampling noise counted"
    rows: list[Row] = [
        ("profile over features and lags", None, None, lag_drift, noise),
        ("rank correlation of the profiles", None, ranks, None, None),
        (f"strongest {top} in common", float(top), float(len(strongest[0] & strongest[1])), None, None),
        ("profile over features", None, None, feature_drift, noise),
        *_share_rows(features),
        *(_share_rows(largest) if "lag" in lags.columns else []),
        *_memory(before, after, spans),
        *_skill(before.summary, after.summary),
        *(check.row() for check in verdicts),
    ]
    columns = {"measure": pl.String, "before": pl.Float64, "after": pl.Float64, "drift": pl.Float64, "note": pl.String}
    table = pl.DataFrame(list(dict.fromkeys(rows)), schema=columns, orient="row")
    drift = max(lag_drift, feature_drift)
    named = not _lacks_skill(before.summary) and not _lacks_skill(summary)
    sentence = _sentence(drift, ranks, lags if named else None, known, spans, verdicts)
    smallest = min(float(features["noise"].sum()) / 2, 1.0) if known else None
    shares = features.select("feature", "share", "share_after", "moved")
    return Comparison(table, shares, drift, smallest, sentence + (OTHERWISE if before.size != SIZE else ""))


OTHERWISE = (
    " Shares were defined otherwise in the earlier report, by mean |SHAP| instead of squared SHAP values less their "
    "squared standard errors: here both reports are compared by mean |SHAP|."
)

Row = tuple[str, float | None, float | None, float | None, str | None]
"""measure, before, after, drift, note"""


def _report(
    summary: dict[str, Any],
    profile: pl.DataFrame,
    importance: pl.LazyFrame | None,
    retention: pl.DataFrame | None,
    units: pl.DataFrame | None,
    size: str,
) -> Report:
    profile = profile.select(
        pl.col("feature").cast(pl.String), pl.col("lag").cast(pl.Int64), pl.col(size).cast(pl.Float64)
    )
    if profile.select("feature", "lag").is_duplicated().any():  # a row for each class
        profile = profile.group_by("feature", "lag", maintain_order=True).agg(pl.col(size).sum())
    total = math.fsum(profile[size].drop_nulls())  # the same to the last digit however the table is held
    share = pl.col(size) / (total if total > 0 else 1.0)
    profile = profile.select("feature", "lag", share=share)
    features = profile.group_by("feature", maintain_order=True).agg(pl.col("share").sum())
    if retention is not None:
        layer, lag, mean = pl.col("layer").cast(pl.Int64), pl.col("lag").cast(pl.Int64), pl.col("mean").cast(pl.Float64)
        retention = retention.filter(layer == layer.max()).select(lag, mean).sort("lag")
        retention = None if retention.is_empty() else retention
    constant: Any = None if units is None else units["time_constant"].cast(pl.Float64).median()
    errors = _errors(importance, size) if importance is not None else None
    if errors is None:
        unknown = pl.lit(None, pl.Float64).alias(ERROR)
        profile, features = profile.with_columns(unknown), features.with_columns(unknown)
        return Report(summary, profile, features, 0, retention, constant, size)
    by_lag, by_feature, windows = errors
    return Report(
        summary,
        profile.join(by_lag, on=["feature", "lag"], how="left", nulls_equal=True, maintain_order="left"),
        features.join(by_feature, on="feature", how="left", nulls_equal=True, maintain_order="left"),
        windows,
        retention,
        constant,
        size,
    )


def _share_rows(shares: pl.DataFrame) -> list[Row]:
    return [
        (f"share of {_name(row)}", row["share"], row["share_after"], row["moved"], None)
        for row in shares.iter_rows(named=True)
    ]


def _name(row: dict[str, Any]) -> str:
    feature = "all features" if row["feature"] is None else str(row["feature"])
    return f"{feature} at lag {row['lag']}" if row.get("lag") is not None else feature


@dataclass(frozen=True)
class _Span:
    """The first lag at which retention is under a threshold; the last lag where it is `beyond` the context."""

    lag: float
    beyond: bool

    def __str__(self) -> str:
        return f"beyond lag {self.lag:.0f}" if self.beyond else f"lag {self.lag:.0f}"


def _memory_spans(before: Report, after: Report) -> dict[str, tuple[_Span, _Span]]:
    """The memory span and the lag of half retention of both reports; empty where one has no retention."""
    old, new = before.retention, after.retention
    if old is None or new is None:
        return {}
    thresholds = {"memory span": SPAN, "half retention": 0.5}
    return {name: (_falls_under(old, value), _falls_under(new, value)) for name, value in thresholds.items()}


def _memory(before: Report, after: Report, spans: dict[str, tuple[_Span, _Span]]) -> list[Row]:
    """What the last layer's gates let through: how long, and how far the curves lie apart."""
    old, new = before.retention, after.retention
    if old is None or new is None:
        return []
    rows: list[Row] = []
    for name, both_spans in spans.items():
        notes = [f"{when} beyond the context" for when, span in zip(("before", "after"), both_spans) if span.beyond]
        rows.append((name, both_spans[0].lag, both_spans[1].lag, None, ", ".join(notes) or None))
    both = old.join(new, on="lag", suffix="_after")
    apart = (both["mean_after"] - both["mean"]).abs().mean()
    rows.append(("retention", old["mean"].mean(), new["mean"].mean(), apart, "mean over the lags"))  # type: ignore[arg-type]
    if before.time_constant is not None and after.time_constant is not None:
        rows.append(("median time constant", before.time_constant, after.time_constant, None, None))
    return rows


def _falls_under(retention: pl.DataFrame, threshold: float) -> _Span:
    below = retention.filter(pl.col("mean") < threshold)["lag"]
    return _Span(float(below[0]), False) if len(below) else _Span(float(retention["lag"][-1]), True)


def _skill(before: dict[str, Any], after: dict[str, Any]) -> list[Row]:
    old, new = (_number(summary.get("skill"), "skill") for summary in (before, after))
    return [] if old is None and new is None else [("skill", old, new, None, None)]


@dataclass(frozen=True)
class _CheckChange:
    """One check of both reports: its figures, null where unknown, and its verdicts."""

    name: str
    figures: tuple[float | None, float | None]
    verdicts: tuple[str, str]

    @property
    def changed(self) -> bool:
        return self.verdicts[0] != self.verdicts[1]

    @property
    def note(self) -> str:
        return f"{self.verdicts[0]}, now {self.verdicts[1]}" if self.changed else self.verdicts[0]

    def row(self) -> Row:
        return f"check {self.name}", *self.figures, None, self.note


def _verdicts(before: dict[str, Any], after: dict[str, Any]) -> list[_CheckChange]:
    """Every check of either report."""
    old, new = (_checks(summary) for summary in (before, after))
    changes = []
    for name in dict.fromkeys([*old, *new]):
        first, second = old.get(name, {}), new.get(name, {})
        verdicts = [str(each.get("verdict", "not made"))[:8] for each in (first, second)]
        figures = _number(first, "figure"), _number(second, "figure")
        changes.append(_CheckChange(name, figures, (verdicts[0], verdicts[1])))
    return changes


def _checks(summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    checks = summary.get("checks")
    checks_and_verdict = [summary.get("verdict"), *(checks if isinstance(checks, list) else [])]
    return {str(each["name"])[:40]: each for each in checks_and_verdict if isinstance(each, dict) and "name" in each}


def _lacks_skill(summary: dict[str, Any]) -> bool:
    """Whether the report says that its model is not shown to know anything."""
    knowledge = summary.get("knowledge")
    return isinstance(knowledge, dict) and knowledge.get("state") in LACKING


def _number(values: Any, name: str) -> float | None:
    value = values.get(name) if isinstance(values, dict) else None
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _sentence(
    drift: float,
    ranks: float,
    lags: pl.DataFrame | None,
    known: bool,
    spans: dict[str, tuple[_Span, _Span]],
    verdicts: list[_CheckChange],
) -> str:
    """What changed, in words; `known`: whether sampling noise is known and so left out of `drift`.

    `lags`: the profile that names the strongest inputs; None where a model is not shown to know anything.
    """
    noise = " beyond sampling noise" if known else ", sampling noise included"
    words = f"Since the earlier report {percent(drift)} of the importance has moved{noise}"
    words += f" (rank correlation of the profiles {ranks:.2f})"
    if lags is None:
        words += "."
    else:
        names = [_name(lags.row(int(lags[share].arg_max() or 0), named=True)) for share in ("share", "share_after")]
        same = names[0] == names[1]
        words += f"; the strongest input {f'is still {names[1]}' if same else f'was {names[0]} and is {names[1]}'}."
    if "memory span" in spans:
        old, new = spans["memory span"]
        if old != new:
            words += f" The memory span was {old} and is {new}."
    changed = [f"{check.name.replace('_', ' ')} ({check.note})" for check in verdicts if check.changed]
    return words + (f" Verdicts that changed: {', '.join(changed)}." if changed else "")


def _errors(importance: pl.LazyFrame, of: str) -> tuple[pl.DataFrame, pl.DataFrame, int] | None:
    """Standard errors of the shares of `of`, by (feature, lag) and by feature, and over how many windows.

    A share is a ratio of two means over the windows; its error is that of what each window leaves over of the
    numerator (Cochran 1977, equation 6.13). None for fewer than two windows.
    """
    columns = importance.collect_schema().names()
    key = columns[: min(columns.index(name) for name in OF_ONE_WINDOW if name in columns)]
    windows = importance.select(key).unique().collect(engine="streaming").sort(key)
    rows = int(importance.select(pl.len()).collect().item())
    chosen = evenly_spaced(windows.height, min(SAMPLED, max(50, MOST_ROWS * windows.height // max(rows, 1))))
    windows = windows[chosen].with_row_index("window")
    shap, error = pl.col("shap").cast(pl.Float64), pl.col("shap_se").cast(pl.Float64)
    size = {SIZE: shap**2 - error**2, EARLIER_SIZE: shap.abs()}[of].alias("size")
    each = (
        importance.select(*key, "feature", "lag", size)
        .join(windows.lazy(), on=key, nulls_equal=True)
        .select("window", "feature", "lag", "size")
        .collect(engine="streaming")
        .sort("window", "feature", "lag", "size")  # so that sums are the same, to the last digit, every time
        .group_by("window", "feature", "lag", maintain_order=True)
        .agg(pl.col("size").sum())
    )
    count = each["window"].n_unique()
    total = float(each["size"].sum()) / max(count, 1)
    if count < 2 or not total > 0:
        return None

    def over(names: list[str]) -> pl.DataFrame:
        sized = each.group_by("window", *names, maintain_order=True).agg(pl.col("size").sum())
        whole = each.group_by("window", maintain_order=True).agg(whole=pl.col("size").sum())
        sized = sized.join(whole, on="window", maintain_order="left")
        mean = pl.col("size").sum().over(names) / (count * total)
        rest = sized.with_columns(rest=pl.col("size") - mean * pl.col("whole"))
        error = ((pl.col("rest") ** 2).sum() / (count - 1) / count).sqrt() / total
        return rest.group_by(names, maintain_order=True).agg(error.alias(ERROR))

    by_lag, by_feature = over(["feature", "lag"]), over(["feature"])
    return by_lag.with_columns(pl.col("lag").cast(pl.Int64)), by_feature, count


def _differences(before: Report, after: Report, which: str) -> tuple[pl.DataFrame, float]:
    """`which` shares side by side, with what `moved` of each beyond its errors, and half the sum of that."""
    old, new = (getattr(report, which) for report in (before, after))
    key = [name for name in ("feature", "lag") if name in old.columns]
    both = old.join(
        new, on=key, how="full", nulls_equal=True, coalesce=True, suffix="_after", maintain_order="left_right"
    )
    allowed = []
    for report, name in ((before, ERROR), (after, f"{ERROR}_after")):
        certain = float(stdtrit(report.windows - 1, SURE)) if report.windows > 1 else 0.0
        allowed.append(certain * pl.col(name))
    # where one of the two has no errors, those of the other stand in
    squares = [pl.coalesce(each, other, pl.lit(0.0)) ** 2 for each, other in (allowed, allowed[::-1])]
    apart = (pl.col("share_after") - pl.col("share")).abs()
    certain_part = pl.when(apart > 0).then(apart - (squares[0] + squares[1]) / apart).otherwise(0.0)
    both = both.with_columns(pl.col("share", "share_after").fill_null(0.0), noise=(squares[0] + squares[1]).sqrt())
    both = both.with_columns(moved=certain_part.clip(lower_bound=0.0))
    moved = float(both["moved"].sum()) / 2
    return both, min(moved, 1.0) if moved > ROUNDING else 0.0


def check_alike(before: Report, target: str, frequency: str, question: Question) -> None:
    """Raise DataError `reports-differ` where an earlier report is of another target (or label), frequency or
    question."""
    for name, old, new in zip(("target", "frequency"), _subject(before.summary), (target, frequency)):
        if old != new:
            raise _differ(f"the earlier one has {name} `{str(old)[:80]}`, this one `{new[:80]}`")
    earlier = before.summary.get("question")
    if not isinstance(earlier, dict):
        return
    # whoever was played, both have a row for each cell
    now = _by_cell(asdict(question))
    earlier = _by_cell(earlier)
    others = [
        f"{name} {str(earlier[name])[:80]}, this one {now[name]}"
        for name in ("explain", "players", "group", "value", "level")
        if name in earlier and earlier[name] != now[name]
    ]
    if others:
        raise _differ(f"the earlier one was asked for {'; for '.join(others)}")


def _by_cell(question: dict[str, Any]) -> dict[str, Any]:
    return question | {"players": "cell"} if question.get("players") == "auto" else question


def _differ(why: str, where: str = "compare") -> DataError:
    return DataError(
        "reports-differ",
        f"the two reports explain different things: {why}",
        hint="compare with a report of the same model's table, asked in the same way",
        where=where,
    )


def _scan(path: Path) -> pl.LazyFrame:
    try:
        return read_parquet(path, str(path), None).rows
    except DataError as error:
        raise _unreadable(path, "it is not a whole Parquet file") from error


def _read(path: Path) -> pl.DataFrame | None:
    if not path.is_file():
        return None
    rows = _scan(path)
    try:
        return rows.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise _unreadable(path, "it is not a whole Parquet file") from error


def _unreadable(path: Path, why: str) -> DataError:
    return DataError(
        "report-unreadable",
        f"the earlier report cannot be read: {why}",
        hint="make it again with `tsx explain`",
        where=str(path),
    )
