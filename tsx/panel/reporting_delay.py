"""The newest values of a target that will still be corrected: reports that come late, figures that get revised."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tsx.io.mapped import new_array
from tsx.panel.lookup import row_chunks
from tsx.panel.panel import Panel
from tsx.spec.decision import Finding


def mask_provisional(panel: Panel, delay: int) -> Panel:
    """The panel with the newest `delay` steps of every history masked in the target, and a finding that counts them.

    The histories stay as long as they are: a forecast still begins after the newest row. Covariates stay as they are:
    what is reported late are the cases, not the weather. The panel as it is where `delay` is 0.
    """
    if not delay:
        return panel
    back = np.arange(1, delay + 1)
    rows = (panel.offsets[:-1] + panel.lengths)[:, None] - back
    rows = rows[back <= panel.lengths[:, None]]
    masked = int((~np.isnan(panel.values[rows, 0])).sum())
    values = new_array(panel.values.shape)
    provisional = np.sort(rows)
    for some, _ in row_chunks(panel.offsets):
        part = panel.values[some].copy()
        part[provisional[slice(*np.searchsorted(provisional, (some.start, some.stop)))] - some.start, 0] = np.nan
        values[some] = part
    steps = "newest step" if delay == 1 else f"newest {delay} steps"
    message = (
        f"{masked:,} values of {panel.schema.target!r} in the {steps} of {len(panel):,} series are taken as "
        "provisional: they are neither read, nor learnt from, nor scored"
    )
    finding = Finding("provisional-values", message, panel.schema.target, count=masked)
    return replace(panel, values=values, findings=(*panel.findings, finding))


def final_lengths(ends: np.ndarray, delay: int) -> np.ndarray:
    """(N) how many of the first `ends` (N) values of each series were final when the last of them came."""
    final: np.ndarray = np.maximum(ends - delay, 0)
    return final
