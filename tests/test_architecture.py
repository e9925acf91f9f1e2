"""The layout of the package: what may import what, and what no module may do."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tsx.spec.encoders import ENCODERS
from tsx.spec.verbs import VERBS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tsx"
LAYERS = [
    ("tsx.errors", "tsx.progress", "tsx.wording", "tsx.sanitize", "tsx.shown"),
    ("tsx.spec",),
    ("tsx.runtime",),
    ("tsx.io",),
    ("tsx.table",),
    ("tsx.panel",),
    ("tsx.profile",),
    ("tsx.baselines",),
    ("tsx.model",),
    ("tsx.training", "tsx.store"),
    ("tsx.evaluation",),
    ("tsx.explanation",),
    ("tsx.workflows",),
    ("tsx.api", "tsx.report"),
    ("tsx.interop",),
    ("tsx.cli",),
]
"""The packages, lowest first: a module imports from its own package and from layers below."""
LAYER_OF = {package: layer for layer, packages in enumerate(LAYERS) for package in packages}
ENTRY_POINTS = ("tsx", "tsx.__main__")
"""Look their names up when they are asked for, so they may name every package."""
FOR_TYPES_ONLY = {("tsx.report", "tsx.api")}
"""Packages of one layer that may name each other's types: a report shows what the verbs return."""
HEAVY = ("torch", "shap", "altair", "polars", "numpy", "pandas", "scipy", "vl_convert", "jinja2", "pyarrow", "optuna")


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def package_of(module: str) -> str:
    """The package or top-level module of `LAYERS` that a module belongs to."""
    return next(name for name in (module, ".".join(module.split(".")[:2])) if name in LAYER_OF)


def imports(module: str, path: Path) -> Iterator[tuple[str, bool, int]]:
    """(module of this package, whether for type checkers only, line): top-level, in functions, relative ones too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            names = [f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "tsx" and name in MODULES:
                yield name, id(node) in for_types, node.lineno


def test_every_module_belongs_to_a_layer() -> None:
    for module in MODULES:
        assert module in ENTRY_POINTS or any(module == name or module.startswith(f"{name}.") for name in LAYER_OF), (
            module
        )


def test_a_module_imports_only_from_its_own_package_or_from_lower_layers() -> None:
    wrong = []
    for module, path in MODULES.items():
        if module in ENTRY_POINTS:
            continue
        for target, for_types, line in imports(module, path):
            if target == "tsx":
                if package_of(module) != "tsx.cli":
                    wrong.append(f"{module}:{line} imports the entry point")
                continue
            here, there = package_of(module), package_of(target)
            lower = here == there or LAYER_OF[there] < LAYER_OF[here] or LAYER_OF[here] == LAYER_OF[there] == 0
            if not lower and not (for_types and (here, there) in FOR_TYPES_ONLY):
                wrong.append(f"{module}:{line} imports {target}")
    assert wrong == []


def test_no_module_imports_itself_through_others() -> None:
    graph = {
        module: {target for target, for_types, _ in imports(module, path) if not for_types and target != module}
        for module, path in MODULES.items()
        if module not in ENTRY_POINTS
    }
    done: set[str] = set()

    def visit(module: str, chain: tuple[str, ...]) -> None:
        assert module not in chain, " -> ".join([*chain[chain.index(module) :], module])
        if module in done or module not in graph:
            return
        for target in sorted(graph[module]):
            visit(target, (*chain, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def test_the_import_reader_sees_relative_nested_and_type_only_imports(tmp_path: Path) -> None:
    path = tmp_path / "probe.py"
    path.write_text(
        "from ..io import source\n"
        "from tsx import errors\n"
        "import tsx.progress\n"
        "if TYPE_CHECKING:\n    from tsx.api import fit\n"
        "def f():\n    from tsx.report.labels import number_columns\n"
    )
    assert sorted(imports("tsx.report.probe", path)) == [
        ("tsx.api", True, 5),
        ("tsx.errors", False, 2),
        ("tsx.io.source", False, 1),
        ("tsx.progress", False, 3),
        ("tsx.report.labels", False, 7),
    ]


def test_no_module_is_a_drawer_for_leftovers() -> None:
    assert [module for module in MODULES if "util" in module or "helper" in module] == []


def test_every_file_is_formatted_as_a_whole() -> None:
    files = [path for folder in ("tsx", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    marks = ("# fmt:" + " skip", "# fmt:" + " off")
    assert [path.name for path in files if any(mark in path.read_text(encoding="utf-8") for mark in marks)] == []


def test_nothing_is_unpickled_evaluated_or_taken_from_click() -> None:
    modules = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "click"}
    calls = {"eval", "exec", "torch.load", "torch.save", "np.load", "numpy.load", "os.system"}
    wrong = []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                bad = bool({alias.name.split(".")[0] for alias in node.names} & modules)
            elif isinstance(node, ast.ImportFrom):
                bad = (node.module or "").split(".")[0] in modules or "_click" in (node.module or "")
            else:
                bad = isinstance(node, ast.Call) and ast.unparse(node.func) in calls
            if bad:
                wrong.append(f"{module}:{getattr(node, 'lineno', 0)}")
    assert wrong == []


def test_only_the_command_line_knows_its_framework() -> None:
    for module, path in MODULES.items():
        if not module.startswith("tsx.cli"):
            assert "typer" not in path.read_text(encoding="utf-8"), module


def test_arrow_arrays_come_from_polars_since_pyarrow_would_import_pandas() -> None:
    wrong = [module for module, path in MODULES.items() if "pa.array(" in path.read_text(encoding="utf-8")]
    assert wrong == []


def loaded_after(code: str) -> set[str]:
    """Heavy packages in memory after running `code` in a process of its own."""
    program = f"{code}\nimport sys\nprint(*(m for m in {HEAVY!r} if m in sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stderr.split())


def test_only_the_encoders_know_an_encoder_by_its_name() -> None:
    """Whoever depends on one asks for a capability, so that a new encoder is not forgotten anywhere."""
    home = ("tsx.model.encoders", "tsx.spec.encoders")
    wrong = []
    for module, path in MODULES.items():
        if module.startswith(home):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            known: list[ast.expr | None] = []
            if isinstance(node, ast.Compare):
                known = [node.left, *node.comparators]
            elif isinstance(node, ast.Dict):
                known = list(node.keys)
            elif isinstance(node, ast.MatchValue):
                known = [node.value]
            for each in known:
                elements = each.elts if isinstance(each, ast.Tuple | ast.List | ast.Set) else [each]
                if any(isinstance(one, ast.Constant) and one.value in ENCODERS for one in elements):
                    wrong.append(f"{module}:{each.lineno}")
    assert wrong == []


def test_the_names_of_encoders_load_nothing_heavy() -> None:
    assert loaded_after("import tsx.spec.encoders") == set()


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import tsx; dir(tsx)") == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["fit", "--help"], ["fit", "--no-such-flag"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import contextlib, io\nfrom tsx.cli.main import main\n"
        f"with contextlib.redirect_stderr(io.StringIO()): main({arguments!r})"
    )
    assert loaded_after(code) == set()


@pytest.mark.parametrize("verb", [one.command for one in VERBS if one.data == "fitted"])
def test_a_missing_model_is_found_out_before_torch_is_loaded(verb: str) -> None:
    needed = ["--ledger", "kept"] if verb == "monitor" else []
    code = (
        "import contextlib, io\nfrom tsx.cli.main import main\n"
        "with contextlib.redirect_stderr(io.StringIO()) as said:\n"
        f"    assert main({[verb, '--model', 'no-such-model', *needed]!r}) == 4\n"
        "assert 'model-not-found' in said.getvalue()"
    )
    assert "torch" not in loaded_after(code)


def test_inspecting_a_table_never_loads_torch(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("ds,y\n" + "".join(f"2024-01-{day:02d},{day % 7}\n" for day in range(1, 31)))
    code = f"from tsx.cli.main import main\nassert main(['inspect', {str(table)!r}, '--quiet']) == 0"
    assert "polars" in loaded_after(code)
    assert "torch" not in loaded_after(code)


def test_planning_a_network_never_loads_torch() -> None:
    assert "torch" not in loaded_after("import tsx.training.plan")


def test_the_wheel_lists_every_package() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
    folders = {".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")}
    assert set(settings["packages"]) == folders | {"tsx.sample_data", "tsx.docs", "tsx.docs.reference"}


def test_the_pinned_set_lies_within_the_ranges() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {name.casefold(): version for name, _, version in (line.partition("==") for line in lines) if version}
    for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        name, _, lowest = requirement.partition(">=")
        version = pinned[name.casefold()]
        assert tuple(map(int, version.split(".")[:2])) >= tuple(map(int, (lowest + ".0").split(".")[:2])), name
        assert "+" not in version
