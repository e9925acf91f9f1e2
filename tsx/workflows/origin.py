"""What an explanation is made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tsx.explanation.result import Origin
from tsx.io.source import Source
from tsx.panel.panel import Panel
from tsx.store.manifest import Manifest, package_versions


def origin_of(manifest: Manifest, panel: Panel, data: Source | None) -> Origin:
    """What an explanation is made from: of a table only its name and size, of a model what its manifest says."""
    source = manifest.data.path if data is None else data
    path = source if isinstance(source, str | Path) else None
    fitted = f"{manifest.data.size} with tsx {manifest.versions.get('tsx', 'of an unknown version')}"
    return Origin(
        program=package_versions()["tsx"],
        fitted=fitted,
        table="" if path is None or str(path) == "-" else Path(path).name,
        series=len(panel),
        rows=int(panel.lengths.sum()),
        newest=panel.times(np.arange(len(panel)), panel.lengths - 1).max(),
        held_out=manifest.metrics.summary or (),
    )
