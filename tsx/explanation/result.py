"""The result of explaining a forecaster: the tables of the contract, the checks, and what they say in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from tsx.errors import ConfigError, DataError, QualityGate, UsageError
from tsx.shown import Shown, write_file, write_folder
from tsx.spec.decision import Finding
from tsx.spec.network import NetworkConfig
from tsx.spec.schema import Schema
from tsx.spec.settings import Question

if TYPE_CHECKING:
    import shap


Verdict = Literal["pass", "weak", "fail"]
Skill = Literal["shown", "not shown", "none", "unknown"]
LACKING: tuple[Skill, ...] = ("none", "not shown")
"""The model was compared with simple methods, and is not shown to forecast better."""


@dataclass(frozen=True)
class Detail:
    """What an explanation shows of single series.

    series       whose newest forecast is kept with its history, for pictures
    values       whether the rows of SHAP values say what the inputs were
    least_group  series of the smallest group that is shown
    """

    series: int = 60
    values: bool = True
    least_group: int = 1


EVERYTHING = Detail()
GROUPS_ONLY = Detail(0, False, 11)


def check_group(series: int, detail: Detail) -> None:
    """Raises DataError `group-too-small` where the explained series are too few to be shown together."""
    if series < detail.least_group:
        raise DataError(
            "group-too-small",
            f"{series:,} series would be explained; a private explanation needs at least {detail.least_group}",
            hint="explain more with --windows, or bring a table of more series",
            where="private",
        )


@dataclass(frozen=True)
class Check:
    """One attempt to refute the explanation: its name, the figure, the verdict and what it means in words.

    `advice` is for whoever runs the program and may name flags; `sentence` is for everybody, and names none.
    """

    name: str
    figure: float
    verdict: Verdict
    sentence: str
    advice: str = ""


@dataclass(frozen=True)
class Knowledge:
    """Whether the model knows anything: whether it is shown to forecast better than simple methods.

    state     "shown"; "not shown": it may be chance; "none": it is no better; "unknown": nothing was held out
    against   what it is compared with, in words; empty where that is unknown
    skill     of the hold-out, 1 - error / error of that; None where there is none
    sentence  all that is known of it, in words
    """

    state: Skill
    against: str
    skill: float | None
    sentence: str

    @property
    def lacking(self) -> bool:
        """Whether the model was compared with simple methods, and is not shown to forecast better."""
        return self.state in LACKING

    def doubt(self, subject: str = "the model") -> str:
        """What stands against the model's skill, as part of a sentence about `subject`; empty where it is shown."""
        against = self.against or "a simple method"
        return {
            "shown": "",
            "not shown": f"it is not shown that {subject} forecasts better than {against}",
            "none": f"{subject} forecasts no better than {against}",
            "unknown": f"whether {subject} forecasts better than simple methods is unknown",
        }[self.state]


@dataclass(frozen=True, eq=False)
class Origin:
    """What an explanation was made from: the model, how it did on rows held out, and the table.

    program      version of tsx that explains
    fitted       what the model was fitted on: "24,192 steps of 6 series with tsx 0.2.0"
    table        name of the file that was read, without its folder; empty where there was none
    series       series of that table
    rows         their steps up to the newest value
    newest       the newest time in it
    held_out     metrics of the network, which comes first, and of the simple methods; empty where nothing was held out
    per_step     the same at each step of the horizon
    reliability  of a classifier: the probability that was said, and how often it was so
    version      of the model, "v3"; `written` on this day, as the file system says
    command      that asks the same
    model_sha256, data_sha256   the first digits of the hash of the model, and of what was read of the table
    """

    program: str
    fitted: str
    table: str
    series: int
    rows: int
    newest: Any
    held_out: tuple[Mapping[str, Any], ...] = ()
    per_step: tuple[Mapping[str, Any], ...] = ()
    reliability: tuple[Mapping[str, Any], ...] = ()
    version: str = ""
    written: date | None = None
    model_sha256: str = ""
    data_sha256: str = ""
    command: str = ""


@dataclass(frozen=True, eq=False, kw_only=True)
class Explained(Shown):
    """What the explanations of every kind of model have.

    question    what was asked
    importance  every SHAP value. A lazy table: it may be larger than memory
    lag_profile the global view: means by feature and lag
    checks      attempts to refute the explanation
    faithful    whether it is faithful to the model: what follows from the checks
    knowledge   whether the model knows anything
    verdict     whether to believe it: what follows from both
    findings    what was found, in sentences, the most consequential first
    grouped     (what they are about, the findings of it), without those of the model's skill and of failed checks
    skill       the verdict of the hold-out that `fit` stored, or an empty dict
    method      how the SHAP values were computed: players, pairs, evaluations, seed, reference, ...
    noticed     what was seen in the table and is not as it was when the model was fitted
    tables      every further table by its name; those that were not asked for or do not apply are absent
    facts       figures that the sentences are made of
    surrogate   simple models fitted to what the model says: their fidelity and what they are made of
    """

    schema: Schema
    frequency: str
    question: Question
    importance: pl.LazyFrame
    lag_profile: pl.DataFrame
    checks: tuple[Check, ...]
    faithful: Check
    knowledge: Knowledge
    verdict: Check
    findings: tuple[str, ...]
    skill: dict[str, Any]
    method: dict[str, Any]
    grouped: tuple[tuple[str, tuple[str, ...]], ...] = ()
    noticed: tuple[Finding, ...] = ()
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    surrogate: dict[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    """What it was made from; None where a model was explained that lies in no model directory."""
    importance_path: Path | None = None
    """The Parquet file that `importance` reads. It lives as long as this object."""
    _folder: Any = field(default=None, repr=False)

    def as_frame(self) -> pl.DataFrame:
        """`lag_importance`: every SHAP value with its standard error.

        >>> why.as_frame().select("feature", "lag", "shap", "shap_se")
        """
        return self.lag_importance

    def report(self, kind: str = "html", out: str | Path | None = None) -> Path:
        """Write one report as a file by itself, and give its path.

        kind  "html", "md", "pdf" (printed by Chromium, where that is installed), or "json", which is the summary.
        out   the file; default: `report.html` and so on, in the working folder.

        Raises UsageError `report-kind-unknown`, MissingDependency `dependency-missing`, WriteError `file-not-writable`.

            >>> why.report("html", "why.html")
        """
        return write_file(self, kind, f"report.{kind}" if out is None else out)

    def write(self, out: str | Path = "tsx-report", report: str | tuple[str, ...] = "html") -> list[Path]:
        """Write what `tsx explain --out` writes, and give the paths: every table, and the reports beside them.

        out     the folder.
        report  the kind of report, or several: "html", "md", "pdf", "png", "svg"; () for the tables alone.

        Raises UsageError `report-kind-unknown`, MissingDependency `dependency-missing`, WriteError `file-not-writable`.

            >>> why.write("why", report=("html", "png"))
        """
        return write_folder(self, out, (report,) if isinstance(report, str) else report)

    def close(self) -> None:
        """Remove the file that `importance` reads now, and not when the object goes. Nothing reads it any more then.

        >>> tsx.explain().close()
        """
        if self._folder is not None:
            self._folder.remove()

    @property
    def lag_importance(self) -> pl.DataFrame:
        """`importance` in memory."""
        return self.importance.collect()

    @property
    def advice(self) -> tuple[str, ...]:
        """What could be done about the checks that were not passed, each once."""
        return tuple(dict.fromkeys(check.advice for check in self.checks if check.advice))

    @property
    def newest(self) -> Any:
        """The newest time that is explained; None where that is not known."""
        raise NotImplementedError

    def gate(self, max_drift: float) -> None:
        """Raise QualityGate `explanation-drifted` where it changed by more than that since the report compared with.

        Raises ConfigError `settings-contradict` where it was compared with none.

            >>> again = tsx.explain(windows=10, max_evals=500, compare="why")
            >>> again.gate(max_drift=1)
        """
        if "drift" not in self.facts:
            raise ConfigError(
                "settings-contradict",
                f"max_drift is {max_drift:g}, and the explanation was not compared with an earlier report",
                hint="explain forecasts with compare, the folder of an earlier report",
                where="max_drift",
            )
        drift = float(self.facts["drift"])
        if drift > max_drift:
            raise QualityGate(
                "explanation-drifted",
                f"the explanation has drifted by {drift:.2f} since the earlier report, which is "
                f"more than {max_drift:g}",
                hint="read what changed in the report before relying on the forecasts",
                where="max_drift",
            )

    def summary(self) -> dict[str, Any]:
        """What `explanation.json` holds, JSON-able.

        >>> why.summary()["verdict"]
        """
        return {
            "frequency": self.frequency,
            "question": asdict(self.question),
            "verdict": vars(self.verdict),
            "faithful": vars(self.faithful),
            "knowledge": vars(self.knowledge),
            "top_lags": self.lag_profile.sort("share", descending=True).head(10).to_dicts(),
            "skill": self.skill,
            "method": self.method,
            "facts": self.facts,
            "checks": [vars(check) for check in self.checks],
            "findings": list(self.findings),
            "noticed": [finding.to_dict() for finding in self.noticed],
        }


@dataclass(frozen=True, eq=False, kw_only=True)
class Explanation(Explained):
    """Why the forecasts came out as they did, how far back the network remembers, and whether to believe it.

    The id stands under `schema.id_names`. Shares add up to one. Lags count steps of the table, also where the
    network reads them in segments. A feature is null where a player spans all of them, a lag is null for a static
    covariate, a step where the sum over the horizon is explained.

    forecasts        id, cutoff, step, base_value, yhat (what is explained: the point forecast unless asked otherwise)
    quantiles        id, time, cutoff, step, yhat, q...: the newest forecast of up to 60 explained series
    history          id, time, y: what those forecasts were made from
    importance       id, cutoff, step, feature, lag, distance, value, shap, shap_se, and the parts of shap by path:
                     location, season, linear, recurrent, and pretrained where that network has a part. A lazy table:
                     it may be larger than memory
    lag_profile      feature, lag, mean_abs_shap, mean_shap, mean_square_shap (less the squared standard errors, at
                     least 0), share (of it)
    by_step          feature, lag, step, distance, mean_abs_shap, mean_shap, mean_square_shap, shap_se: means over the
                     forecasts; mean_square_shap may be negative here
    memory_units     layer, unit, forget_mean, time_constant, half_life, memory_span, censored, ...
    retention        layer, lag, mean, q10, q90, written (share of the final state written at that lag; null for rnn)
    gradient_decay   lag, mean_norm, share
    attention        id, cutoff, step, lag, weight; None without attention

    The other fields are those of `Explained`.

    Examples:
        >>> why = tsx.explain(windows=10, max_evals=500)
        >>> why.verdict.sentence, why.findings[0]
        >>> why.lag_profile.columns[:3]
        ['feature', 'lag', 'mean_abs_shap']
    """

    config: NetworkConfig
    forecasts: pl.DataFrame
    quantiles: pl.DataFrame
    history: pl.DataFrame
    by_step: pl.DataFrame
    memory_units: pl.DataFrame
    retention: pl.DataFrame
    gradient_decay: pl.DataFrame
    attention: pl.DataFrame | None

    def __repr__(self) -> str:
        series = self.forecasts.select(self.schema.id_names).n_unique()
        return (
            f"Explanation(windows={self.method['windows']}, series={series}, explain={self.question.explain!r}, "
            f"players={self.question.players!r}, verdict={self.verdict.verdict!r}, checks={len(self.checks)}, "
            f"findings={len(self.findings)})"
        )

    @property
    def newest(self) -> Any:
        """The newest time that an explained forecast starts from."""
        return self.forecasts["cutoff"].max()

    def by_distance(self) -> pl.DataFrame:
        """feature, distance, mean_abs_shap, mean_square_shap, share: the global view, see `mean_by_distance`.

        >>> why.by_distance().sort("share", descending=True).head(3)
        """
        return mean_by_distance(self.by_step)

    def by_feature(self) -> pl.DataFrame:
        """feature, mean_abs_shap, mean_square_shap (summed over its lags), share; the most important first.

        >>> why.by_feature().columns
        ['feature', 'mean_abs_shap', 'mean_square_shap', 'share']
        """
        return (
            self.lag_profile.group_by("feature")
            .agg(pl.col("mean_abs_shap", "mean_square_shap", "share").sum())
            .sort("share", "feature", descending=[True, False])
        )

    def to_shap(self, step: int = 1) -> shap.Explanation:
        """SHAP values of one horizon step as a `shap.Explanation` (windows x players), for that library's plots.

        step  of the horizon, from 1.

        Raises UsageError `step-out-of-range` for a step beyond the horizon, or where the sum over it was explained;
        ModuleNotFoundError where shap is not installed.

            >>> values = why.to_shap(step=1)
            >>> len(values) == why.method["windows"]
            True
        """
        if not 1 <= step <= self.config.horizon or self.question.explain == "sum":
            raise UsageError("step-out-of-range", f"step {step} is outside 1 to {self.config.horizon}", where="step")
        import shap

        rows = self.importance.filter(pl.col("step") == step).collect()
        windows = self.forecasts.filter(pl.col("step") == step)
        shape = (windows.height, rows.height // max(windows.height, 1))
        first = rows.head(shape[1])
        names = [_name(feature, lag) for feature, lag in first.select("feature", "lag").iter_rows()]
        return shap.Explanation(
            values=rows["shap"].to_numpy().reshape(shape),
            base_values=windows["base_value"].to_numpy(),
            data=rows["value"].to_numpy().reshape(shape).astype(np.float64),
            feature_names=names,
            output_names=f"{self.schema.target} at step {step}",
        )

    def summary(self) -> dict[str, Any]:
        """What `explanation.json` holds, JSON-able.

        >>> why.summary()["horizon"]
        7
        """
        return {
            "target": self.schema.target,
            "horizon": self.config.horizon,
            "context_length": self.config.context_length,
            "windows": self.method["windows"],
            "series": self.forecasts.select(self.schema.id_names).n_unique(),
            "features": self.by_feature().to_dicts(),
            **super().summary(),
        }


def mean_by_distance(by_step: pl.DataFrame) -> pl.DataFrame:
    """feature, distance, mean_abs_shap, mean_square_shap, share: by steps between an input and the value forecast.

    Averaged over the windows and over the steps for which the distance lies within the context; empty where players
    have no single distance. `share` is of `mean_square_shap`.
    """
    grouped = by_step.drop_nulls("distance").group_by("feature", "distance")
    means = grouped.agg(pl.col("mean_abs_shap").mean(), pl.col("mean_square_shap").mean().clip(lower_bound=0))
    square = pl.col("mean_square_shap")
    return means.with_columns((square / square.sum()).fill_nan(0).alias("share")).sort("feature", "distance")


def _name(feature: str | None, lag: int | None) -> str:
    return f"{'all features' if feature is None else feature}{'' if lag is None else f' lag {lag}'}"
