"""Whether a Parquet file's pages are what its footer says.

Polars reserves memory for as many values as a page's header claims, and the process dies when a damaged one claims
more than there is. So all page headers are read before: a few bytes for about a megabyte of data. Their form is
Thrift's compact protocol, https://github.com/apache/parquet-format (PageHeader in parquet.thrift).
"""

from __future__ import annotations

from itertools import product
from typing import IO, Any

from tsx.io.compression import Bytes, open_bytes, size_of

HEADER_BYTES = 2**12
LONGEST_HEADER = 2**24
"""A header can hold the smallest and the largest value of its page."""
MOST_CHUNKS = 50_000
"""Above this the headers of the first and the last chunks have to do."""
DICTIONARY = 2
_STRUCT, _LIST, _SET, _BINARY = 12, 9, 10, 8

Fields = dict[int, Any]


class Damaged(Exception):
    """The file is not what its footer says."""


def check_pages(source: Bytes) -> int:
    """Verify footer and page headers; return the number of values of the largest column chunk. Raises Damaged."""
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    size, most = size_of(source), 0
    with open_bytes(source) as file:
        try:
            footer = pq.read_metadata(file)
            chunks = list(product(range(footer.num_row_groups), range(footer.num_columns)))
            if sum(footer.row_group(k).num_rows for k in range(footer.num_row_groups)) != footer.num_rows:
                raise Damaged
            for group, column in _some(chunks):
                chunk = footer.row_group(group).column(column)
                most = max(most, chunk.num_values)
                _check_chunk(file, chunk, size)
        except (pa.ArrowException, OSError, ValueError, OverflowError, IndexError, KeyError, TypeError, RecursionError):
            raise Damaged from None
    return most


def _some(chunks: list[tuple[int, int]]) -> list[tuple[int, int]]:
    half = MOST_CHUNKS // 2
    return chunks if len(chunks) <= MOST_CHUNKS else chunks[:half] + chunks[-half:]


def _check_chunk(file: IO[bytes], chunk: Any, size: int) -> None:
    """One column of one row group: its pages follow each other and hold the values that the footer says."""
    starts = (chunk.data_page_offset, chunk.dictionary_page_offset if chunk.has_dictionary_page else None)
    position = min(start for start in starts if start is not None and start > 0)
    end = position + chunk.total_compressed_size
    if not 4 <= position <= end <= size or min(chunk.num_values, chunk.total_uncompressed_size) < 0:
        raise Damaged
    values = 0
    while values < chunk.num_values:
        header, length = _header(file, position, end)
        packed, unpacked = header[3], header[2]
        kind = next(header[field] for field in (5, 7, 8) if field in header)
        position += length + packed
        if position > end or min(packed, unpacked, kind[1]) < 0 or unpacked > chunk.total_uncompressed_size:
            raise Damaged
        if header[1] == DICTIONARY:
            if kind[1] > unpacked:
                raise Damaged
        elif 8 in header and not 0 <= kind[5] + kind[6] <= packed:
            raise Damaged
        else:
            values += kind[1]
    if values != chunk.num_values:
        raise Damaged


def _header(file: IO[bytes], position: int, end: int) -> tuple[Fields, int]:
    """A page's header and its length in bytes."""
    length = HEADER_BYTES
    while True:
        file.seek(position)
        data = file.read(min(length, end - position))
        try:
            header, used = _struct(data, 0)
            if not {1, 2, 3} <= header.keys() or not header.keys() & {5, 7, 8}:
                raise Damaged
            return header, used
        except IndexError:
            if len(data) < length or length >= LONGEST_HEADER:
                raise Damaged from None
            length *= 16


def _struct(data: bytes, at: int) -> tuple[Fields, int]:
    fields: Fields = {}
    number = 0
    while byte := data[at]:
        at += 1
        if byte >> 4:
            number += byte >> 4
        else:
            number, at = _signed(data, at)
        fields[number], at = _value(data, at, byte & 15)
    return fields, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _signed(data, at)
    if kind == 7:
        return None, _inside(data, at + 8)
    if kind == _BINARY:
        length, at = _varint(data, at)
        return None, _inside(data, at + length)
    if kind == _STRUCT:
        return _struct(data, at)
    if kind in (_LIST, _SET):
        return _items(data, at)
    raise Damaged


def _items(data: bytes, at: int) -> tuple[None, int]:
    count, kind, at = data[at] >> 4, data[at] & 15, at + 1
    if count == 15:
        count, at = _varint(data, at)
    for _ in range(count):
        at = at + 1 if kind in (1, 2) else _value(data, at, kind)[1]
        _inside(data, at - 1)
    return None, at


def _inside(data: bytes, at: int) -> int:
    if at > len(data):
        raise IndexError
    return at


def _signed(data: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 63:
            raise Damaged
