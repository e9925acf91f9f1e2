"""The result of explaining a classifier: its tables, its checks, and what they say in words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from tsx.explanation.result import Explained
from tsx.spec.classifier import ClassifierConfig
from tsx.spec.decision import Decision


@dataclass(frozen=True, eq=False, kw_only=True)
class ClassExplanation(Explained):
    """Why series are classified as they are, and whether to believe it.

    Lag 1 is the newest step of a series; a feature is null where a player spans all of them, and a lag where it has
    none. Shares add up to one within a class.

    series       id, label (null where unknown), predicted (null where left open), class, p, base_value, explained: a
                 row for each explained series and class; base_value + the SHAP values = explained
    importance   id, class, feature, lag, value, shap, shap_se, (oldest_lag). A lazy table: it may be larger than memory
    lag_profile  class, feature, lag, mean_abs_shap, mean_shap, mean_square_shap, share, (oldest_lag)
    classes      the explained classes; of two the second
    explain      what is explained of them: "log-odds" against all other classes, or "p"
    tables       among them `memory_needed` (context_length, same_label, kept, moved, series, older: what is left with
                 the newest rows alone), `memory_units` and `retention` (as of forecasters, by direction),
                 `gradient_decay` (lag, mean_norm, share, and the norm by way through the networks), `attention` (lag,
                 mean, q10, q90, series; with --attention), `surrogates` (name, fidelity, same_label, terms) and, where
                 times of words play alone, `word_profile` (class, feature, word, series, times, mean_shap, shap_se)
    decisions    what was chosen, with its reason

    The other fields are those of `Explained`.

    Examples:
        >>> why = tsx.explain("stays.parquet", model="stays-model", windows=10, max_evals=500)
        >>> why.label
        'died'
    """

    config: ClassifierConfig
    classes: tuple[str, ...]
    explain: str
    series: pl.DataFrame
    decisions: tuple[Decision, ...] = ()

    def __repr__(self) -> str:
        return (
            f"ClassExplanation(series={self.method['series']}, classes={len(self.classes)}, explain={self.explain!r}, "
            f"players={self.question.players!r}, verdict={self.verdict.verdict!r}, checks={len(self.checks)}, "
            f"findings={len(self.findings)})"
        )

    @property
    def label(self) -> str:
        """The column of the label."""
        return str(self.schema.label)

    @property
    def newest(self) -> Any:
        """The newest time in the table; None where that is not known."""
        return None if self.origin is None else self.origin.newest

    def by_feature(self) -> pl.DataFrame:
        """class, feature, mean_abs_shap, mean_square_shap (summed over its lags), share; the most important first.

        >>> why.by_feature().columns[:2]
        ['class', 'feature']
        """
        return (
            self.lag_profile.group_by("class", "feature")
            .agg(pl.col("mean_abs_shap", "mean_square_shap", "share").sum())
            .sort("class", "share", "feature", descending=[False, True, False])
        )

    def summary(self) -> dict[str, Any]:
        """What `explanation.json` holds, JSON-able.

        >>> why.summary()["label"]
        'died'
        """
        return {
            "label": self.label,
            "classes": list(self.classes),
            "explain": self.explain,
            "context_length": self.config.context_length,
            "decisions": [asdict(decision) for decision in self.decisions],
            "series": self.method["series"],
            "features": self.by_feature().to_dicts(),
            **super().summary(),
        }
