"""The notebooks of the documentation run from top to bottom, and their text says what came out."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import ROOT

NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


def cells(notebook: Path, kind: str) -> list[dict[str, Any]]:
    return [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_there_are_notebooks_and_all_are_listed_for_readers() -> None:
    listed = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert {path.stem for path in NOTEBOOKS} == {"prices", "glucose", "many-series", "classification", "cron"}
    assert all(f"notebooks/{path.name}" in listed for path in NOTEBOOKS)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_was_run_in_order_and_holds_what_came_of_it(notebook: Path) -> None:
    code = cells(notebook, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"]
    assert sum(bool(cell["outputs"]) for cell in code) > len(code) / 2
    assert notebook.stat().st_size < 1_000_000


@pytest.mark.nightly
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data", target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": notebook.stem}
    for cell in cells(notebook, "code"):
        tree = ast.parse(source(cell).replace("max_steps=150", "max_steps=20").replace("max_steps=100", "max_steps=20"))
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, str(notebook), "exec"), names)
        if last is not None:  # what the notebook shows
            shown = eval(compile(ast.Expression(last.value), str(notebook), "eval"), names)
            if hasattr(shown, "_repr_html_"):
                assert shown._repr_html_()
