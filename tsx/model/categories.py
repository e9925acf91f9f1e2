"""Categories that a network knows by number: static covariates in words and, of few long series, which one it is.

How a vocabulary writes what it knows:

    ward              a word as it stands in the table. Only words that enough series share are known, since whoever
                      has the model can read them.
    place:17/1612     the place of a series' id, which is a remainder of its hash. The places of the known series
                      differ, but every sixteenth id that one can think of has one of them: the ids cannot be found by
                      trying all that there could be.
    sha256:0f3a...    the hash of a word or an id, in a model of format 3 and before
    word:sha256:...   a word that begins like one of these
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection
from itertools import count

import numpy as np
import polars as pl

from tsx.panel.panel import Panel

FEWEST_SERIES = 11
"""Series that must share a word for it to be known."""
PLACES = 16
"""Places for each series, at least."""
PLACE, HASH, WORD = "place:", "sha256:", "word:"
FORMS = (PLACE, HASH, WORD)
PLACED = re.compile(rf"{PLACE}\d+/([1-9]\d{{0,8}})")


def labels_of(panel: Panel, series_embedding: bool) -> pl.DataFrame:
    """(N) rows: static covariates in words and, with a `series_embedding`, the series' id."""
    if not series_embedding:
        return panel.static_labels
    record = isinstance(panel.ids.dtype, pl.Struct)
    ids = (panel.ids.struct.json_encode() if record else panel.ids.cast(pl.String)).alias(panel.schema.id_label)
    return pl.DataFrame([*panel.static_labels.iter_columns(), ids])


def vocabulary_of(
    panel: Panel, series_embedding: bool, kept: Collection[str] | None = None
) -> dict[str, tuple[str, ...]]:
    """What is known of each column of `labels_of`, in the order of the codes from 1.

    `kept`: the columns whose words may be known; None: all.
    """
    labels = panel.static_labels
    known = {name: _common_words(labels[name]) if kept is None or name in kept else () for name in labels.columns}
    if series_embedding:
        ids = labels_of(panel, True).to_series(-1)
        known[ids.name] = _places(ids.to_list())
    return known


def unknown_of(panel: Panel, vocabulary: dict[str, tuple[str, ...]]) -> dict[str, int]:
    """Series whose word is not in the vocabulary, by column of static covariates in words; only columns with any."""
    labels = panel.static_labels
    codes = codes_of(labels, {name: vocabulary[name] for name in labels.columns}, len(panel))
    present = np.array([labels[name].is_not_null() for name in labels.columns], dtype=np.bool_)
    unknown = (codes == 0) & present.reshape(labels.width, len(panel)).T
    counts = dict(zip(labels.columns, unknown.sum(0).tolist(), strict=True))
    return {name: number for name, number in counts.items() if number}


def codes_of(labels: pl.DataFrame, vocabulary: dict[str, tuple[str, ...]], rows: int) -> np.ndarray:
    """Codes int64 (rows, columns) of `labels`, which may have no column; 0 for missing and for what is not known."""
    columns = [np.zeros((rows, 0), dtype=np.int64)]
    for name, known in vocabulary.items():
        numbers, written = {entry: k + 1 for k, entry in enumerate(known)}, _writing(known)
        unique = labels[name].drop_nulls().unique().to_list()
        mapping = {label: numbers.get(written(label), 0) for label in unique}
        codes = labels[name].replace_strict(mapping, default=0, return_dtype=pl.Int64)
        columns.append(codes.fill_null(0).to_numpy()[:, None])
    return np.concatenate(columns, 1)


def readable(entry: str) -> str | None:
    """The word that an entry of a vocabulary stands for; None where it does not say."""
    return entry.removeprefix(WORD) if entry.startswith(WORD) or not entry.startswith(FORMS) else None


def _common_words(column: pl.Series) -> tuple[str, ...]:
    """The words that enough series share. In the order of their hashes, which gave the codes from the first version
    on."""
    series = Counter(column.drop_nulls().to_list())
    return tuple(map(_word, sorted((word for word, n in series.items() if n >= FEWEST_SERIES), key=_hash)))


def _places(ids: list[str]) -> tuple[str, ...]:
    """A place for each id, no two alike: of the fewest places from `PLACES` for each id on where that is so."""
    hashes = [int(_hash(one), 16) for one in sorted(ids, key=_hash)]
    places = next(n for n in count(PLACES * len(ids)) if len({one % n for one in hashes}) == len(ids))
    return tuple(f"{PLACE}{one % places}/{places}" for one in hashes)


def _writing(known: tuple[str, ...]) -> Callable[[str], str]:
    """How a vocabulary writes a label; all entries of one are written alike."""
    first = known[0] if known else ""
    if first.startswith(HASH):
        return lambda label: HASH + _hash(label)
    if placed := PLACED.fullmatch(first):
        places = int(placed[1])
        return lambda label: f"{PLACE}{int(_hash(label), 16) % places}/{places}"
    return _word


def _word(label: str) -> str:
    return WORD + label if label.startswith(FORMS) else label


def _hash(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()[:16]
