"""The model directory: weights, manifest and card, written whole or not at all.

    model.safetensors   the weights
    manifest.json       everything else that the model is: configs with reasons, columns, versions, metrics
    card.md             the same for a reader

A new directory is written beside the old one, flushed to disk, and swapped in by renames. Between the two renames the
old model stands under its backup name, where `load` finds it: whatever fails, and whenever, a good model is left.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from tsx.errors import DataError, NotFound
from tsx.io.atomic import not_writable
from tsx.store.card import model_card
from tsx.store.from_json import NotOfType
from tsx.store.manifest import Manifest
from tsx.store.migrations import FORMAT_VERSION, MIGRATIONS, migrate

WEIGHTS, MANIFEST, CARD = "model.safetensors", "manifest.json", "card.md"


def check_place(directory: Path) -> None:
    """That a model may be written to `directory`, before hours are spent on one.

    Raises DataError `not-a-model` where something else stands there, UsageError `file-not-writable`.
    """
    if directory.exists() and not (directory / MANIFEST).is_file():
        if directory.is_dir() and not any(directory.iterdir()):
            return
        raise DataError(
            "not-a-model",
            "the path exists and holds something else than a model; it is left as it is",
            hint="choose another --model directory",
            where=str(directory),
        )
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        probe = _beside(directory, f"{os.getpid()}.new")
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        raise not_writable(directory, error) from None


def save(directory: Path, weights: dict[str, Tensor], manifest: Manifest) -> None:
    """Write the model, replacing an older one in `directory`. Raises as `check_place` does."""
    check_place(directory)
    content = {"format_version": FORMAT_VERSION, **manifest.to_dict()}
    fresh, backup = _beside(directory, f"{os.getpid()}.new"), _beside(directory, "backup")
    try:
        fresh.mkdir()
        contiguous = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
        _write(fresh / WEIGHTS, to_safetensors(contiguous))
        _write(fresh / MANIFEST, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())
        _write(fresh / CARD, model_card(manifest).encode())
        _flush(fresh)
        if directory.exists():
            shutil.rmtree(backup, ignore_errors=True)
            directory.rename(backup)
        fresh.rename(directory)
        _flush(directory.parent)
        shutil.rmtree(backup, ignore_errors=True)
    except OSError as error:
        raise not_writable(directory, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def load(directory: Path) -> tuple[dict[str, Tensor], Manifest]:
    """The weights (on the CPU) and the manifest, brought to the present format.

    Raises NotFound `model-not-found`; DataError `model-damaged`, which names a wrong field of the manifest,
    `model-version`; ConfigError `config-unknown-field`.
    """
    if not directory.exists() and _beside(directory, "backup").is_dir():
        directory = _beside(directory, "backup")
    if not (directory / MANIFEST).is_file():
        raise NotFound(
            "model-not-found",
            "no model here",
            hint="train one with `tsx fit DATA`, or name its directory with --model",
            where=str(directory),
        )
    try:
        content = json.loads((directory / MANIFEST).read_bytes())
        weights = parse_safetensors((directory / WEIGHTS).read_bytes())
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise damaged(directory, f"the model cannot be read: {type(error).__name__}") from error
    version = content.get("format_version") if isinstance(content, dict) else None
    if type(version) is not int:
        raise damaged(directory, "the manifest has no format version")
    if version != FORMAT_VERSION and version not in MIGRATIONS:
        raise DataError(
            "model-version",
            f"the model has format {version}; this tsx reads formats {min(MIGRATIONS)} to {FORMAT_VERSION}",
            hint="train it again with `tsx fit`, or install the tsx that wrote it",
            where=str(directory),
        )
    content, weights = migrate(content, weights)
    try:
        return weights, Manifest.from_dict(content)
    except NotOfType as error:
        raise damaged(directory, f"the manifest was changed: {error}") from error


def damaged(directory: str | Path, message: str) -> DataError:
    """The error `model-damaged`."""
    return DataError("model-damaged", message, hint="train it again with `tsx fit`", where=str(directory))


def _beside(directory: Path, suffix: str) -> Path:
    return directory.parent / f".{directory.name}.{suffix}"


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush(directory: Path) -> None:
    """Make the directory's own entries durable; systems that cannot open a directory do without."""
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
