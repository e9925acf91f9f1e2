"""Pseudonyms in place of ids: the same id has the same one under the same key, and nobody without the key finds it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from tsx.errors import ConfigError
from tsx.io.failures import unreadable
from tsx.panel.panel import Panel

SHORTEST_KEY = 16
"""Bytes that a key has at least."""
DIGITS = 16


def pseudonymous(panel: Panel, key_file: str | Path | None) -> tuple[Panel, np.ndarray]:
    """The panel under pseudonyms, in their order; and which series (N) of the panel each of its series is.

    A pseudonym is the first 16 hexadecimal digits of the HMAC-SHA256 (RFC 2104) of the id's text under the bytes of the
    key file. Without one the key is made of the panel's own values, so that it is another one for every table. Of an id
    of several columns, all columns hold the pseudonym of the whole. Findings are `unplaced`.

    Raises DataError `file-unreadable`, ConfigError `key-too-short`.
    """
    key = _key_of(panel) if key_file is None else _read_key(Path(key_file))
    names = pl.Series([_pseudonym(key, text) for text in _texts(panel.ids)], dtype=pl.String)
    order = names.arg_sort().to_numpy()
    ids = names.gather(order)
    if isinstance(panel.ids.dtype, pl.Struct):
        ids = pl.DataFrame(dict.fromkeys(panel.ids.struct.fields, ids)).to_struct()
    rows = np.diff(panel.offsets)[order]
    offsets = np.concatenate([[0], np.cumsum(rows)])
    places = np.arange(offsets[-1]) + np.repeat(panel.offsets[:-1][order] - offsets[:-1], rows)
    return replace(
        unplaced(panel),
        values=panel.values[places],
        codes=panel.codes[places],
        offsets=offsets.astype(np.int64),
        lengths=panel.lengths[order],
        centers=panel.centers[order],
        ids=ids,
        starts=panel.starts.gather(order),
        static_values=panel.static_values[order],
        static_labels=panel.static_labels.select(pl.all().gather(order)),
        labels=None if panel.labels is None else panel.labels.gather(order),
        groups=None if panel.groups is None else panel.groups.gather(order),
    ), order


def unplaced(panel: Panel) -> Panel:
    """The panel whose findings quote nothing and name no file, only columns of the table."""
    schema = panel.schema.as_read
    columns = {schema.time, *schema.ids, *schema.columns, *panel.schema.channels}
    findings = (
        replace(finding, values="", where=finding.where if finding.where in columns else "")
        for finding in panel.findings
    )
    return replace(panel, findings=tuple(findings))


def _texts(ids: pl.Series) -> list[str]:
    record = isinstance(ids.dtype, pl.Struct)
    return list((ids.struct.json_encode() if record else ids.cast(pl.String)).fill_null(""))


def _pseudonym(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:DIGITS]


def _key_of(panel: Panel) -> bytes:
    digest = hashlib.sha256()
    for part in (panel.values, panel.centers):
        digest.update(np.ascontiguousarray(part).view(np.uint8).data)
    return digest.digest()


def _read_key(path: Path) -> bytes:
    try:
        key = path.read_bytes()
    except OSError as error:
        why = f"the system says: {error.strerror or 'input/output error'}"
        raise unreadable(str(path), why, "name a file with a key") from None
    if len(key) < SHORTEST_KEY:
        raise ConfigError(
            "key-too-short",
            f"the key of the pseudonyms has {len(key)} bytes; at least {SHORTEST_KEY} cannot be guessed",
            hint=f"make one: head -c 32 /dev/urandom > {path}",
            where=str(path),
        )
    return key
