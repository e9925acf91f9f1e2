"""What an explanation is made from."""

from __future__ import annotations

import shlex
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from tsx.explanation.result import Origin
from tsx.io.database import Query
from tsx.io.remote import place_of
from tsx.io.source import Source, words_of
from tsx.panel.panel import Panel
from tsx.progress import Run
from tsx.spec.command_line import flags
from tsx.spec.verbs import Request
from tsx.store.copies import here
from tsx.store.layout import MANIFEST, VERSIONS
from tsx.store.manifest import Manifest, package_versions

DIGITS = 12
"""Of a hash, as many as tell two of a person's tables or models apart."""


def origin_of(manifest: Manifest, panel: Panel, data: Source | None, request: Request, run: Run) -> Origin:
    """What an explanation is made from: of a table only its name, size and hash, of a model what its manifest says.

    Of a private explanation neither hash nor command is told, against which a guess could be tested.
    """
    source = manifest.data.path if data is None else data
    path = source if isinstance(source, str | Path) else None
    fitted = f"{manifest.data.size} with tsx {manifest.versions.get('tsx', 'of an unknown version')}"
    private = bool(request["private"])
    table = "" if path is None or str(path) == "-" else Path(place_of(path)).name
    return Origin(
        program=package_versions()["tsx"],
        fitted=fitted,
        table=table,
        series=len(panel),
        rows=int(panel.lengths.sum()),
        newest=panel.times(np.arange(len(panel)), panel.lengths - 1).max(),
        held_out=manifest.metrics.summary or (),
        per_step=manifest.metrics.per_step or (),
        reliability=manifest.metrics.reliability or (),
        version=run.version or "",
        written=_written(request["model"], run.version),
        model_sha256="" if private else (run.model_sha256 or "")[:DIGITS],
        data_sha256="" if private else run.data_sha256[:DIGITS],
        command="" if private else _command(request, source),
    )


def _written(model: str | Path, version: str | None) -> date | None:
    """The day on which the version in use was written, as the file system or the store says."""
    with here(model) as place:
        for folder in (place / VERSIONS / (version or ""), place):
            if (folder / MANIFEST).is_file():
                return datetime.fromtimestamp((folder / MANIFEST).stat().st_mtime, UTC).date()
    return None


def _command(request: Request, source: Source | None) -> str:
    """The command that asks the same, with names of files and without their folders."""
    kinds = {one.name: one.kind for one in request.verb.flags}
    given = {name: value for name, value in request.given.items() if name in kinds and name not in OF_THE_PLACE}
    given |= {name: ",".join(_named(value)) for name, value in given.items() if kinds[name] in ("path", "table")}
    return shlex.join(["tsx", request.verb.name, *_named(source), *flags(request.verb, given)])


def _named(source: Source | None) -> list[str]:
    """The words of a table without folders; none for a query, which is a setting of its own."""
    if source is None or isinstance(source, Query):
        return []
    names = (Path(word).name or word for word in words_of(source))
    return [f"./{name}" if name.startswith("-") and name != "-" else name for name in names]


OF_THE_PLACE = ("connection", "out", "report", "device", "engine", "config", "pseudonym_key")
"""Settings that say where something lies, goes or is done; a connection may hold a password."""
