"""The result of explaining a classifier: its tables, its checks, and what they say in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from tsx.errors import ConfigError
from tsx.explanation.result import Check, Knowledge, Origin
from tsx.shown import Shown, write_file, write_folder
from tsx.spec.classifier import ClassifierConfig
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema
from tsx.spec.settings import Question


@dataclass(frozen=True, eq=False)
class ClassExplanation(Shown):
    """Why series are classified as they are, and whether to believe it.

    Lag 1 is the newest step of a series; a feature is null where a player spans all of them, and a lag where it has
    none. Shares add up to one within a class.

    series       id, label (null where unknown), predicted (null where left open), class, p, base_value, explained: a
                 row for each explained series and class; base_value + the SHAP values = explained
    importance   id, class, feature, lag, value, shap, shap_se, (oldest_lag). A lazy table: it may be larger than memory
    lag_profile  class, feature, lag, mean_abs_shap, mean_shap, mean_square_shap, share, (oldest_lag)
    tables       these and every further one by its name; what does not apply is absent
    classes      the explained classes; of two the second
    explain      what is explained of them: "log-odds" against all other classes, or "p"
    decisions    what was chosen, with its reason
    checks, faithful, knowledge, verdict, findings, skill, noticed, method, facts   as in `Explanation`
    """

    schema: Schema
    config: ClassifierConfig
    frequency: str
    question: Question
    classes: tuple[str, ...]
    explain: str
    series: pl.DataFrame
    importance: pl.LazyFrame
    lag_profile: pl.DataFrame
    checks: tuple[Check, ...]
    faithful: Check
    knowledge: Knowledge
    verdict: Check
    findings: tuple[str, ...]
    skill: dict[str, Any]
    method: dict[str, Any]
    decisions: tuple[Decision, ...] = ()
    noticed: tuple[Finding, ...] = ()
    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    origin: Origin | None = None
    importance_path: Path | None = None
    """The Parquet file that `importance` reads. It lives as long as this object."""
    _folder: Any = field(default=None, repr=False)

    def __repr__(self) -> str:
        return (
            f"ClassExplanation(series={self.method['series']}, classes={len(self.classes)}, explain={self.explain!r}, "
            f"players={self.question.players!r}, verdict={self.verdict.verdict!r}, checks={len(self.checks)}, "
            f"findings={len(self.findings)})"
        )

    def as_frame(self) -> pl.DataFrame:
        """`lag_importance`: every SHAP value with its standard error."""
        return self.lag_importance

    def report(self, kind: str = "html", out: str | Path | None = None) -> Path:
        """Write one report ("html", "md" or "json") as a file by itself, and give its path, as `Explanation.report`."""
        return write_file(self, kind, f"report.{kind}" if out is None else out)

    def write(self, out: str | Path = "tsx-report", report: tuple[str, ...] = ("html",)) -> list[Path]:
        """Write every table, and these reports, to a folder, and give the paths, as `Explanation.write`."""
        return write_folder(self, out, report)

    @property
    def label(self) -> str:
        """The column of the label."""
        return str(self.schema.label)

    @property
    def newest(self) -> Any:
        """The newest time in the table; None where that is not known."""
        return None if self.origin is None else self.origin.newest

    @property
    def lag_importance(self) -> pl.DataFrame:
        """`importance` in memory."""
        return self.importance.collect()

    def by_feature(self) -> pl.DataFrame:
        """class, feature, mean_abs_shap, mean_square_shap (summed over its lags), share; the most important first."""
        return (
            self.lag_profile.group_by("class", "feature")
            .agg(pl.col("mean_abs_shap", "mean_square_shap", "share").sum())
            .sort("class", "share", "feature", descending=[False, True, False])
        )

    def gate(self, max_drift: float) -> None:
        """Raises ConfigError `settings-contradict`: explanations of classifiers are not compared with earlier ones."""
        raise ConfigError(
            "settings-contradict",
            f"max_drift is {max_drift:g}, and the explanation was not compared with an earlier report",
            where="max_drift",
        )

    def summary(self) -> dict[str, Any]:
        """What `explanation.json` holds, JSON-able."""
        return {
            "label": self.label,
            "classes": list(self.classes),
            "explain": self.explain,
            "frequency": self.frequency,
            "context_length": self.config.context_length,
            "question": asdict(self.question),
            "decisions": [asdict(decision) for decision in self.decisions],
            "series": self.method["series"],
            "verdict": vars(self.verdict),
            "faithful": vars(self.faithful),
            "knowledge": vars(self.knowledge),
            "features": self.by_feature().to_dicts(),
            "top_lags": self.lag_profile.sort("share", descending=True).head(10).to_dicts(),
            "skill": self.skill,
            "method": self.method,
            "facts": self.facts,
            "checks": [vars(check) for check in self.checks],
            "findings": list(self.findings),
            "noticed": [finding.to_dict() for finding in self.noticed],
        }
