"""The settings of a verb as keywords of a function: its signature and its documentation."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tsx.spec.setting import Setting
from tsx.spec.verbs import Verb

WIDTH = 100


def signature_of(verb: Verb, data: Any, progress: Any, silent: Any, result: Any) -> inspect.Signature:
    """The table, every setting with its type and default, and who watches; `data`, `progress` and `result` are types,
    `silent` the default of the last keyword."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    first = inspect.Parameter(
        "data",
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        annotation=data | None,
        default=None,
    )
    table = [] if verb.data == "none" else [first]
    named = [
        inspect.Parameter(one.name, keyword, annotation=given_type(one, data), default=one.default)
        for one in verb.keywords
    ]
    last = inspect.Parameter("progress", keyword, annotation=progress, default=silent)
    return inspect.Signature([*table, *named, last], return_annotation=result)


def given_type(one: Setting, data: Any) -> Any:
    """The type of the keyword: wider than that of the setting, as names may be given as text, and times with a unit."""
    if one.kind in ("columns", "choices"):
        return str | Sequence[str]
    if one.kind == "texts":
        return str | Sequence[str | float]
    if one.kind == "numbers":
        return str | float | Sequence[float]
    if one.kind == "table":
        annotation = data
    elif one.kind == "duration":
        annotation = float | str
    elif one.kind == "share":
        annotation = str
    elif one.kind == "path":
        annotation = str | Path
    else:
        annotation = one.annotation
    return annotation | None if one.default is None else annotation


def described(verb: Verb, text: str) -> str:
    """The documentation of a function with a line for each of its keywords, in groups, before what it returns."""
    before, returns, after = inspect.cleandoc(text).partition("\n\nReturns:")
    lines = [before, "", "Parameters:"] if verb.keywords else [before]
    group = ""
    for one in verb.keywords:
        if one.group != group and one.group:
            lines += ["", f"{one.group}:"]
        group = one.group or group
        lines += textwrap.wrap(
            f"{one.name}: {one.help}",
            WIDTH,
            initial_indent="    ",
            subsequent_indent=" " * 8,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines) + f"{returns}{after}\n"
