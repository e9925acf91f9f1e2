"""Settings as words of a command line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from tsx.spec.verbs import Verb


def flags(verb: Verb, values: Mapping[str, Any]) -> list[str]:
    """The flags that give a verb these values, in the order of its help; a default is not named."""
    words: list[str] = []
    for one in verb.flags:
        value = values.get(one.name, one.default)
        if value is None or value == one.default:
            continue
        if one.kind == "switch":
            words.append(one.flag if value else one.refusal)
            continue
        text = listed(value) if isinstance(value, tuple | list) else str(value)
        # One word where the value would look like a flag itself.
        words += [f"{one.flag}={text}"] if text.startswith("-") else [one.flag, text]
    return words


def listed(names: Sequence[Any]) -> str:
    """Names separated by commas; one that holds a comma or a quote stands in double quotes."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return line.getvalue()
