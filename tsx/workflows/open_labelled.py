"""From a table of labelled series to a panel: to fit a classifier, or for one that was fitted."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from tsx.io.failures import collecting
from tsx.io.source import Source, scan, where_of
from tsx.model.classifier import Classifier
from tsx.panel.panel import Panel
from tsx.panel.shares import of_share
from tsx.progress import SILENT, Progress
from tsx.spec.decision import Decision
from tsx.spec.settings import Duplicates, Reading, Roles
from tsx.spec.shares import Share
from tsx.table.label_roles import find_label_roles, shared_ids
from tsx.table.roles import check_schema
from tsx.table.texts import split_texts
from tsx.table.tidy import check_cells, tidy_sequences
from tsx.workflows.open_table import read_table


@dataclass(frozen=True, eq=False)
class Labelled:
    """A table of labelled series as a panel, how it was read, and what was decided meanwhile."""

    panel: Panel
    reading: Reading
    decisions: tuple[Decision, ...]


def open_labelled(data: Source, roles: Roles, reading: Reading, freq: str | None, progress: Progress) -> Labelled:
    """The table as a panel with `labels`. Raises as `find_label_roles` and `read_panel` do."""
    with collecting(where_of(data)):
        raw = scan(data, reading)
        if reading.text is not None:
            raw, roles = split_texts(raw, roles, reading.text)
        table = tidy_sequences(raw, roles, reading)
        schema, chosen = find_label_roles(table)
        noticed = (*check_cells(table, schema), *shared_ids(table, schema))
        read = read_table(table, schema, freq, progress)
    panel = replace(read.panel, findings=(*table.findings, *noticed, *read.panel.findings))
    decisions = (*table.decisions, *chosen, *read.decisions)
    return Labelled(panel, replace(read.reading, max_rows=None), decisions)


def open_to_classify(
    classifier: Classifier,
    data: Source,
    *,
    label: Literal["needed", "where there"] = "needed",
    duplicates: Duplicates | None = None,
    max_rows: int | None = None,
    share: Share | None = None,
    together: bool = False,
    progress: Progress = SILENT,
) -> Panel:
    """The panel of a later table, read as the first one was; it has `labels` where the classifier's schema names them.

    `share`: of the series that are read; by default all are. `label`: whether the table must have the column of labels
    that the schema names; `together`: whether it has the groups that are held out together.
    Raises as `check_schema` and `read_panel` do.
    """
    schema, reading = classifier.schema, classifier.reading
    reading = replace(reading, duplicates=duplicates or reading.duplicates, max_rows=max_rows)
    with collecting(where_of(data)):
        raw = scan(data, reading)
        there = label == "needed" or schema.label in raw.rows.collect_schema().names()
        schema = replace(schema, together=schema.together if together else None, label=schema.label if there else None)
        past = (*schema.past, *schema.past_words)
        roles = Roles(schema.ids, (schema.time,), past=past, static=schema.static, label=schema.label)
        if reading.text is not None:
            raw, roles = split_texts(raw, roles, reading.text)
        table = tidy_sequences(raw, roles, reading)
        check_schema(table.rows, schema)
        noticed = check_cells(table, schema)
        if share is not None:
            table = replace(table, rows=of_share(table.rows, schema.ids, share))
        read = read_table(table, schema, classifier.frequency, progress)
    return replace(read.panel, findings=(*table.findings, *noticed, *read.panel.findings))
