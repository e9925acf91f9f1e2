"""Which file a model was fitted on, read from its manifest alone."""

from __future__ import annotations

from pathlib import Path

from tsx.errors import NotFound, UsageError
from tsx.io.remote import place_of
from tsx.store.from_json import NotOfType, from_json
from tsx.store.layout import damaged
from tsx.store.snapshot import read_content

Paths = str | tuple[str, ...] | None
"""A file or folder, several of them, or none that is known."""


def path_of_fit(model: str | Path) -> Paths:
    """What the manifest says of where the table of the fit lies. Raises as `read_content` does."""
    data = read_content(model).get("data")
    try:
        path: Paths = from_json(Paths, data.get("path") if isinstance(data, dict) else None, "data.path")  # type: ignore[arg-type]
    except NotOfType as error:
        raise damaged(model, f"the manifest was changed: {error}") from None
    return path


def still_there(path: Paths, model: str | Path, command: str = "forecast") -> str | tuple[str, ...]:
    """The path, or paths, of the table of the fit, as long as all are there.

    Raises UsageError `data-needed`, NotFound `file-not-found`, neither of which names a path.
    """
    hint = f"name the table, tsx {command} DATA, or ask the query again with --sql and --connection"
    where = place_of(model)
    if path is None:
        raise UsageError("data-needed", "the model does not say which file it was fitted on", hint=hint, where=where)
    if not all(Path(file).exists() for file in ([path] if isinstance(path, str) else path)):
        raise NotFound(
            "file-not-found", "the file that the model was fitted on is no longer there", hint=hint, where=where
        )
    return path
