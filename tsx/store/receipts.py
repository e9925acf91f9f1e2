"""A folder of results, made part by part, each with a receipt.

    FOLDER/_parts.json               what is being made: the parts by name, and the key of the run
    FOLDER/part-00003.parquet        the result of one part
    FOLDER/_receipts/part-00003.json what it was made from, and its SHA-256; written last

A part is done where its receipt agrees with the input, the model, the settings, the program, and with the bytes of the
result as they are now. Names that begin with _ are no parts, so that the folder is a table as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tsx.errors import DataError, NotFound, TsxError
from tsx.io.atomic import atomic_write, not_writable
from tsx.store.from_json import from_json
from tsx.store.layout import read_file
from tsx.wording import count, verb

T = TypeVar("T")

FORMAT = 1
PLAN, RECEIPTS = "_parts.json", "_receipts"


@dataclass(frozen=True)
class Plan:
    """What a folder is to hold.

    key    of everything else that all parts are made with: the verb, its settings, the program
    model_sha256   of the manifest of the model; None where the verb reads none
    ids    the columns of the id, by which merged parts are sorted
    parts  their names, in order
    """

    format: int
    key: str
    verb: str
    model_sha256: str | None
    program: str
    ids: tuple[str, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Receipt:
    """How one part came to be.

    input_sha256   of the bytes of the table that was read, with the share of it where only one was read
    output         name of the file or folder; its SHA-256, of a folder that of the index of its files
    program        the version of `tsx`
    seconds        of this part, beside which others may have been done
    peak_memory    bytes resident in the process, at most, when it was over
    facts          what the verb says of the part; no value of a row
    """

    format: int
    part: str
    key: str
    model_version: str | None
    model_sha256: str | None
    input_sha256: str
    input_bytes: int
    output: str
    output_sha256: str
    output_bytes: int
    rows: int
    series: int
    program: str
    seconds: float
    peak_memory: int
    facts: dict[str, Any] = field(default_factory=dict)


def file_digest(path: Path) -> tuple[str, int]:
    """SHA-256 and length of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), os.fstat(file.fileno()).st_size


def key_of(content: Any) -> str:
    """The SHA-256 of plain data."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def write_plan(folder: Path, plan: Plan) -> None:
    """Say what the folder is to hold. What an earlier run wrote there and this one does not is removed, where it is as
    it was written. Raises WriteError `file-not-writable`."""
    before = read_plan(folder)
    if before == plan:
        return
    for name in () if before is None else before.parts:
        receipt = read_receipt(folder, name)
        if name not in plan.parts and receipt is not None and is_as_written(folder, receipt):
            _remove(folder / receipt.output, folder / RECEIPTS / f"{name}.json")
    _write(folder / PLAN, asdict(plan))


def read_plan(folder: Path) -> Plan | None:
    """None where there is none that can be read."""
    return _read(folder / PLAN, Plan)


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Raises WriteError `file-not-writable`."""
    try:
        (folder / RECEIPTS).mkdir(exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error) from None
    _write(folder / RECEIPTS / f"{receipt.part}.json", asdict(receipt))


def read_receipt(folder: Path, part: str) -> Receipt | None:
    """None where there is none that can be read."""
    return _read(folder / RECEIPTS / f"{part}.json", Receipt)


def is_as_written(folder: Path, receipt: Receipt) -> bool:
    """Whether the result of a part has the bytes that its receipt says."""
    try:
        return file_digest(folder / receipt.output) == (receipt.output_sha256, receipt.output_bytes)
    except OSError:
        return False


def receipts_of(folder: Path) -> tuple[Plan, tuple[Receipt, ...]]:
    """The plan of a folder whose parts are all there, and their receipts in its order.

    Raises NotFound `parts-not-found`; DataError `parts-incomplete`, `parts-mixed`, `part-changed`.
    """
    plan = read_plan(folder)
    if plan is None:
        raise NotFound(
            "parts-not-found",
            f"the folder has no {PLAN}, so nothing says which parts belong to it",
            hint="name a folder that a run with --out FOLDER/ has written",
            where=str(folder),
        )
    found = [(name, read_receipt(folder, name)) for name in plan.parts]
    missing = [name for name, receipt in found if receipt is None]
    whole = len(plan.parts)
    if missing:
        raise DataError(
            "parts-incomplete",
            f"{len(missing):,} of {count(whole, 'part')} {verb(len(missing), 'is')} not done, the first {missing[0]}",
            hint="run the same command again; it does only what is left",
            where=str(folder),
        )
    receipts = tuple(receipt for _, receipt in found if receipt is not None)
    _check_all(
        folder, receipts, [one.part for one in receipts if (one.key, one.model_sha256) != (plan.key, plan.model_sha256)]
    )
    other = [one.part for one in receipts if not is_as_written(folder, one)]
    if other:
        raise changed(folder, other, whole)
    return plan, receipts


def changed(folder: Path, parts: list[str], whole: int) -> DataError:
    """The error `part-changed`, of some parts of so many."""
    return DataError(
        "part-changed",
        f"{len(parts):,} of {count(whole, 'part')} {verb(len(parts), 'is')} not as written, the first {parts[0]}",
        hint="run the same command again; it makes these anew",
        where=str(folder),
    )


def _check_all(folder: Path, receipts: tuple[Receipt, ...], other: list[str]) -> None:
    """Raises DataError `parts-mixed`."""
    if other:
        raise DataError(
            "parts-mixed",
            f"{len(other):,} of {count(len(receipts), 'part')} {verb(len(other), 'was')} made with another model, "
            f"other settings or another version of tsx, the first {other[0]}",
            hint="run the same command again; it makes these anew",
            where=str(folder),
        )


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        content = json.loads(read_file(path))
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            return None
        return from_json(kind, content)
    except (OSError, ValueError, RecursionError, TsxError):
        return None


def _write(path: Path, content: dict[str, Any]) -> None:
    with atomic_write(path) as file:
        file.write((json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def _remove(*paths: Path) -> None:
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise not_writable(path, error) from None
