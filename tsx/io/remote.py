"""Tables that are no files here: those of object stores or behind https, Delta and Iceberg tables.

What opens a store (keys, tokens, signatures) comes from the environment, or from the table `[storage]` of the settings
file, and never leaves this module and `objects`: `place_of` is all that a message may name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import urlsplit

from tsx.errors import MissingDependency
from tsx.io.failures import collecting, not_found

if TYPE_CHECKING:
    import polars as pl

STORES = ("s3", "s3a", "gs", "gcs", "az", "azure", "adl", "abfs", "abfss", "http", "https")
"""Beginnings of URIs that Polars reads Parquet from."""
ONE_SLASH = re.compile(rf"\A({'|'.join(STORES)}):/(?!/)", re.IGNORECASE)
DELTA, ICEBERG = "delta:", "iceberg:"
"""Before the place of such a table; a folder here is recognised without."""

_options: ContextVar[Mapping[str, str]] = ContextVar("_options")


@contextmanager
def stores_opened_with(options: Mapping[str, Any]) -> Iterator[None]:
    """Within the block object stores are opened with these options of Polars, beside those of the environment."""
    token = _options.set({str(name): str(value) for name, value in options.items()})
    try:
        yield
    finally:
        _options.reset(token)


def open_stores_with(options: Mapping[str, Any]) -> None:
    """As `stores_opened_with`, for the rest of the process."""
    _options.set({str(name): str(value) for name, value in options.items()})


def options() -> dict[str, str] | None:
    """The options that object stores are opened with; None: those of the environment alone."""
    return dict(_options.get({})) or None


def is_uri(source: object) -> bool:
    """Whether this is the place of something in an object store or behind https."""
    return isinstance(source, str) and "://" in source and source.partition("://")[0].casefold() in STORES


def is_remote(source: object) -> TypeGuard[str | Path]:
    """Whether this is a table that this module reads."""
    if not isinstance(source, str | Path):
        return False
    text = str(source)
    return is_uri(source) or text.startswith((DELTA, ICEBERG)) or _is_delta(Path(text)) or _is_iceberg(Path(text))


def is_object(source: str | Path) -> bool:
    """Whether this is a single object of a store or behind https that is fetched whole: all but Parquet, folders and
    patterns, which Polars reads where they lie."""
    path = urlsplit(str(source)).path
    return is_uri(source) and not (path.endswith(("/", ".parquet", ".pq")) or "*" in path)


def place_of(source: str | Path) -> str:
    """The place without users, passwords, signatures and tokens; also of one that `Path` took a slash from."""
    kind, place = _kind_and_place(source)
    text = ONE_SLASH.sub(r"\1://", place)
    if "://" not in text:
        return kind + text
    parts = urlsplit(text)
    # of abfss://CONTAINER@ACCOUNT/… the part before the @ is no secret, but a password would stand in the same place
    return f"{kind}{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def opened_as(place: str) -> str:
    """A place as all libraries know it: Polars takes gcs:// for gs://, others do not."""
    scheme, _, rest = place.partition("://")
    return f"gs://{rest}" if scheme.casefold() == "gcs" else place


def absolute(source: str | Path) -> str:
    """The place as a process in another folder understands it: what lies here by its whole path."""
    kind, place = _kind_and_place(source)
    return kind + (place if "://" in place else str(Path(place).resolve()))


def _kind_and_place(source: str | Path) -> tuple[str, str]:
    """`delta:`, `iceberg:` or nothing, and what follows."""
    text = str(source)
    kind = next((each for each in (DELTA, ICEBERG) if text.startswith(each)), "")
    return kind, text.removeprefix(kind)


def scan_remote(source: str | Path) -> pl.LazyFrame:
    """The rows of a table that `is_remote` and no single object of another format, read when they are asked for.

    Errors: MissingDependency `package-missing`;
    NotFound `file-not-found`; DataError `file-unreadable`.
    """
    import polars as pl

    where, text = place_of(source), str(source)
    with collecting(where, source=True), _reaching(where):
        if text.startswith(DELTA) or (not is_uri(text) and _is_delta(Path(text))):
            need("deltalake", "delta")
            return _known(pl.scan_delta(opened_as(text.removeprefix(DELTA)), storage_options=options()))
        if text.startswith(ICEBERG) or (not is_uri(text) and _is_iceberg(Path(text))):
            need("pyiceberg", "iceberg")
            os.environ.setdefault("POLARS_ICEBERG_PLANNER", "pyiceberg")  # else Polars warns that there is another one
            place = opened_as(_metadata_of(text.removeprefix(ICEBERG)))
            return _known(pl.scan_iceberg(place, storage_options=options()))
        return _known(pl.scan_parquet(opened_as(text), storage_options=options()))


def _known(rows: pl.LazyFrame) -> pl.LazyFrame:
    """The rows, whose columns are asked for now, so that what is not there is said here."""
    rows.collect_schema()
    return rows


@contextmanager
def _reaching(where: str) -> Iterator[None]:
    """What the libraries say of a place that is not there, or not open to this user, holds keys and addresses."""
    from polars.exceptions import ComputeError

    try:
        yield
    except (OSError, ComputeError) as error:
        lowered = str(error).casefold()
        missing = any(words in lowered for words in ("not found", "404", "no such", "expanded paths were empty"))
        if isinstance(error, FileNotFoundError) or missing:
            raise not_found(where) from None
        raise
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in ("deltalake", "_internal", "pyiceberg"):
            raise
        raise not_found(where) from None


def need(package: str, extra: str) -> None:
    """Raises MissingDependency `package-missing` where a package of one of the extras is not installed."""
    if find_spec(package) is None:
        raise MissingDependency(
            "package-missing",
            f"the Python package {package} is not installed",
            hint=f'pip install "tsx-forecast[{extra}]"',
            where=package,
        )


def _is_delta(folder: Path) -> bool:
    return os.path.isdir(folder / "_delta_log")


def _is_iceberg(folder: Path) -> bool:
    return os.path.isdir(folder / "metadata") and any((folder / "metadata").glob("*.metadata.json"))


def _metadata_of(place: str) -> str:
    """The newest metadata of an Iceberg table: a file that is named, or the one in its folder that was written last."""
    if is_uri(place) or place.endswith(".json"):
        return place
    found = sorted(
        (Path(place) / "metadata").glob("*.metadata.json"), key=lambda path: (path.stat().st_mtime, path.name)
    )
    if not found:
        raise not_found(place)
    return str(found[-1].resolve())
