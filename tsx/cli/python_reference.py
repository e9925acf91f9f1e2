"""The reference of the Python library as Markdown, made from its docstrings and from the declarations of settings.

`python -m tsx.cli.python_reference docs/reference/api.md` writes it; with `--check` it only says whether it is up to
date.
"""

from __future__ import annotations

import inspect
import re
import sys
from importlib import import_module
from typing import Any

from tsx.cli.reference import cell, code_cell
from tsx.spec.keywords import given_type
from tsx.spec.stub import RESULTS, Data, type_words, value_words, write_or_check
from tsx.spec.verbs import Verb

HEAD = """# Python

<!-- Generated from docstrings and settings by `make docs`; change those instead. -->

Every command is a function of the same name. `import tsx` loads nothing heavy; each function loads what it needs. A
table is a path, several of them, a Polars or pandas frame, or whatever gives its columns by Arrow's protocol.
`progress` is who watches; in a notebook a bar is drawn under the cell. Failures are `tsx.TsxError`
([all of them](errors.md)).
"""
CLASSES = {
    "Inspection": "tsx.workflows.inspect",
    "Fit": "tsx.workflows.fit",
    "Forecast": "tsx.workflows.forecast",
    "Explanation": "tsx.explanation.result",
    "ClassExplanation": "tsx.explanation.classes.result",
    "Backtest": "tsx.evaluation.backtest",
    "Tuning": "tsx.evaluation.search",
    "Classification": "tsx.workflows.classify",
    "ClassifierFit": "tsx.workflows.fit_classifier",
    "ClassBacktest": "tsx.workflows.backtest",
    "Monitoring": "tsx.workflows.monitor",
    "ClassMonitoring": "tsx.workflows.monitor_classes",
    "InParts": "tsx.workflows.in_parts",
    "Partition": "tsx.workflows.partition",
    "Merged": "tsx.workflows.merge",
    "Demo": "tsx.workflows.demo",
    "Checkup": "tsx.workflows.doctor",
    "Forecaster": "tsx.model.forecaster",
    "TsxError": "tsx.errors",
}
"""Results, and what is raised, with their modules."""
LISTED = ("Parameters:", "Raises:")
SECTION = re.compile(r"^(Parameters|Returns|Raises|Examples):$", re.M)


def reference() -> str:
    """All functions in the order of the commands, then the results."""
    parts = [HEAD, *map(_function, RESULTS), _in_parts()]
    return "\n".join([*parts, *(_class(name, module) for name, module in CLASSES.items())])


def _function(verb: Verb) -> str:
    api = import_module("tsx.api")
    told = inspect.cleandoc(inspect.unwrap(getattr(api, verb.name)).__doc__ or "")
    data = {"needed": "data, ", "fitted": "data=None, ", "none": ""}[verb.data]
    lines = [f"## tsx.{verb.name}\n", f"```text\ntsx.{verb.name}({data}...) -> {RESULTS[verb]}\n```\n", _prose(told)]
    if verb.keywords:
        lines += ["| keyword | type | default | |", "| --- | --- | --- | --- |"]
        for one in verb.keywords:
            kind, default = type_words(given_type(one, Data)), value_words(one)
            lines.append(f"| `{one.name}` | {code_cell(kind)} | {code_cell(default)} | {cell(one.help)} |")
        lines.append("")
    return "\n".join(lines)


def _in_parts() -> str:
    """The function that calls others part by part, whose keywords are theirs."""
    from tsx.api import in_parts

    words = 'tsx.in_parts(function, data=None, *, out, shard=None, engine="local", **settings) -> InParts'
    return f"## tsx.in_parts\n\n```text\n{words}\n```\n\n{_prose(inspect.getdoc(in_parts) or '')}"


def _class(name: str, module: str) -> str:
    kind = getattr(import_module(module), name)
    lines = [f"## {name}\n", _prose(inspect.getdoc(kind) or "")]
    for key, member in inspect.getmembers(kind):
        told = inspect.getdoc(member)
        if key.startswith("_") or not told or not (inspect.isfunction(member) or isinstance(member, property)):
            continue
        title = f"{key}{_arguments(member)}" if inspect.isfunction(member) else key
        lines += [f"### {name}.{title}\n", _prose(told)]
    return "\n".join(lines)


def _arguments(function: Any) -> str:
    """`(kind='html', out=None)`."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return f"({', '.join(str(one.replace(annotation=one.empty)) for one in parameters)})"


def _prose(text: str) -> str:
    """A docstring as Markdown: sections are bold words, aligned and indented lines are code."""
    parts = []
    for paragraph in text.split("\n\n"):
        lines = paragraph.splitlines()
        if SECTION.match(lines[0]):
            body = inspect.cleandoc("\n".join(lines[1:]))
            listed = lines[0] in LISTED and re.match(r"[\w, ]+: ", body)
            parts.append(f"**{lines[0]}**\n\n{_items(body) if listed else _body(body)}\n")
        else:
            parts.append(_body(paragraph) + "\n")
    return "\n".join(parts)


def _items(text: str) -> str:
    """Lines that begin at the left, each with its indented ones, as a list."""
    items = re.split(r"\n(?! )", text)
    return "\n".join("- " + re.sub(r"\n +", " ", item) for item in items)


def _body(text: str) -> str:
    lines = text.splitlines()
    if lines[0].lstrip().startswith(">>>"):
        return f"```pycon\n{inspect.cleandoc(text)}\n```"
    aligned = any(re.match(r"\S+  +\S", line) or line.startswith("  ") for line in lines)
    return f"```text\n{text}\n```" if aligned and len(lines) > 1 else text


if __name__ == "__main__":
    sys.exit(write_or_check(reference(), sys.argv[1:]))
