"""A model written as a new version of its directory, and the version in use read back.

A version is written file by file, each whole and flushed to the disk, the weights last. It is in use once CURRENT names
it, which is replaced in one step: whatever fails, and whenever, the version before stays in use.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from tsx.io.atomic import for_owner_alone, not_writable
from tsx.spec.verbs import KEPT
from tsx.store.card import model_card
from tsx.store.from_json import NotOfType
from tsx.store.layout import CARD, MANIFEST, WEIGHTS, damaged, digest
from tsx.store.lock import writing_to
from tsx.store.manifest import ClassifierManifest, Manifest, StoredFile, StoredVersion, read_manifest
from tsx.store.migrations import FORMAT_VERSION, migrate
from tsx.store.snapshot import read_snapshot
from tsx.store.versions import Put, adopt, publish, remove_old


def save(
    directory: str | Path,
    weights: dict[str, Tensor],
    manifest: Manifest | ClassifierManifest,
    keep: int = KEPT,
    put: Put = publish,
) -> str:
    """Write the model as a new version, put it in use, and remove all but the newest `keep`. Gives its name.

    `put`: `publish`, or `add` where the version in use is to stay in use. The files of a private model are for their
    owner alone. A model that 0.1.0 wrote becomes the first version. Raises as `writing_to` does.
    """
    mode = for_owner_alone() if manifest.settings.get("private") else nullcontext()
    with mode, writing_to(directory) as place:
        try:
            contiguous = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
            files = {WEIGHTS: to_safetensors(contiguous), CARD: model_card(manifest).encode()}
            stored = {name: StoredFile(len(content), digest(content)) for name, content in files.items()}
            content = {"format_version": FORMAT_VERSION, **replace(manifest, files=stored).to_dict()}
            files[MANIFEST] = (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()
            adopt(place)
            version = put(place, files)
            remove_old(place, keep)
        except OSError as error:
            raise not_writable(directory, error) from error
    return version


def load(directory: str | Path) -> tuple[dict[str, Tensor], Manifest | ClassifierManifest]:
    """The weights (on the CPU) and the manifest of the version in use, brought to the present format.

    Raises NotFound `model-not-found`; DataError `model-damaged`, which names a wrong field of the manifest,
    `model-version`, `file-unreadable`; ConfigError `config-unknown-field`.
    """
    snapshot = read_snapshot(Path(directory))
    try:
        weights = parse_safetensors(snapshot.weights)
    except (ValueError, SafetensorError) as error:
        raise damaged(snapshot.folder, f"{WEIGHTS} cannot be read: {type(error).__name__}") from error
    content, weights = migrate(snapshot.content, weights)
    try:
        stored = StoredVersion(snapshot.version, snapshot.sha256)
        return weights, replace(read_manifest(content), stored=stored)
    except NotOfType as error:
        raise damaged(snapshot.folder, f"the manifest was changed: {error}") from error
