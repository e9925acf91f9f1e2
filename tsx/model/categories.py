"""Categories that a network knows by number: covariates in words and, of few long series, which one it is.

How a vocabulary writes what it knows:

    ward              a word as it stands in the table. Only words that enough series share are known, since whoever
                      has the model can read them.
    place:17/1612     the place of a series' id, which is a remainder of its hash. The places of the known series
                      differ, but every sixteenth id that one can think of has one of them: the ids cannot be found by
                      trying all that there could be. The same of a word over time in a table of too few series for
                      any word to be shared.
    sha256:0f3a...    the hash of a word or an id, in a model of format 3 and before
    part:<film        a part of words, where many are rare: four to six letters of `<film>`, its ends among them
    word:sha256:...   a word that begins like one of these
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
import polars as pl

from tsx.panel.panel import BETWEEN, Panel
from tsx.panel.sampling import evenly_spaced
from tsx.spec.channels import Channel, Channels
from tsx.spec.decision import Decision
from tsx.wording import percent

FEWEST_SERIES = 11
"""Series that must share a word for it to be known."""
MOST_WORDS = 20_000
"""Words over time that are known of a column at most, those of the most series."""
MOST_AT_ONCE = 32
"""Words of one time, and parts of them, that are read at most, the known words first."""
MANY_WORDS, MUCH_UNKNOWN = 1000, 0.05
"""A column is a text, whose rare words are read by their parts, from so many different words on, and where this share
of the times has a word that is not known."""
LETTERS = (4, 5, 6)
"""Of a part of a word, its ends counted (Bojanowski et al. 2017 take 3 to 6)."""
COUNTED_SERIES = 20_000
"""Series at most by which parts are chosen."""
NO_WORD, OTHER = -1, 0
"""Codes of a time without a word, and of a word that is not known."""
PLACES = 16
"""Places for each series, at least."""
PLACE, HASH, WORD, PART = "place:", "sha256:", "word:", "part:"
FORMS = (PLACE, HASH, WORD, PART)
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
    """What is known of each column of words over time and of `labels_of`, in the order of the codes from 1.

    `kept`: the columns whose words may be known; None: all.
    """
    labels = panel.static_labels
    known = {name: _words_over_time(panel, k, kept) for k, name in enumerate(panel.schema.words)}
    known |= {name: _common_words(labels[name]) if kept is None or name in kept else () for name in labels.columns}
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


@dataclass(frozen=True)
class Pooled:
    """Words over time that are not known: how many different ones, in how many of the times with any word."""

    words: int
    times: int
    of: int

    @property
    def share(self) -> float:
        """Of the times with a word."""
        return self.times / self.of


def pooled_words(panel: Panel, channels: Channels) -> dict[str, Pooled]:
    """What is not known of each channel of words; only those with any."""
    found = {}
    for k, channel in enumerate(channels.words):
        used = np.bincount(panel.codes[panel.codes[:, k] >= 0, k], minlength=len(panel.words[k]))
        cells = _in_cells(panel, k)
        cells = cells.filter(pl.Series(used > 0).gather(cells["cell"]))
        unknown = cells.filter(pl.Series(_codes(cells["word"], channel.vocabulary) == OTHER))
        if len(unknown):
            times = int(used[unknown["cell"].unique().to_numpy()].sum())
            found[channel.name] = Pooled(unknown["word"].n_unique(), times, int(used.sum()))
    return found


def with_parts(panel: Panel, channels: Channels) -> tuple[Channels, tuple[Decision, ...]]:
    """The channels, of which those that hold a text know parts of words too, and why.

    Parts are known where as many series share them as must share a word.
    """
    pooled, changed, decisions = pooled_words(panel, channels), [], []
    for channel in channels.every:
        rare = pooled.get(channel.name) if channel in channels.words else None
        if rare and channel.vocabulary and rare.words >= MANY_WORDS and rare.share >= MUCH_UNKNOWN:
            parts = _shared_parts(panel, panel.schema.words.index(channel.name))
            reason = (
                f"{rare.words:,} words of `{channel.name}` are rare, and stand in {percent(rare.share)} of its times: "
                f"words are read by {len(parts):,} parts of {LETTERS[0]} to {LETTERS[-1]} letters, too"
            )
            decisions.append(Decision("word_parts", len(parts), reason))
            channel = replace(channel, vocabulary=(*channel.vocabulary, *parts))
        changed.append(channel)
    return Channels(tuple(changed)), tuple(decisions)


def has_parts(known: tuple[str, ...]) -> bool:
    """Whether a vocabulary holds parts of words, which are its last entries."""
    return bool(known) and known[-1].startswith(PART)


def _parts_of(word: str) -> set[str]:
    """All runs of `LETTERS` of a word and its ends."""
    ends = f"<{word}>"
    return {ends[at : at + size] for size in LETTERS for at in range(len(ends) - size + 1)}


def _shared_parts(panel: Panel, k: int) -> tuple[str, ...]:
    """The parts of words that enough series share, as a vocabulary writes them."""
    some = evenly_spaced(len(panel), COUNTED_SERIES)
    cells = _in_cells(panel, k)
    parts = pl.DataFrame({"word": cells["word"].unique(maintain_order=True)})
    parts = parts.with_columns(part=pl.Series([sorted(_parts_of(word)) for word in parts["word"]]))
    held = _held(panel, k).filter(pl.col("series").is_in(some)).join(cells, on="cell").select("series", "word").unique()
    return tuple(f"{PART}{part}" for part in _most_shared(held.join(parts, on="word").explode("part"), "part"))


def words_at_once(panel: Panel, channels: Channels) -> tuple[int, ...]:
    """(K) how many columns the codes of each channel of words take: as many as one time has words."""
    return tuple(
        min(max(1, max((len(codes) for codes in _bags(panel, k, channel)), default=1)), MOST_AT_ONCE)
        for k, channel in enumerate(channels.words)
    )


def word_codes(panel: Panel, channels: Channels, at_once: tuple[int, ...]) -> np.ndarray:
    """int32 (rows, W): the codes of the words of every row, those of each channel side by side.

    Each once and in order, the known ones first; `NO_WORD` where there are fewer.
    """
    columns = [np.empty((len(panel.codes), 0), dtype=np.int32)]
    for k, (channel, width) in enumerate(zip(channels.words, at_once, strict=True)):
        table = np.full((len(panel.words[k]) + 1, width), NO_WORD, dtype=np.int32)  # the last one: no word
        for cell, codes in enumerate(_bags(panel, k, channel)):
            table[cell, : len(codes)] = codes[:width]
        columns.append(table[panel.codes[:, k]])
    return np.concatenate(columns, 1)


def _bags(panel: Panel, k: int, channel: Channel) -> list[list[int]]:
    """The codes of each different cell of a channel of words, the known ones first."""
    cells = _in_cells(panel, k)
    codes = cells.select("cell", code=pl.Series(_codes(cells["word"], channel.vocabulary)))
    if has_parts(channel.vocabulary):
        known = enumerate(channel.vocabulary, 1)
        numbers = {entry.removeprefix(PART): code for code, entry in known if entry.startswith(PART)}
        found = [[numbers[part] for part in _parts_of(word) if part in numbers] for word in cells["word"]]
        parts = cells.select("cell", code=pl.Series(found, dtype=pl.List(pl.Int64))).explode("code").drop_nulls()
        # A word of which parts are known is not wholly unknown.
        codes = pl.concat([codes.filter(pl.Series([not one for one in found]) | (pl.col("code") > OTHER)), parts])
    order = pl.when(pl.col("code") == OTHER).then(pl.lit(2**62)).otherwise("code")
    bags = codes.unique().sort("cell", order).group_by("cell", maintain_order=True).agg("code")["code"]
    return list(bags.to_list())


def _in_cells(panel: Panel, k: int) -> pl.DataFrame:
    """`cell` and `word`: a row for each word of each different cell of a channel of words."""
    split = panel.words[k].str.split(BETWEEN)
    return pl.DataFrame(
        {"cell": np.arange(len(split)), "word": split}, schema_overrides={"word": pl.List(pl.String)}
    ).explode("word")


def _codes(words: pl.Series, known: tuple[str, ...]) -> np.ndarray:
    return codes_of(words.alias("word").to_frame(), {"word": known}, len(words))[:, 0]


def _words_over_time(panel: Panel, k: int, kept: Collection[str] | None) -> tuple[str, ...]:
    if kept is not None and panel.schema.words[k] not in kept:
        return ()
    if len(panel) < FEWEST_SERIES:
        return _repeated(panel, k) if kept is None else ()
    return _shared_words(panel, k)


def _shared_words(panel: Panel, k: int) -> tuple[str, ...]:
    """The words over time that enough series share."""
    words = _held(panel, k).join(_in_cells(panel, k), on="cell").select("series", "word").unique()
    return tuple(map(_word, _most_shared(words, "word")))


def _held(panel: Panel, k: int) -> pl.DataFrame:
    """`series` and `cell`: which of its different cells a series has in a channel of words."""
    series = np.repeat(np.arange(len(panel)), np.diff(panel.offsets))
    cells = pl.DataFrame({"series": series, "cell": panel.codes[:, k].astype(np.int64)})
    return cells.filter(pl.col("cell") >= 0).unique()


def _most_shared(of_series: pl.DataFrame, column: str) -> list[str]:
    """Of what series hold (a row each), what enough of them share, in the order of hashes."""
    counts = of_series.group_by(column).len().filter(pl.col("len") >= FEWEST_SERIES)
    return sorted(counts.sort(-pl.col("len").cast(pl.Int64), column)[column].head(MOST_WORDS), key=_hash)


def _repeated(panel: Panel, k: int) -> tuple[str, ...]:
    """The places of the words that come in enough rows, of a table whose series are too few to share one."""
    used = pl.Series(panel.codes[:, k]).filter(panel.codes[:, k] >= 0).value_counts(name="rows")
    counts = (
        used.rename({used.columns[0]: "cell"})
        .with_columns(pl.col("cell").cast(pl.Int64))
        .join(_in_cells(panel, k), on="cell")
    )
    often = counts.group_by("word").agg(pl.col("rows").sum()).filter(pl.col("rows") >= FEWEST_SERIES)
    return _places(often["word"].sort().to_list()) if len(often) else ()


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


def word_names(channel: Channel) -> list[str | None]:
    """What the codes of a channel stand for, from 1 on: None of parts of words, and of words that cannot be read."""
    return [None if entry.startswith(PART) else readable(entry) for entry in channel.vocabulary]


def shown_words(channel: Channel, codes: Sequence[int]) -> str:
    """The words of one time, by their codes: those that can be read by name, of the others that there are some."""
    words = [code for code in codes if code == OTHER or not channel.vocabulary[code - 1].startswith(PART)]
    names = word_names(channel)
    named = [name for code in words if code > OTHER and (name := names[code - 1])]
    return " + ".join([*named, *(["an unknown word"] if len(named) < len(words) or not words else [])])


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
