"""Bytes of a file, of standard input, of a gzip or zstd stream: never more than fits."""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from tsx.io.failures import SHARE, available_memory, too_large, unreadable

GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
CHUNK = 2**20
RATIO = 200
"""A table shrinks 3 to 20 times; what shrinks more than this, beyond `SMALL` bytes, was made to harm."""
SMALL = 64 * 2**20

Bytes = Path | bytes
"""Where bytes are: in a file, or in memory."""


def open_bytes(source: Bytes) -> IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def size_of(source: Bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def first_bytes(source: Bytes, count: int) -> bytes:
    with open_bytes(source) as file:
        return file.read(count)


def chunks(source: Bytes, start: int = 0) -> Iterator[bytes]:
    """The bytes from `start` on, a piece at a time."""
    with open_bytes(source) as file:
        file.seek(start)
        while chunk := file.read(CHUNK):
            yield chunk


def stdin_bytes(where: str) -> bytes:
    """All of standard input. Error: DataError `file-too-large`."""
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        return b""
    return gathered(stream, where)


def gathered(stream: Any, where: str) -> bytes:
    """All of a stream. Error: DataError `file-too-large`."""
    return _gather(stream, available_memory() // SHARE, where, "more bytes come than")


def is_compressed(head: bytes) -> bool:
    return head[:2] == GZIP or head[:4] == ZSTD


def decompressed(source: Bytes, where: str) -> bytes:
    """What a gzip or zstd stream holds. Errors: DataError `file-unreadable`, `file-too-large` (a bomb)."""
    size = size_of(source)
    limit = min(available_memory() // SHARE, max(RATIO * size, SMALL))
    what = f"its {size:,} bytes are compressed from more than"
    with open_bytes(source) as file:
        is_gzip = file.read(2) == GZIP
        file.seek(0)
        try:
            return _gather(_unzstd(file) if not is_gzip else gzip.GzipFile(fileobj=file), limit, where, what)
        except (OSError, EOFError, zlib.error):
            name = "gzip" if is_gzip else "zstd"
            raise unreadable(where, f"its {name} data is damaged or ends early", "check that it is complete") from None


def _unzstd(file: IO[bytes]) -> Any:
    import pyarrow as pa  # type: ignore[import-untyped]

    return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")


def _gather(stream: Any, limit: int, where: str, what: str) -> bytes:
    """Read `stream` to its end, but no more than `limit` bytes."""
    whole = io.BytesIO()
    while chunk := stream.read(CHUNK):
        whole.write(chunk)
        if whole.tell() > limit:
            raise too_large(where, f"{what} {limit:,} bytes")
    return whole.getvalue()
