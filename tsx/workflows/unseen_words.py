"""Words of a later table that the model does not know: counted, and said where they became more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tsx.model.categories import pooled_words
from tsx.panel.panel import Panel
from tsx.spec.channels import Channels
from tsx.spec.decision import Finding
from tsx.wording import count, percent, verb


def unknown_shares(panel: Panel, channels: Channels) -> dict[str, float]:
    """The share of the times with a word that have an unknown one, by column; four digits of it."""
    return {name: round(pooled.share, 4) for name, pooled in pooled_words(panel, channels).items()}


def unseen_words(panel: Panel, channels: Channels, known: Mapping[str, float]) -> Iterator[Finding]:
    """A finding for each channel of words of which a larger share of the times has an unknown one than in the fit.

    `known`: that share in the fit, by column.
    """
    for name, pooled in pooled_words(panel, channels).items():
        before = known.get(name, 0.0)
        if round(pooled.share, 4) > before:
            yield Finding(
                "unseen-category",
                f"{pooled.times:,} of {count(pooled.of, 'time')} with a word in `{name}` {verb(pooled.times, 'has')} "
                f"one that the model does not know ({percent(before)} when the model was fitted); it is taken as other",
                name,
                count=pooled.times,
            )
