"""A setting is declared in one place, and everything that names settings follows from it."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tsx
from tsx.baselines.statistical import MODELS
from tsx.cli.python_reference import reference
from tsx.errors import ConfigError
from tsx.spec.setting import declared
from tsx.spec.settings import PRIVACY, STATISTICAL, Reading, Roles, Settings
from tsx.spec.stub import RESULTS, stub
from tsx.spec.verbs import BACKTEST, EXPLAIN, FIT, OF_A_LABEL, TUNE, Verb

ROOT = Path(__file__).resolve().parents[2]
BEFORE = "    batch_size: int | None = setting("
NEW = """    warmup: int = setting(3, "Steps in which the rate rises.", group=TRAINING, metavar="N", least=1)
"""
PROGRAM = """
import inspect, json, sys
from pathlib import Path
import tsx
from tsx.cli.main import main
from tsx.cli.reference import reference
from tsx.spec.stub import stub

days = [f"2024-{1 + n // 28:02d}-{1 + n % 28:02d}" for n in range(150)]
Path("data.csv").write_text("ds,y\\n" + "".join(f"{day},{n % 7}\\n" for n, day in enumerate(days)))
SMALL = ["--horizon", "3", "--context-length", "12", "--max-steps", "2", "--hidden-size", "4", "--quiet"]
fit = ["fit", "data.csv", *SMALL]
Path("tsx.toml").write_text("[fit]\\nwarmup = 5")
status = [main([*fit, "--model", "by-file"]), main([*fit, "--warmup", "7", "--model", "by-flag"])]
tsx.fit("data.csv", model="by-keyword", warmup=9, horizon=3, context_length=12, max_steps=2, hidden_size=4)
import os
os.environ["TSX_WARMUP"] = "6"
status.append(main([*fit, "--model", "by-variable"]))
status.append(main(["fit", "data.csv", "--warmup", "0", "--quiet"]))
V1 = "versions/v1/manifest.json"
models = ("by-file", "by-flag", "by-keyword", "by-variable")
found = {
    "status": status,
    "parameter": str(inspect.signature(tsx.fit).parameters["warmup"]),
    "reference": [line for line in reference().splitlines() if "--warmup" in line],
    "stub": [line for line in stub().splitlines() if "warmup" in line],
    "manifests": {m: json.loads((Path(m) / V1).read_text())["settings"].get("warmup") for m in models},
}
Path("found.json").write_text(json.dumps(found))
"""


def test_a_setting_of_fit_is_added_in_one_place(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tsx", tmp_path / "tsx", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "tsx" / "spec" / "settings.py"
    text = file.read_text(encoding="utf-8")
    assert text.count(BEFORE) == 1
    file.write_text(text.replace(BEFORE, NEW + BEFORE), encoding="utf-8")
    environment = {"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["status"] == [0, 0, 0, 5]
    assert found["parameter"] == "warmup: int = 3"
    line = "| `--warmup N` | Steps in which the rate rises. Default: 3. |"
    assert found["reference"] == [line] * 3  # fit, backtest, tune
    assert found["stub"] == ["    warmup: int = 3,"] * 5  # fit and backtest, with a label and without; tune
    assert found["manifests"] == {"by-file": 5, "by-flag": 7, "by-keyword": 9, "by-variable": 6}


def test_the_stub_that_editors_and_type_checkers_read_is_up_to_date() -> None:
    assert (ROOT / "tsx" / "__init__.pyi").read_text(encoding="utf-8") == stub()


def test_the_reference_of_the_library_is_up_to_date_and_explains_every_keyword() -> None:
    page = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
    assert page == reference()
    for verb in RESULTS:
        entry = page.split(f"## tsx.{verb.name}\n")[1].split("\n## ")[0]
        assert all(f"| `{one.name}` |" in entry for one in verb.keywords)
        assert "**Returns:**" in entry
        assert "**Examples:**" in entry


def test_the_stub_names_what_the_package_gives() -> None:
    tree = ast.parse(stub())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    exported = {
        one.asname for node in tree.body if isinstance(node, ast.ImportFrom) for one in node.names if one.asname
    }
    assert functions | exported == set(tsx.__all__)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            named = [one.arg for one in node.args.kwonlyargs]
            parameters = signature(getattr(tsx, node.name)).parameters.values()
            assert named == [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]


@pytest.mark.parametrize("verb", [FIT, BACKTEST, TUNE], ids=lambda verb: verb.name)
def test_whatever_trains_takes_every_setting_of_the_table_and_of_the_network(verb: Verb) -> None:
    """But for what of it may be written, which concerns `fit` alone, and labels, for which no settings are searched."""
    settings = {one.name for cls in (Roles, Reading, Settings) for one in declared(cls) if one.group != PRIVACY}
    settings -= {one.name for one in OF_A_LABEL} if verb is TUNE else set()
    assert settings <= {one.name for one in verb.keywords}


def test_the_documentation_of_a_function_explains_each_keyword() -> None:
    text = tsx.fit.__doc__ or ""
    assert all(f"\n    {one.name}: {one.help[:20]}" in text for one in FIT.keywords)


def test_an_unknown_keyword_is_refused_as_by_any_function() -> None:
    with pytest.raises(TypeError, match="horizn"):
        tsx.fit("data.csv", horizn=3)  # type: ignore[call-arg]


def test_what_is_not_given_differs_from_the_default() -> None:
    assert FIT.request({}).given == {}
    assert FIT.request({"cell": "lstm", "seed": 0, "horizon": None}).given == {"cell": "lstm", "seed": 0}
    assert FIT.request({})["cell"] == "lstm"


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("horizon", "24", 24),
        ("horizon", "auto", None),
        ("horizon", np.int64(24), 24),
        ("max_time", "3s", 3.0),
        ("max_time", "1.5m", 90.0),
        ("max_time", 20, 20.0),
        ("past", 'price,"a,b"', ("price", "a,b")),
        ("past", ["a,b"], ("a,b",)),
        ("quantile_levels", "0.1,0.5,0.9", (0.1, 0.5, 0.9)),
        ("quantile_levels", 0.5, (0.5,)),
        ("missing", (-999, "LOW"), ("-999", "LOW")),
    ],
)
def test_a_keyword_takes_what_a_flag_takes(name: str, value: Any, read: Any) -> None:
    assert FIT.request({name: value}).given.get(name) == read


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("horizon", "soon", "setting-type-wrong"),
        ("horizon", 2.5, "setting-type-wrong"),
        ("horizon", True, "setting-type-wrong"),
        ("max_time", "soon", "setting-type-wrong"),
        ("max_time", 0, "setting-out-of-range"),
        ("dropout", "half", "setting-type-wrong"),
        ("past", [3], "setting-type-wrong"),
        ("wide", "yes", "setting-type-wrong"),
        ("cell", "gruu", "setting-unknown"),
        ("cell", ["gru"], "setting-unknown"),
        ("quantile_levels", True, "setting-type-wrong"),
        ("zone", 3, "setting-type-wrong"),
        ("model", 3, "setting-type-wrong"),
    ],
)
def test_a_keyword_of_a_wrong_type_is_a_declared_error_that_names_it(name: str, value: Any, code: str) -> None:
    with pytest.raises(ConfigError) as failed:
        tsx.fit("data.csv", **{name: value})
    assert (failed.value.code, failed.value.where) == (code, name)


def test_a_setting_is_told_in_the_same_words_by_every_command() -> None:
    assert {verb["seed"].help for verb in (FIT, BACKTEST, TUNE, EXPLAIN)} == {FIT["seed"].help}


def test_the_statistical_baselines_of_the_settings_are_those_that_there_are() -> None:
    assert set(STATISTICAL) == set(MODELS)
