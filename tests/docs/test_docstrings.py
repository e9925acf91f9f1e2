"""Every public name says what it gives, what it raises, and shows an example; the examples run."""

from __future__ import annotations

import ast
import contextlib
import datetime as dt
import doctest
import inspect
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tsx
from tests.docs.pages import cheaper
from tsx.cli.python_reference import CLASSES

FUNCTIONS = [name for name in tsx.__all__ if not isinstance(getattr(tsx, name), type)]
METHODS = [
    (kind, name, member)
    for kind, module in CLASSES.items()
    for name, member in inspect.getmembers(getattr(import_module(module), kind), inspect.isfunction)
    if not name.startswith("_")
]
OF_PANELS = {"cutoffs", "point", "predict", "quantiles", "windows"}
"""Methods of a forecaster that take or give what tables become inside; the class shows how one is had."""


def told(name: str) -> str:
    return inspect.getdoc(getattr(tsx, name)) or ""


def examples(text: str) -> list[doctest.Example]:
    return doctest.DocTestParser().get_examples(text)


def body(function: Callable[..., Any]) -> ast.AST:
    return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function))))


def test_every_public_name_is_in_the_reference() -> None:
    page = (Path(tsx.__file__).parents[1] / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    lacking = [name for name in tsx.__all__ if f"\n## tsx.{name}\n" not in page and f"\n## {name}\n" not in page]
    assert lacking == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_says_what_it_takes_gives_and_raises_and_shows_an_example(name: str) -> None:
    neither = ("Parameters:", "Raises:") if name == "doctor" else ()
    sections = [one for one in ("Parameters:", "Returns:", "Raises:", "Examples:") if one not in neither]
    assert [one for one in sections if f"\n{one}\n" not in told(name)] == []
    assert examples(told(name))


@pytest.mark.parametrize("kind", CLASSES)
def test_a_result_shows_how_it_is_had_and_says_what_each_of_its_members_is(kind: str) -> None:
    made = getattr(import_module(CLASSES[kind]), kind)
    assert examples(inspect.getdoc(made) or "")
    public = [
        (name, member)
        for name, member in vars(made).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property))
    ]
    assert [name for name, member in public if not inspect.getdoc(member)] == []


@pytest.mark.parametrize(("kind", "name", "member"), METHODS, ids=lambda each: each if isinstance(each, str) else "")
def test_a_method_names_its_parameters_says_what_it_raises_and_shows_an_example(
    kind: str, name: str, member: Callable[..., Any]
) -> None:
    text = inspect.getdoc(member) or ""
    assert [one for one in list(inspect.signature(member).parameters)[1:] if one not in text] == []
    if any(isinstance(node, ast.Raise) and "NotImplemented" not in ast.dump(node) for node in ast.walk(body(member))):
        assert "aise" in text
    assert examples(text) or (kind == "Forecaster" and name in OF_PANELS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The tables that the examples name, and the models and folders that those of other names have left."""
    path = tmp_path_factory.mktemp("examples")
    with contextlib.chdir(path):
        sales(120).write_parquet("sales.parquet")
        sales(140).write_parquet("today.parquet")
        stays(80).write_parquet("stays.parquet")
        stays(100).write_parquet("later.parquet")
        stays(100).filter(pl.col("stay") >= 80).drop("died").write_parquet("new.parquet")
        tsx.fit("sales.parquet", horizon=7, max_steps=5)
        tsx.fit("stays.parquet", label="died", max_steps=5, model="stays-model")
        tsx.explain(windows=6, max_evals=300, out="why")
        tsx.partition("sales.parquet", id="store", parts=2, out="parts")
        tsx.in_parts(tsx.forecast, "parts", out="forecasts", model="tsx-model")
        yield path


def sales(days: int) -> pl.DataFrame:
    """Three stores, a row a day; the same first days whatever their number."""
    frames = []
    for number, store in enumerate(("north", "south", "west")):
        random = np.random.default_rng(number)
        price = 5 + random.integers(0, 3, days)
        week = np.sin(2 * np.pi * np.arange(days) / 7)
        start = dt.date(2024, 1, 1)
        day = pl.date_range(start, start + dt.timedelta(days=days - 1), eager=True)
        units = 50.25 + 10 * week - 3 * price + random.normal(size=days)
        frames.append(pl.DataFrame({"store": store, "day": day, "units": units, "price": price.astype(float)}))
    return pl.concat(frames)


def stays(number: int) -> pl.DataFrame:
    """Stays of 12 hours; those whose pulse rises end badly."""
    random = np.random.default_rng(1)
    died = np.arange(number) % 3 == 0
    pulse = 80 + random.normal(size=(number, 12)) + died[:, None] * np.arange(12)
    stay, hour = np.divmod(np.arange(number * 12), 12)
    return pl.DataFrame({"stay": stay, "hour": hour, "pulse": pulse.ravel(), "died": np.repeat(died, 12).astype(int)})


@pytest.mark.nightly
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_function_runs(name: str, folder: Path) -> None:
    follow(folder, examples(told(name)), {})


@pytest.mark.nightly
@pytest.mark.parametrize("kind", CLASSES)
def test_the_examples_of_a_result_and_of_its_methods_run(kind: str, folder: Path) -> None:
    names: dict[str, Any] = {}
    texts = [getattr(import_module(CLASSES[kind]), kind).__doc__ or ""]
    texts += [inspect.getdoc(member) or "" for of, _, member in METHODS if of == kind]
    follow(folder, [one for text in texts for one in examples(text)], names)


def follow(folder: Path, lines: list[doctest.Example], names: dict[str, Any]) -> None:
    """Run the lines in the folder; what one shows is compared where the example shows it."""
    names["tsx"] = tsx
    with contextlib.chdir(folder):
        for line in lines:
            code = cheaper(line.source)
            if not line.want:
                exec(compile(code, "example", "exec"), names)
                continue
            test = doctest.DocTest([doctest.Example(code, line.want)], names, code, None, None, code)
            said: list[str] = []
            runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
            runner.run(test, out=said.append, clear_globs=False)
            otherwise = "".join(said)
            assert otherwise == ""
