"""Why past forecasts were wrong: which inputs moved them away from what came, and what was unlike usual windows.

What is explained is the error, forecast less outcome, whose SHAP values are those of the forecast. Along the sign of
its error a value says whether its input made the forecast worse (more than 0) or better: the mean |error| is the sum of
these and of what the base value was off by.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from tsx.explanation.distance import distances
from tsx.explanation.measure import CUTOFF, ID, Context, Measure, Measured, Results, TableSpec
from tsx.explanation.ranks import rank_similarity
from tsx.explanation.shap.importance_writer import OLDEST_LAG
from tsx.wording import count, number, verb

INPUTS_TABLE = TableSpec(
    "error_inputs",
    {"feature": pl.String, "lag": pl.Int64, **dict.fromkeys(("worse", "worse_se", "mean_abs_shap"), pl.Float64)},
    optional=OLDEST_LAG,
)
WINDOWS_TABLE = TableSpec(
    "error_windows",
    {
        **{ID: None, CUTOFF: None},
        **dict.fromkeys(("mean_abs_error", "mean_error", "distance"), pl.Float64),
        **{"unusual": pl.Boolean, "missing": pl.Float64, "outside": pl.Float64},
    },
)
FEWEST = 12
"""Windows from which on it is said whether errors go with distance."""
SHUFFLES = 999
SIGNIFICANT = 0.05


def error_inputs(importance: pl.LazyFrame, forecasts: pl.DataFrame, ids: tuple[str, ...]) -> pl.DataFrame:
    """Of every player the mean SHAP value along the sign of the error, over windows and steps, and its size.

    `importance`: the long table of an explained error; `forecasts`: its errors, as `yhat`. The standard error is that
    of the sampling, its windows independent.
    """
    keys = [*ids, CUTOFF, "step"]
    signs = forecasts.lazy().select(*keys, sign=pl.col("yhat").sign())
    who = [name for name in ("feature", "lag", "oldest_lag") if name in importance.collect_schema().names()]
    steps, windows = forecasts["step"].n_unique(), forecasts.select(*ids, CUTOFF).n_unique()
    worse, error = pl.col("shap") * pl.col("sign"), pl.col("shap_se").cast(pl.Float64)
    return (
        importance.join(signs, on=keys, nulls_equal=True)
        .group_by(*ids, CUTOFF, *who, maintain_order=True)
        .agg(worse=worse.sum() / steps, size=pl.col("shap").abs().sum() / steps, error=error.sum() / steps)
        .group_by(who, maintain_order=True)
        .agg(
            worse=pl.col("worse").sum() / windows,
            worse_se=(pl.col("error") ** 2).sum().sqrt() / windows,
            mean_abs_shap=pl.col("size").sum() / windows,
        )
        .sort("worse", *who, descending=[True, *([False] * len(who))])
        .collect()
        .select(*who[:2], "worse", "worse_se", "mean_abs_shap", *who[2:])
    )


def _windows(context: Context) -> pl.DataFrame:
    """`WINDOWS_TABLE` of the explained windows, the largest errors first."""
    panel, ids = context.panel, context.schema.id_names
    batch = context.task.source.cut(context.series, context.cutoffs)
    apart = distances(context.network, batch, context.population)
    past, real = (each.past.flatten(1).cpu().numpy() for each in (batch, context.population))
    with np.errstate(all="ignore"):
        low, high = np.nanquantile(real, (0.0, 1.0), axis=0)
    errors = context.run.writer.forecasts()["yhat"].to_numpy().reshape(len(context.series), -1)
    covariates = np.arange(past.shape[1]) % batch.past.shape[2] > 0  # the target is around its series' center
    beyond = ((past < low) | (past > high))[:, covariates]
    return WINDOWS_TABLE.frame(
        {
            **panel.id_columns(context.series),
            CUTOFF: panel.times(context.series, context.cutoffs),
            "mean_abs_error": np.abs(errors).mean(1),
            "mean_error": errors.mean(1),
            "distance": [distance for distance, _ in apart],
            "unusual": [unusual for _, unusual in apart],
            "missing": np.isnan(past).mean(1),
            "outside": beyond.mean(1) if beyond.shape[1] else np.zeros(len(past)),
        },
        ids,
    ).sort("mean_abs_error", descending=True, maintain_order=True)


def error_sentences(inputs: pl.DataFrame, windows: pl.DataFrame, target: str, seed: int = 0) -> tuple[str, ...]:
    """How far forecasts were off, what made them worse and better, and whether it was where windows are unusual."""
    size, bias = float(windows["mean_abs_error"].mean()), float(windows["mean_error"].mean())  # type: ignore[arg-type]
    words = [
        f"The {count(windows.height, 'explained forecast')} of {target} were off by {number(size, 3)} on average, "
        f"{number(abs(bias), 3)} too {'high' if bias > 0 else 'low'} in the mean."
    ]
    sure = pl.col("worse").abs() > 2 * pl.col("worse_se")
    by_feature = inputs.group_by("feature").agg(pl.col("worse").sum(), worse_se=(pl.col("worse_se") ** 2).sum().sqrt())
    known = by_feature.filter(sure).sort("worse", "feature", descending=[True, False])
    parts = [
        f"{'all features together' if name is None else name} {'added' if worse > 0 else 'took off'} "
        f"{number(abs(worse), 3)}"
        for name, worse in known.select("feature", "worse").iter_rows()
    ]
    if parts:
        words.append(f"Against what usual inputs would have been off by, {', '.join(parts)}.")
    known_distance = windows.drop_nulls("distance")
    if known_distance.height >= FEWEST:
        distance, error = (known_distance[name].to_numpy() for name in ("distance", "mean_abs_error"))
        together = rank_similarity(distance, error)
        random = np.random.default_rng(seed)
        chance = sum(rank_similarity(random.permutation(distance), error) >= together for _ in range(SHUFFLES))
        p = (1 + chance) / (1 + SHUFFLES)
        far = int(known_distance["unusual"].sum())
        words.append(
            f"Errors {'are larger' if p < SIGNIFICANT else 'are not shown to be larger'} where windows are unlike "
            f"usual ones (rank correlation {together:.2f}, p {p:.3f}); {far} of {known_distance.height} "
            f"{verb(far, 'lies')} farther out than 95 % of them."
        )
    return tuple(words)


def _measure(context: Context, results: Results) -> Measured:
    writer, ids = context.run.writer, context.schema.id_names
    inputs = error_inputs(pl.scan_parquet(context.run.path), writer.forecasts(), ids)
    windows = _windows(context)
    return Measured(
        {"error_inputs": inputs, "error_windows": windows},
        {"mean_abs_error": float(windows["mean_abs_error"].mean())},  # type: ignore[arg-type]
        sentences=error_sentences(inputs, windows, context.schema.target, context.question.seed),
    )


ERRORS = Measure(
    name="errors",
    section="errors",
    group="What drives it",
    tables=(INPUTS_TABLE, WINDOWS_TABLE),
    measure=_measure,
    applies=lambda context: context.question.explain == "error",
)
