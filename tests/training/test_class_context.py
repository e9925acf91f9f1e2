"""Whether the older rows of long series are read: where they tell the classes, and nowhere else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tsx.panel.labels import Classes, find_classes
from tsx.panel.panel import Panel
from tsx.progress import SILENT
from tsx.spec.settings import Reading, Roles, Settings
from tsx.training.class_context import older_rows_help
from tsx.training.class_plan import LONGEST_CONTEXT, USUAL_CONTEXT, plan_classifier
from tsx.workflows.open_labelled import open_labelled


def told_in(where: slice, steps: int, series: int = 60) -> tuple[Panel, Classes]:
    """Noise whose mean in these steps tells the class."""
    random = np.random.default_rng(0)
    codes = random.integers(0, 2, series)
    values = random.normal(size=(series, steps))
    values[:, where] += (2 * codes - 1)[:, None]
    units, numbers = np.repeat(np.arange(series), steps), np.tile(np.arange(steps), series)
    words = np.array(["no", "yes"])[codes][units]
    frame = pl.DataFrame({"unit": [f"u{k}" for k in units], "step": numbers, "x": values.ravel(), "fault": words})
    panel = open_labelled(frame, Roles(label="fault"), Reading(), None, SILENT).panel
    return panel, find_classes(panel)


@pytest.mark.parametrize(
    ("where", "helps"),
    [(slice(0, 10), True), (slice(-10, None), False), (slice(0, 0), False)],
    ids=["the oldest rows", "the newest rows", "no rows"],
)
def test_older_rows_help_where_they_alone_tell_the_classes(where: slice, helps: bool) -> None:
    panel, classes = told_in(where, 200)
    found, reason = older_rows_help(panel, classes, classes.labelled, 80, 200, seed=0)
    assert found is helps
    assert "standard error" in reason


def test_series_that_are_held_out_from_all_networks_have_no_say() -> None:
    panel, classes = told_in(slice(0, 10), 200)
    learnt = classes.labelled[:40]
    found = older_rows_help(panel, classes, learnt, 80, 200, seed=0)
    others = np.where(np.arange(60) < 40, classes.codes, 1 - classes.codes)
    assert older_rows_help(panel, replace(classes, codes=others), learnt, 80, 200, seed=0) == found


@pytest.mark.parametrize(("where", "read"), [(slice(0, 60), 1500), (slice(-60, None), USUAL_CONTEXT)])
def test_what_is_read_of_a_long_series_is_chosen_by_the_data(where: slice, read: int) -> None:
    panel, classes = told_in(where, 1500, series=40)
    config, decisions = plan_classifier(panel, classes, Settings(), {}, 1)
    assert config.context_length == read <= LONGEST_CONTEXT
    reason = next(each.reason for each in decisions if each.name == "context_length")
    assert "older ones" in reason
    asked, _ = plan_classifier(panel, classes, Settings(context_length=700), {"context_length": 700}, 1)
    assert asked.context_length == 700
