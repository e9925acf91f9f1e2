"""Which run this is: hashes of the model, the table and the settings, from which the result follows."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

from tsx.panel.panel import Panel
from tsx.progress import Run
from tsx.runtime.group import current
from tsx.spec.verbs import Request
from tsx.store.manifest import ClassifierManifest, Manifest
from tsx.workflows.elsewhere import inputs_changed

SHOWN = 16
"""Hexadecimal digits of the id of a run."""
OF_NO_RESULT = ("keep", "wait", "if_better", "sql", "connection", "engine")
"""Settings that change nothing about what comes out of a table; a connection may hold a password."""


def run_of(request: Request, panel: Panel, manifest: Manifest | ClassifierManifest | None = None) -> Run:
    """The run of what was asked for on this panel, with the model of this manifest.

    All processes of a group call it. Raises, in all of them, DataError `inputs-changed` where one has read something
    else.
    """
    model = None if manifest is None else manifest.stored
    named = request.given.items()
    settings = {
        name: value
        for name, value in named
        if request.verb[name].kind not in ("path", "table")
        and name not in OF_NO_RESULT
        and not request.verb[name].output
    }
    data = panel_digest(panel)
    content = [request.verb.name, settings, data, model and model.sha256]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
    group = current()
    if group.size > 1 and set(group.gather(digest)) != {digest}:
        raise inputs_changed("data")
    if model is None:
        return Run(digest[:SHOWN], data)
    return Run(digest[:SHOWN], data, model.version, model.sha256)


def panel_digest(panel: Panel) -> str:
    """SHA-256 of what was read, whatever kind of file it came from."""
    digest = hashlib.sha256()
    for array in (panel.values, panel.offsets, panel.lengths, panel.centers, panel.static_values, panel.codes):
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    labels = panel.static_labels.to_dict(as_series=False)
    words: list[Any] = [
        panel.ids.to_list(),
        panel.starts.to_list(),
        labels,
        panel.calendar.alias,
        (*panel.schema.channels, *panel.schema.words),
        *(known.to_list() for known in panel.words),
    ]
    if panel.labels is not None:
        words += [panel.labels.to_list(), None if panel.groups is None else panel.groups.to_list()]
    digest.update(json.dumps(words, sort_keys=True, default=str).encode())
    return digest.hexdigest()
