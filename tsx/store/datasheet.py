"""A datasheet of the training table, after Gebru et al. (2021), Datasheets for datasets, as far as a manifest knows."""

from __future__ import annotations

from datetime import UTC, datetime

from tsx.sanitize import line
from tsx.store.manifest import Manifest

QUESTIONS = {
    "Motivation": ("Why were the data collected, by whom, and who paid for it?",),
    "Collection": (
        "How was each column measured, over which period, and by which devices or persons?",
        "Did the persons in the data know and agree? Was there an ethical review?",
    ),
    "Uses": ("What else are the data used for, and what must they not be used for?",),
    "Distribution and maintenance": (
        "Who may have the data, under which licence, and until when are they kept?",
        "Who corrects errors, and does a model learn of it?",
    ),
}
"""What only the owner knows, by the section of the datasheet."""


def datasheet(manifest: Manifest) -> list[str]:
    """Lines of Markdown."""
    lines = _section("Motivation")
    lines += ["", "### Composition", "", *_composition(manifest)]
    lines += ["", "- Question to the owner: Are there persons in the data, and of which groups?"]
    lines += _section("Collection")
    lines += ["", "### Preprocessing", "", *_preprocessing(manifest)]
    return lines + _section("Uses") + _section("Distribution and maintenance")


def _section(name: str) -> list[str]:
    return ["", f"### {name}", "", *(f"- Question to the owner: {question}" for question in QUESTIONS[name])]


def _composition(manifest: Manifest) -> list[str]:
    data, facts = manifest.data, manifest.data.facts
    lines = [f"- {data.size}, one every `{manifest.frequency}`."]
    if facts is None:
        return lines
    if facts.newest is not None and facts.time not in (None, "steps"):
        newest = datetime.fromtimestamp(facts.newest / 1e6, UTC)
        lines.append(f"- The newest rows are of {newest:%Y-%m-%d}.")
    missing = [channel.missing for channel in facts.channels.values()]
    if missing:
        lines.append(
            f"- Of the newest steps up to {max(missing):.0%} have no value in a column that is read over time."
        )
    return lines


def _preprocessing(manifest: Manifest) -> list[str]:
    """What was noticed or repaired while the table was read; how it is read is the same in every later table."""
    noticed = [f"- {line(finding.message)}" for finding in manifest.data.findings]
    return noticed or ["- Nothing was noticed or repaired while it was read."]
