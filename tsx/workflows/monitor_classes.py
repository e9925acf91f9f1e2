"""Monitoring of a classifier: classes that were said on earlier nights, scored now that the labels have come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tsx.errors import DataError
from tsx.evaluation.class_metrics import confidence, log_loss, reliability, summary
from tsx.evaluation.class_verdict import SIGNIFICANT, paired_test
from tsx.evaluation.control import FEWEST, LIMIT, Cusum, cusum
from tsx.evaluation.verdict import SERIES
from tsx.io.source import Source
from tsx.model.classifier import Classifier
from tsx.panel.labels import codes_of_labels
from tsx.panel.panel import Panel
from tsx.panel.pseudonyms import pseudonymous
from tsx.profile.input_drift import ColumnDrift, drift_of_means
from tsx.progress import Progress, task
from tsx.shown import Shown
from tsx.spec.decision import Decision, Finding
from tsx.spec.verbs import Request
from tsx.spec.verdict import Verdict
from tsx.store.classifier import load_classifier
from tsx.store.fitted_on import still_there
from tsx.store.ledger import Recorded, read
from tsx.store.manifest import Metrics
from tsx.training.classifier import FREQUENCIES
from tsx.wording import class_column, count, fixed, percent, verb
from tsx.workflows.flags import refuse_flags
from tsx.workflows.open_labelled import open_to_classify
from tsx.workflows.recording import newest_runs, recorded_rows

OF_FORECASTS = ("reasons",)
"""Settings of monitoring that mean nothing for a label; limits of forecasts are refused by the command."""
SAID = "classification"
"""What the recorded classes are called beside the class frequencies."""
OFF = 0.05
"""Probabilities this far from the share that came true are off."""
LEAST = 1e-12
"""Of a probability, so that its logarithm is a number."""


@dataclass(frozen=True, eq=False)
class ClassMonitoring(Shown):
    """How the recorded classes of a ledger did.

    nights       a row each, the oldest first: `cutoff` (the newest row that was read), `version` of the model, `n`
                 series whose label has come, `accuracy`, `log_loss`, `log_loss_simple` of the class frequencies at the
                 fit, `said` and `seen` (mean probability and share that came true: of the positive class where there
                 are two, else of the most probable one), `error` (said less seen of series that were classified for the
                 first time, in standard errors), `cusum_up` and `cusum_down` of it
    summary      one dict per model, as of a fit: the recorded `classification`, and `class_frequencies`
    verdict      whether it is better than these frequencies, by a test over series
    reliability  the probability said and the frequency seen, in bins of equal count
    advice       `keep` or `refit`, and why
    drift        of the mean of each input over the series, since the fit
    fitted       the metrics of the model when it was fitted

    Examples:
        >>> tsx.classify("new.parquet", model="stays-model", ledger="ledger-of-classes")
        >>> nights = tsx.monitor("later.parquet", model="stays-model", ledger="ledger-of-classes")
        >>> nights.advice.value
    """

    nights: pl.DataFrame
    summary: tuple[dict[str, Any], ...]
    verdict: Verdict
    reliability: tuple[dict[str, float], ...]
    advice: Decision
    findings: tuple[Finding, ...]
    drift: tuple[ColumnDrift, ...]
    fitted: Metrics
    newest: Any
    label: str

    def as_frame(self) -> pl.DataFrame:
        """`nights`: a row each, the oldest first.

        >>> nights.as_frame().columns[:3]
        ['cutoff', 'version', 'n']
        """
        return self.nights

    def __repr__(self) -> str:
        return (
            f"ClassMonitoring(nights={self.nights.height}, advice={self.advice.value!r}, findings={len(self.findings)})"
        )

    @property
    def own(self) -> dict[str, Any]:
        """The metrics of the recorded classes."""
        return self.summary[0]


@dataclass(frozen=True, eq=False)
class _Recorded:
    """Rows of the ledger whose label has come: series, night (microseconds, or the number of a step), version, log
    probabilities (R, K), true classes (R); and which are the first of their series.

    new_classes    series whose label has come and is no class of the classifier: they cannot be scored
    """

    series: np.ndarray
    night: np.ndarray
    version: list[str | None]
    log_p: np.ndarray
    codes: np.ndarray
    first: np.ndarray
    new_classes: int


def monitor_classes(data: Source | None, request: Request, progress: Progress) -> ClassMonitoring:
    """Score the recorded classes of a ledger on a table with labels, as `tsx.monitor` says. Raises as it does, and
    UsageError `flags-contradict`."""
    refuse_flags(request, OF_FORECASTS, "has no meaning for a model that classifies series")
    recorded = read(request["ledger"])
    model = request["model"]
    classifier, manifest = load_classifier(model, device="cpu")
    panel = open_to_classify(
        classifier,
        still_there(manifest.data.path, model, "monitor") if data is None else data,
        duplicates=request.given.get("duplicates"),
        max_rows=request["max_rows"],
        progress=progress,
    )
    if request["pseudonym_key"] is not None:
        panel, _ = pseudonymous(panel, request["pseudonym_key"])
    label = str(classifier.schema.label)
    with task(progress, "scoring"):
        rows = _joined(recorded, classifier, panel, request["nights"])
    frequencies = np.maximum(classifier.network.frequencies.double().numpy(), LEAST)
    simple = np.broadcast_to(np.log(frequencies / frequencies.sum()), rows.log_p.shape)
    summaries = tuple(
        {"model": name, **summary(log_p, rows.codes, rows.series)}
        for name, log_p in ((SAID, rows.log_p), (FREQUENCIES, simple))
    )
    verdict = _verdict(rows, simple, label)
    nights = _nights(rows, simple, panel)
    versions = nights["version"]
    restarts = (versions != versions.shift(1)).fill_null(False).to_numpy()
    renewed = versions.n_unique() * FEWEST <= nights.height
    chart = cusum(nights["error"].fill_null(np.nan).to_numpy(), restarts if renewed else None)
    nights = nights.with_columns(cusum_up=chart.up, cusum_down=chart.down)
    findings = (*panel.findings, *_findings(rows, nights, chart, verdict))
    return ClassMonitoring(
        nights=nights,
        summary=summaries,
        verdict=verdict,
        reliability=tuple(reliability(rows.log_p, rows.codes)),
        advice=_advice(findings, verdict, rows),
        findings=findings,
        drift=tuple(drift_of_means(classifier.location, manifest.data.series, panel)),
        fitted=manifest.metrics,
        newest=panel.times(np.arange(len(panel)), panel.lengths - 1).max(),
        label=label,
    )


def _joined(recorded: tuple[Recorded, ...], classifier: Classifier, panel: Panel, nights: int) -> _Recorded:
    """The recorded rows of the newest nights whose label the panel knows; of several of one series and night the one
    recorded last. Raises DataError `ledger-differs`, `nothing-to-score`."""
    classes = classifier.config.classes
    chosen = newest_runs(recorded, panel, nights, str(classifier.schema.label), classes)
    columns = [class_column(name) for name in classes]
    rows = recorded_rows(chosen, panel, columns)
    rows = rows.sort("number").unique([SERIES, "night"], keep="last", maintain_order=True).sort("night", SERIES)
    codes = codes_of_labels(panel, classes)[rows[SERIES].to_numpy()]
    known = pl.Series(codes >= 0)
    labelled = (
        pl.Series(np.full(len(rows), False))
        if panel.labels is None
        else panel.labels.is_not_null().gather(rows[SERIES])
    )
    new_classes = rows[SERIES].filter(labelled & ~known).n_unique()
    if not known.any():
        of = count(rows[SERIES].n_unique(), "recorded series")
        raise DataError(
            "nothing-to-score",
            f"the labels of {new_classes:,} of {of} are no classes of the model, and no other has a label yet"
            if new_classes
            else f"none of {of} has a label in this table yet",
            hint="bring a table with their labels, written as at the fit",
            where="ledger",
        )
    rows, codes = rows.filter(known), codes[codes >= 0]
    p = np.maximum(rows.select(columns).to_numpy().astype(np.float64), LEAST)
    return _Recorded(
        series=rows[SERIES].to_numpy().astype(np.int64),
        night=rows["night"].to_numpy(),
        version=rows["version"].to_list(),
        log_p=np.log(p / p.sum(1, keepdims=True)),
        codes=codes,
        first=rows[SERIES].is_first_distinct().to_numpy(),
        new_classes=new_classes,
    )


def _verdict(rows: _Recorded, simple: np.ndarray, label: str) -> Verdict:
    """The recorded probabilities against the class frequencies at the fit, by log loss over series."""
    once = np.ones((1, len(rows.codes)))
    mine, theirs = (float(log_loss(each, rows.codes, once)[0]) for each in (rows.log_p, simple))
    p = paired_test(rows.log_p, simple, rows.codes, rows.series)
    sure, better = p < SIGNIFICANT, mine < theirs
    figures = f"log loss {fixed(mine, 3)} against {fixed(theirs, 3)}, {_p(p)}"
    if not sure:
        sentence = f"The recorded classes are not shown to know more of {label!r} than how often each came ({figures})."
    elif better:
        sentence = f"The recorded classes know more of {label!r} than how often each came at the fit ({figures})."
    else:
        sentence = f"How often each class came at the fit says more of {label!r} than the recorded classes ({figures})."
    return Verdict(
        model=SAID,
        against=FREQUENCIES,
        skill=1 - mine / theirs if theirs > 0 else None,
        skill_seasonal_naive=None,
        p_value=p,
        units=count(len(np.unique(rows.series)), "series"),
        test="paired t-test of log losses",
        sentence=sentence,
        has_skill=sure and better,
        loss="log loss",
    )


def _nights(rows: _Recorded, simple: np.ndarray, panel: Panel) -> pl.DataFrame:
    """The row of every night, the oldest first."""
    score, hit = confidence(rows.log_p, rows.codes)
    own = np.arange(len(rows.codes)), rows.codes
    table = pl.DataFrame(
        {
            "night": rows.night,
            "version": pl.Series(rows.version, dtype=pl.String),
            "right": rows.log_p.argmax(1) == rows.codes,
            "loss": -rows.log_p[own],
            "loss_simple": -simple[own],
            "said": score,
            "seen": hit,
            "first": rows.first,
        }
    )
    apart = (pl.col("said") - pl.col("seen")).filter("first")
    chance = (pl.col("said") * (1 - pl.col("said"))).filter("first")
    nights = table.group_by("night").agg(
        pl.col("version").last(),
        n=pl.len(),
        accuracy=pl.col("right").mean(),
        log_loss=pl.col("loss").mean(),
        log_loss_simple=pl.col("loss_simple").mean(),
        said=pl.col("said").mean(),
        seen=pl.col("seen").mean(),
        error=pl.when(chance.sum() > 0).then(apart.sum() / chance.sum().sqrt()),
    )
    nights = nights.sort("night")
    moment = nights["night"]
    cutoff = moment if panel.starts.dtype.is_integer() else moment.cast(pl.Datetime("us")).cast(panel.starts.dtype)
    return nights.drop("night").insert_column(0, cutoff.alias("cutoff"))


def _findings(rows: _Recorded, nights: pl.DataFrame, chart: Cusum, verdict: Verdict) -> list[Finding]:
    """Classes that nobody learnt; and what is beyond chance: shifted probabilities, ones that are off, and frequencies
    that say more."""
    found = []
    if rows.new_classes:
        new = rows.new_classes
        message = (
            f"{count(new, 'series')} {verb(new, 'has')} a label that is no class of the model, and {verb(new, 'is')} "
            f"not scored; {len(np.unique(rows.series)):,} are"
        )
        found.append(Finding("class-unknown", message, "ledger", count=rows.new_classes))
    score, hit = confidence(rows.log_p, rows.codes)
    if chart.alarm is not None and chart.begun is not None:
        since = nights.height - chart.begun
        high = chart.up[chart.alarm] > chart.down[chart.alarm]
        message = (
            f"probabilities have been too {'high' if high else 'low'} for {count(since, 'night')} "
            f"(CUSUM {max(chart.up.max(), chart.down.max()):.1f}, limit {LIMIT:g})"
        )
        found.append(Finding("errors-shifted", message, "ledger", count=since))
    said, seen = float(score.mean()), float(hit.mean())
    if abs(said - seen) > OFF and (p := _differ(score - hit, rows.series)) < SIGNIFICANT:
        message = (
            f"probabilities of {percent(said)} on average came true in {percent(seen)} of "
            f"{count(len(np.unique(rows.series)), 'series')} ({_p(p)})"
        )
        found.append(Finding("calibration-off", message, "ledger", count=len(np.unique(rows.series))))
    if verdict.p_value is not None and verdict.p_value < SIGNIFICANT and not verdict.has_skill:
        message = f"the class frequencies at the fit lose less than the recorded classes ({_p(verdict.p_value)})"
        found.append(Finding("worse-than-simple", message, "ledger", count=nights.height))
    return found


def _p(p: float) -> str:
    return "p < .001" if p < 0.001 else f"p = {f'{p:.3f}'.removeprefix('0')}"


def _differ(values: np.ndarray, groups: np.ndarray) -> float:
    """Two-sided p of "their mean is 0": a t-test over groups."""
    from scipy.stats import t

    _, number = np.unique(groups, return_inverse=True)
    sums, units = np.bincount(number, values - values.mean()), int(number.max()) + 1
    if units < 2:
        return 1.0
    error = np.sqrt((sums**2).sum() * units / (units - 1)) / len(values)
    return float(2 * t.sf(abs(values.mean()) / error, units - 1)) if error > 0 else 1.0


def _advice(findings: tuple[Finding, ...], verdict: Verdict, rows: _Recorded) -> Decision:
    by_code = {finding.code: finding for finding in findings}
    for code in ("class-unknown", "worse-than-simple", "errors-shifted", "calibration-off"):
        if code in by_code:
            return Decision("advice", "refit", by_code[code].message)
    series = len(np.unique(rows.series))
    if series < FEWEST:
        return Decision("advice", "keep", f"{count(series, 'series')} scored, too few to say more; see {FEWEST}")
    return Decision("advice", "keep", verdict.sentence.removesuffix("."))
