"""What a forecast writes to the ledger, and what it learns from the run before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from tsx.errors import ConfigError
from tsx.model.classifier import Classifier
from tsx.model.forecaster import Forecaster
from tsx.panel.calendar import to_moments
from tsx.panel.panel import Panel
from tsx.profile.drift import FEWER_ROWS
from tsx.progress import Run
from tsx.spec.decision import Finding
from tsx.spec.verbs import Request
from tsx.store.ledger import FORMAT, Entry, Recorded, append, latest
from tsx.wording import value_preview, verb


def record(directory: str | Path, run: Run, forecaster: Forecaster, panel: Panel, frame: pl.DataFrame) -> None:
    """Append the forecast of a run to the ledger. Raises as `tsx.store.ledger.append` does."""
    schema = panel.schema
    entry = Entry(
        format=FORMAT,
        number=0,
        run=run.id,
        version=run.version,
        model_sha256=run.model_sha256,
        data_sha256=run.data_sha256,
        newest=_newest(frame),
        series=frame.select(schema.id_names).n_unique(),
        steps=int(panel.lengths.sum()),
        ids=tuple(schema.id_names),
        time=schema.time,
        target=schema.target,
        quantile_levels=forecaster.config.quantile_levels,
    )
    append(directory, entry, frame)


def record_classes(directory: str | Path, run: Run, classifier: Classifier, panel: Panel, frame: pl.DataFrame) -> None:
    """Append the classes that a run said to the ledger. Raises as `tsx.store.ledger.append` does."""
    schema, every = panel.schema, np.arange(len(panel))
    entry = Entry(
        format=FORMAT,
        number=0,
        run=run.id,
        version=run.version,
        model_sha256=run.model_sha256,
        data_sha256=run.data_sha256,
        newest=int(to_moments(panel.times(every, panel.lengths - 1), local=False).max()),
        series=frame.height,
        steps=int(panel.lengths.sum()),
        ids=tuple(schema.id_names),
        time=schema.time,
        target=str(classifier.schema.label),
        quantile_levels=(),
        classes=classifier.config.classes,
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


def _ids(recorded: Recorded, names: list[str]) -> pl.DataFrame:
    """The ids of a run as text, each once."""
    return recorded.frame().select(names).unique(maintain_order=True).cast(pl.String).fill_null("")


def _newest(frame: pl.DataFrame) -> int:
    return int(to_moments(frame["cutoff"], local=False).max())
