"""What editors and type checkers read of the functions: written from the declarations of their settings.

`python -m tsx.spec.stub tsx/__init__.pyi` writes it; with `--check` it only says whether it is up to date.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from tsx.spec.keywords import given_type
from tsx.spec.setting import Setting
from tsx.spec.verbs import (
    BACKTEST,
    CLASSIFY,
    DEMO,
    DOCTOR,
    EXPLAIN,
    FIT,
    FORECAST,
    INSPECT,
    MAKE_FUTURE,
    MERGE,
    MONITOR,
    PARTITION,
    TUNE,
    Verb,
)

# Which kind of explanation comes back depends on the model: `Any`, a `ClassExplanation`, lets either be used as it is.
RESULTS = {
    INSPECT: "Inspection",
    FIT: "Fit",
    FORECAST: "Forecast",
    CLASSIFY: "Classification",
    MAKE_FUTURE: "pl.DataFrame",
    EXPLAIN: "Explanation | Any",
    BACKTEST: "Backtest",
    MONITOR: "Monitoring | Any",
    PARTITION: "Partition",
    MERGE: "Merged",
    TUNE: "Tuning",
    DEMO: "Demo",
    DOCTOR: "Checkup",
}
OF_A_LABEL = {FIT: "ClassifierFit", BACKTEST: "ClassBacktest"}
"""What a function gives back instead where a label is named."""
HEAD = """# Generated from the settings in tsx/spec by `make docs`; change those instead.
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import polars as pl

from tsx.errors import TsxError as TsxError
from tsx.evaluation.backtest import Backtest
from tsx.evaluation.search import Tuning
from tsx.explanation.result import Explanation as Explanation
from tsx.io.source import Data
from tsx.model.forecaster import Forecaster as Forecaster
from tsx.progress import Progress
from tsx.workflows.backtest import ClassBacktest
from tsx.workflows.classify import Classification
from tsx.workflows.demo import Demo
from tsx.workflows.doctor import Checkup
from tsx.workflows.fit import Fit
from tsx.workflows.fit_classifier import ClassifierFit
from tsx.workflows.forecast import Forecast
from tsx.workflows.in_parts import InParts
from tsx.workflows.inspect import Inspection
from tsx.workflows.merge import Merged
from tsx.workflows.monitor import Monitoring
from tsx.workflows.partition import Partition
"""

IN_PARTS = """\
def in_parts(
    function: Callable[..., Any],
    data: str | Path | Sequence[str | Path] | None = None,
    *,
    out: str | Path,
    shard: str | None = None,
    engine: Literal["local", "ray"] = "local",
    progress: Progress | None = None,
    **settings: Any,
) -> InParts: ...
"""


class Data:
    """Stands for the type of a table."""


def stub() -> str:
    """The whole file."""
    return "".join([HEAD, "\n", *map(_functions, RESULTS), IN_PARTS])


def _functions(verb: Verb) -> str:
    if verb not in OF_A_LABEL:
        return _function(verb, RESULTS[verb])
    labelled = _function(verb, OF_A_LABEL[verb]).replace("label: str | None = None", "label: str")
    plain = _function(verb, RESULTS[verb]).replace("label: str | None = None", "label: None = None")
    return f"@overload\n{plain}@overload\n{labelled}"


def _function(verb: Verb, result: str) -> str:
    data = {"needed": ["    data: Data,"], "fitted": ["    data: Data | None = None,"], "none": []}[verb.data]
    named = [f"    {one.name}: {type_words(given_type(one, Data))} = {value_words(one)}," for one in verb.keywords]
    lines = [f"def {verb.name}(", *data, "    *,", *named, "    progress: Progress = ...,"]
    return "\n".join([*lines, f") -> {result}: ..."]) + "\n"


def value_words(one: Setting) -> str:
    return _quoted(one.default) if isinstance(one.default, str) else repr(one.default)


def _quoted(text: str) -> str:
    return f'"{text}"'


def type_words(annotation: Any) -> str:
    """A type as a program writes it."""
    if annotation in (None, NoneType):
        return "None"
    if annotation is Data:
        return "Data"
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(type_words, get_args(annotation)))
    if get_origin(annotation) is Literal:
        return f"Literal[{', '.join(map(_quoted, get_args(annotation)))}]"
    if inner := get_args(annotation):
        return f"{annotation.__name__}[{', '.join(map(type_words, inner))}]"
    return str(annotation.__name__)


def write_or_check(text: str, arguments: list[str]) -> int:
    """Write a generated file, the last of `arguments`; with `--check` only compare it. Gives the exit status."""
    *flags, name = arguments
    path = Path(name)
    if flags == ["--check"]:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return 0
        print(f"{path} is not up to date: run `make docs`", file=sys.stderr)
        return 1
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(write_or_check(stub(), sys.argv[1:]))
