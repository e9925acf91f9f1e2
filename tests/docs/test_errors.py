"""The page of errors, the program and its messages belong together."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.error_cases import ERRORS
from tests.docs.examples import ENTRY, PAGE, Example, blocks, fit_models, link_models
from tests.docs.finding_cases import FINDINGS
from tsx import errors
from tsx.spec.findings import SEVERITIES

ROOT = Path(__file__).resolve().parents[2]
STATUS = {
    name: kind.exit_status
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.TsxError)
}
TREES = {
    str(file.relative_to(ROOT)): ast.parse(file.read_text(encoding="utf-8")) for file in (ROOT / "tsx").rglob("*.py")
}
STATUS |= {
    node.name: STATUS[base.id]
    for tree in TREES.values()
    for node in ast.walk(tree)
    if isinstance(node, ast.ClassDef)
    for base in node.bases
    if isinstance(base, ast.Name) and base.id in STATUS and node.name not in STATUS
}
CODE = re.compile(r"[a-z]+(-[a-z]+)*")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def calls(tree: ast.AST, within: tuple[Function, ...] = ()) -> Iterator[tuple[ast.Call, tuple[Function, ...]]]:
    """Every call with the functions around it, the innermost last."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Call):
            yield node, within
        yield from calls(node, (*within, node) if isinstance(node, Function) else within)


CALLS = [(call, within, path) for path, tree in TREES.items() for call, within in calls(tree)]


def called(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def codes_given_to(names: set[str]) -> dict[str, set[str]]:
    """The codes that these classes are made with: code to classes."""
    found: dict[str, set[str]] = {}
    for call, within, path in CALLS:
        if called(call) in names and (code := argument(call, 0, "code")) is not None:
            for word in words(code, within, path):
                assert CODE.fullmatch(word), f"{path}:{call.lineno}: {word!r} is no code"
                found.setdefault(word, set()).add(called(call))
    return found


def argument(call: ast.Call, place: int, name: str) -> ast.expr | None:
    named = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    return call.args[place] if place < len(call.args) else named


def words(code: ast.expr, within: tuple[Function, ...], path: str) -> set[str]:
    """What the expression of a code can be: a literal, an argument that callers write out, one of some literals.

    Anything else is refused: a code that is built at run time is found neither here nor by a reader.
    """
    place = f"{path}:{code.lineno}"
    if isinstance(code, ast.Constant):
        return {code.value}
    if isinstance(code, ast.Attribute) and code.attr == "code":
        return set()  # said again in other words: the code of an error that was made elsewhere
    assert isinstance(code, ast.Name), f"{place}: a code is built at run time"
    for function in reversed(within):
        parameters = [one.arg for one in (*function.args.args, *function.args.kwonlyargs)]
        if code.id in parameters:
            return handed_over(function, parameters.index(code.id) - (parameters[0] == "self"), code.id, path)
        if chosen := assigned(function, code.id):
            return chosen
    raise AssertionError(f"{place}: where does the code come from?")


def handed_over(function: Function, place: int, name: str, path: str) -> set[str]:
    """What the callers of a helper function write for its parameter."""
    private = function.name.startswith("_") or not any(function in tree.body for tree in TREES.values())
    found: set[str] = set()
    for call, within, where in CALLS:
        if called(call) == function.name and (where == path or not private):
            given = argument(call, place, name)
            assert given is not None, f"{where}:{call.lineno}: the code is left out"
            found |= words(given, within, where)
    assert found, f"{path}: nobody calls {function.name}"
    return found


def assigned(function: Function, name: str) -> set[str]:
    """The literals that a variable of the function may hold, also out of a dictionary."""
    values = [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and name in [getattr(target, "id", "") for target in node.targets]
    ]
    found = {node.value for value in values for node in ast.walk(value) if isinstance(node, ast.Constant)}
    for value in values:
        for node in ast.walk(value):
            if isinstance(node, ast.Name) and node.id != name:
                for inner in ast.walk(function):
                    if isinstance(inner, ast.Assign) and isinstance(inner.value, ast.Dict):
                        targets = [getattr(one, "id", "") for one in getattr(inner.targets[0], "elts", inner.targets)]
                        found |= {one.value for one in inner.value.values if node.id in targets}  # type: ignore[attr-defined]
    return {one for one in found if isinstance(one, str)}


RAISED = codes_given_to(set(STATUS))
NOTICED = codes_given_to({"Finding"})


def entries() -> dict[str, str]:
    return dict(ENTRY.findall(PAGE.read_text(encoding="utf-8")))


def test_the_page_and_the_program_name_the_same_codes_each_once() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert sorted(re.findall(r"^### (.*)$", page, re.M)) == sorted(f"`{code}`" for code in {*RAISED, *NOTICED})


@pytest.mark.parametrize("code", sorted(RAISED))
def test_an_error_is_documented_with_its_status_and_a_remedy(code: str) -> None:
    text = entries()[code]
    told = re.search(r"Exit status ([\d or]+)\.", text)
    assert told
    assert {int(number) for number in re.findall(r"\d+", told[1])} == {STATUS[kind] for kind in RAISED[code]}
    assert "**Remedy:**" in text


def test_every_flag_on_the_page_is_one_of_the_program() -> None:
    page = re.sub(r"^    .*$", "", PAGE.read_text(encoding="utf-8"), flags=re.M)
    known = set(re.findall(r"--[a-z][a-z-]+", (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")))
    assert set(re.findall(r"--[a-z][a-z-]+", page)) - {"--flag"} <= known


def test_every_code_has_an_example() -> None:
    assert {example.code for example in ERRORS} == set(RAISED)
    assert {example.code for example in FINDINGS} == set(NOTICED)


def test_every_finding_has_a_severity() -> None:
    assert set(SEVERITIES) == set(NOTICED)


def test_codes_that_the_program_asks_for_are_codes_that_there_are() -> None:
    """`error.code == "..."` and `error.code in ("...", ...)`: a code that changed its name would never come."""
    asked = {
        word.value
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Compare) and getattr(node.left, "attr", "") == "code"
        for word in ast.walk(node)
        if isinstance(word, ast.Constant) and isinstance(word.value, str)
    }
    assert asked
    assert asked <= {*RAISED, *NOTICED}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    fit_models(folder)
    return folder


@pytest.mark.parametrize("example", [pytest.param(one, id=one.code) for one in [*ERRORS, *FINDINGS]])
def test_the_page_shows_what_the_program_says(example: Example, models: Path, tmp_path: Path) -> None:
    link_models(models, tmp_path)
    said, shown = " ".join(example.said(tmp_path).split()), blocks(entries()[example.code])
    if example.varies:
        said, *shown = (re.sub(r"\d[\d,]*", "#", text) for text in (said, *shown))
    assert said in shown


def test_codes_are_found_behind_helpers_and_choices() -> None:
    """Three that no call of an error's class writes out itself."""
    assert {"command-unknown", "argument-missing", "usage", "gaps", "column-type-wrong"} <= {*RAISED, *NOTICED}
