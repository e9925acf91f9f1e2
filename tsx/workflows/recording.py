"""What a forecast writes to the ledger, and what it learns from the run before it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import polars as pl

from tsx.errors import ConfigError, DataError
from tsx.evaluation.verdict import SERIES
from tsx.model.classifier import Classifier
from tsx.model.forecaster import Forecaster
from tsx.panel.calendar import to_moments
from tsx.panel.panel import Panel
from tsx.profile.drift import FEWER_ROWS
from tsx.progress import Run
from tsx.spec.decision import Finding
from tsx.spec.verbs import Request
from tsx.store.ledger import FORMAT, Entry, Recorded, append, latest
from tsx.wording import count, value_preview, verb


def record(directory: str | Path, run: Run, forecaster: Forecaster, panel: Panel, frame: pl.DataFrame) -> None:
    """Append the forecast of a run to the ledger. Raises as `tsx.store.ledger.append` does."""
    levels = forecaster.config.quantile_levels
    _append(directory, run, panel, frame, newest=_newest(frame), target=panel.schema.target, quantile_levels=levels)


def record_classes(directory: str | Path, run: Run, classifier: Classifier, panel: Panel, frame: pl.DataFrame) -> None:
    """Append the classes that a run said to the ledger. Raises as `tsx.store.ledger.append` does."""
    newest = int(to_moments(panel.times(np.arange(len(panel)), panel.lengths - 1), local=False).max())
    label, classes = str(classifier.schema.label), classifier.config.classes
    _append(directory, run, panel, frame, newest=newest, target=label, classes=classes)


def _append(
    directory: str | Path,
    run: Run,
    panel: Panel,
    frame: pl.DataFrame,
    *,
    newest: int,
    target: str,
    quantile_levels: tuple[float, ...] = (),
    classes: tuple[str, ...] = (),
) -> None:
    schema = panel.schema
    entry = Entry(
        format=FORMAT,
        number=0,
        run=run.id,
        version=run.version,
        model_sha256=run.model_sha256,
        data_sha256=run.data_sha256,
        newest=newest,
        series=frame.select(schema.id_names).n_unique(),
        steps=int(panel.lengths.sum()),
        ids=tuple(schema.id_names),
        time=schema.time,
        target=target,
        quantile_levels=quantile_levels,
        classes=classes,
    )
    append(directory, entry, frame)


def check_key(request: Request) -> None:
    """Raises ConfigError `settings-contradict` where pseudonyms would be recorded that no later table has."""
    if request["ledger"] is not None and request["private"] and request["pseudonym_key"] is None:
        raise ConfigError(
            "settings-contradict",
            "without a key pseudonyms are others every night, and no later table can be compared with them",
            hint="give --pseudonym-key FILE, to tsx monitor too",
            where="ledger",
        )


def since_the_run_before(directory: str | Path, run: Run, panel: Panel, frame: pl.DataFrame) -> Iterator[Finding]:
    """What is missing that the run before had: series by their ids, and rows."""
    newest = _newest(frame)
    before = [one for one in latest(directory) if one.entry.run != run.id and one.entry.newest <= newest]
    if not before:
        return
    last = max(before, key=lambda one: (one.entry.newest, one.entry.number))
    names = list(panel.schema.id_names)
    if tuple(names) == last.entry.ids:
        known = _ids(last, names)
        gone = known.join(frame.select(names).unique().cast(pl.String), on=names, how="anti", nulls_equal=True)
        if number := gone.height:
            message = f"{number:,} of {known.height:,} series of the forecast before {verb(number, 'has')} none now"
            yield Finding("series-missing", message, "ledger", value_preview(map(", ".join, gone.iter_rows())), number)
    steps = int(panel.lengths.sum())
    if steps < FEWER_ROWS * last.entry.steps:
        message = f"{steps:,} steps of all series; the forecast before was made from {last.entry.steps:,}"
        yield Finding("rows-fewer", message, "ledger", count=last.entry.steps - steps)


def newest_runs(
    recorded: tuple[Recorded, ...], panel: Panel, nights: int, target: str, classes: tuple[str, ...] = ()
) -> list[Recorded]:
    """The runs of the newest nights that forecast the target, or said these classes of it, of series that are named as
    those of the panel. Raises DataError `ledger-differs`."""
    wanted = tuple(panel.schema.id_names), target, classes
    fitting = [one for one in recorded if (one.entry.ids, one.entry.target, one.entry.classes) == wanted]
    newest = sorted({one.entry.newest for one in fitting})[-nights:]
    if not newest:
        said = f"has the {len(classes):,} classes of `{target}`, of" if classes else f"forecast `{target}` of"
        raise DataError(
            "ledger-differs",
            f"none of {count(len(recorded), 'recorded run')} {said} series named by {panel.schema.id_label}",
            hint=f"name the ledger of this model's {'classes' if classes else 'forecasts'}",
            where="ledger",
        )
    return [one for one in fitting if one.entry.newest in newest]


def recorded_rows(runs: list[Recorded], panel: Panel, columns: Iterable[str]) -> pl.DataFrame:
    """These columns of the runs, for series of the panel: SERIES, which of them it is, and `night`, `number` and
    `version` of the run."""
    names = list(panel.schema.id_names)
    frames = [
        one.frame().select(
            *(pl.col(name).cast(pl.String) for name in names),
            *columns,
            night=pl.lit(one.entry.newest),
            number=pl.lit(one.entry.number),
            version=pl.lit(one.entry.version),
        )
        for one in runs
    ]
    ids = pl.DataFrame(panel.id_columns(np.arange(len(panel)))).cast(pl.String).with_row_index(SERIES)
    return pl.concat(frames).join(ids, on=names, how="inner", nulls_equal=True)


def _ids(recorded: Recorded, names: list[str]) -> pl.DataFrame:
    """The ids of a run as text, each once."""
    return recorded.frame().select(names).unique(maintain_order=True).cast(pl.String).fill_null("")


def _newest(frame: pl.DataFrame) -> int:
    return int(to_moments(frame["cutoff"], local=False).max())
