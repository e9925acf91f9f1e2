"""The versions of a model as `tsx models` shows, chooses, removes and compares them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tsx.errors import DataError, NotFound, TsxError
from tsx.io.atomic import not_writable
from tsx.io.remote import is_uri, place_of
from tsx.store.from_json import NotOfType
from tsx.store.layout import (
    FILES,
    MANIFEST,
    VERSION,
    WEIGHTS,
    Pointer,
    damaged,
    digest,
    has_manifest,
    models_command,
    read_file,
    read_pointer,
    versions,
)
from tsx.store.lock import check_here, writing_to
from tsx.store.manifest import Manifest, read_manifest
from tsx.store.migrations import migrate
from tsx.store.snapshot import called_by, model_not_found, parse_manifest
from tsx.store.versions import remove_old, use


@dataclass(frozen=True)
class Version:
    """One version of a model, as far as it can be read.

    path      where its files lie; of a model in an object store a copy, which is gone by now
    place     where its files lie, as a reader finds them
    written   when its manifest was written, as the file system says
    manifest  None where it is damaged; `trouble` then says why
    """

    name: str
    path: Path
    place: str
    in_use: bool
    written: datetime
    manifest: Manifest | None
    trouble: str = ""

    @property
    def skill(self) -> float | None:
        """The skill against the best simple forecast, on the rows held out."""
        verdict = self.manifest.metrics.verdict if self.manifest else None
        return None if verdict is None else verdict.skill

    @property
    def coverage(self) -> float | None:
        """The coverage of the network's 80 % intervals there."""
        summary = self.manifest.metrics.summary if self.manifest else None
        coverage = summary[0].get("coverage_80") if summary else None
        return coverage if isinstance(coverage, float) else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able: what is known of it, and where its files lie."""
        data = self.manifest.data if self.manifest else None
        return {
            "version": self.name,
            "in_use": self.in_use,
            "written": self.written.isoformat(timespec="seconds"),
            "data": None if data is None else {"steps": data.steps, "series": data.series, "sha256": data.sha256},
            "skill": self.skill,
            "coverage_80": self.coverage,
            "damaged": self.trouble or None,
            "files": {name: f"{self.place}/{name}" for name in FILES},
        }


@dataclass(frozen=True)
class Difference:
    """Something that two versions do not have in common; None: one of them does not have it."""

    section: str
    name: str
    before: Any
    after: Any


def list_versions(directory: str | Path) -> tuple[Version, ...]:
    """All versions of a model, the oldest first; of one in an object store that in use. One of 0.1.0 has one version.

    Raises NotFound `model-not-found`."""
    with called_by(directory) as folder:
        found = _listed(folder)
    if not is_uri(directory):
        return found
    place = place_of(directory).rstrip("/")
    return tuple(replace(one, place="/".join((place, *one.path.relative_to(folder).parts))) for one in found)


def _listed(place: Path) -> tuple[Version, ...]:
    while True:
        pointer = _pointer(place)
        folders = list(versions(place)) or ([place] if has_manifest(place) else [])
        if not folders:
            if _pointer(place) != pointer:  # another run wrote a version and removed the last one meanwhile
                continue
            raise model_not_found(place)
        try:
            return tuple(_version(folder, pointer) for folder in folders)
        except FileNotFoundError:  # another run has removed one since they were found
            continue


def _pointer(place: Path) -> Pointer | None:
    try:
        return read_pointer(place)
    except DataError:  # it names no version: none is in use
        return None


def _version(folder: Path, pointer: Pointer | None) -> Version:
    """Raises FileNotFoundError where the version is no longer there."""
    written = datetime.fromtimestamp((folder / MANIFEST).stat().st_mtime, UTC)
    of_0_1_0 = VERSION.fullmatch(folder.name) is None
    in_use = of_0_1_0 or (pointer is not None and pointer.version == folder.name)
    name = "v1" if of_0_1_0 else folder.name
    try:
        return Version(name, folder, str(folder), in_use, written, _manifest(folder, pointer if in_use else None))
    except TsxError as error:
        for gone in (MANIFEST,) if of_0_1_0 else (WEIGHTS, MANIFEST):
            (folder / gone).stat()
        return Version(name, folder, str(folder), in_use, written, None, error.message)


def _manifest(folder: Path, pointer: Pointer | None) -> Manifest:
    """The manifest of a version whose files are as they were written. Raises DataError."""
    content = read_file(folder / MANIFEST)
    if pointer is not None and digest(content) != pointer.sha256:
        raise damaged(folder, f"{MANIFEST} is not as it was written")
    document, _ = migrate(parse_manifest(folder, content), {})
    try:
        manifest = read_manifest(document)
        for name, stored in manifest.files.items():
            found = read_file(folder / name)
            if (len(found), digest(found)) != (stored.bytes, stored.sha256):
                raise damaged(folder, f"{name} is not as it was written")
    except NotOfType as error:
        raise damaged(folder, f"the manifest was changed: {error}") from error
    except FileNotFoundError as error:
        raise damaged(folder, f"{Path(error.filename or str(error)).name} is missing") from error
    return manifest


def find_version(directory: str | Path, name: str) -> Version:
    """The version of this name. Raises NotFound `version-not-found`, `model-not-found`."""
    found = list_versions(directory)
    for version in found:
        if version.name == name:
            return version
    raise NotFound(
        "version-not-found",
        f"the model has no version {name}; it has {', '.join(version.name for version in found)}",
        hint=f"see them with `{models_command(directory)}`",
        where=place_of(directory),
    )


def version_in_use(directory: str | Path) -> Version:
    """The version that CURRENT names. Raises NotFound `version-not-found`, `model-not-found`."""
    for version in list_versions(directory):
        if version.in_use:
            return version
    raise NotFound(
        "version-not-found",
        "no version of the model is in use",
        hint=f"choose one: `{models_command(directory, 'rollback', 'v1')}`",
        where=place_of(directory),
    )


def version_before(directory: str | Path) -> Version:
    """The newest version older than the one in use; where none is, the newest. Raises as `find_version`."""
    found = list_versions(directory)
    at = next((number for number, version in enumerate(found) if version.in_use), len(found))
    if at == 0:
        raise NotFound(
            "version-not-found",
            "the model has no version before the one in use",
            hint=f"see its versions with `{models_command(directory)}`, or fit anew into another --model directory",
            where=place_of(directory),
        )
    return found[at - 1]


def rollback(directory: str | Path, name: str | None = None, wait: float = 0) -> Version:
    """Put an earlier version in use: that of this name, or the one before. Nothing is removed.

    Raises DataError `model-damaged` where its files are not as they were written, and as `find_version` and
    `writing_to` do.
    """
    check_here(directory)
    _chosen(directory, name)
    with writing_to(directory, wait) as place:
        version = _chosen(place, name)  # again: another run may have written in the meantime
        if version.manifest is None:
            raise damaged(version.path, version.trouble)
        if not version.in_use:
            use(place, version.path)
    return version


def _chosen(directory: str | Path, name: str | None) -> Version:
    return version_before(directory) if name is None else find_version(directory, name)


def prune(directory: str | Path, keep: int, wait: float = 0) -> list[str]:
    """Remove all versions but the newest `keep` and the one in use; gives their names. Raises as `writing_to`."""
    check_here(directory)
    list_versions(directory)
    with writing_to(directory, wait) as place:
        try:
            return remove_old(place, keep)
        except OSError as error:
            raise not_writable(directory, error) from None


def differences(before: Version, after: Version) -> tuple[Difference, ...]:
    """What differs in settings, network, training, columns, data, metrics, and decisions with their reasons.

    Raises DataError `model-damaged`.
    """
    first, second = (_facts(version) for version in (before, after))
    places = list(dict.fromkeys([*first, *second]))
    return tuple(
        Difference(*place, first.get(place), second.get(place))
        for place in places
        if first.get(place) != second.get(place)
    )


def _facts(version: Version) -> dict[tuple[str, str], Any]:
    """Everything that is compared, by section and name; the path of the data is not shown."""
    if version.manifest is None:
        raise damaged(version.path, version.trouble)
    content = version.manifest.to_dict()
    sections = {name: content[name] for name in ("versions", "settings", "network", "training", "schema", "reading")}
    sections["data"] = {name: content["data"].get(name) for name in ("steps", "series", "bytes", "sha256")}
    metrics = version.manifest.metrics
    sections["metrics"] = {
        **(metrics.summary[0] if metrics.summary else {}),
        "verdict": metrics.verdict.sentence if metrics.verdict else metrics.reason,
    }
    sections["decisions"] = {each.name: each.value for each in version.manifest.decisions}
    sections["reasons"] = {each.name: each.reason for each in version.manifest.decisions}
    return {(section, name): value for section, values in sections.items() for name, value in values.items()}
