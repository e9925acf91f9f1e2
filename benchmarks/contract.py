"""What other programs read of `tsx`: record it for two checkouts, and compare them.

    PYTHONPATH=CHECKOUT python benchmarks/contract.py record FILE
    python benchmarks/contract.py compare OLD NEW

`record` writes to a JSON file: the flags of every command, and with them the variables and keys of the settings file;
exit statuses; the codes of errors and findings; the names that `import tsx` gives, with their parameters; the keys of
every command's `--json` document; the files that commands write, with the columns of tables and the keys of documents.
All of it is taken from the program as it runs, so that it does not matter in which module something stands. `compare`
prints one line for each difference, and ends with status 1 if there is one.
"""

from __future__ import annotations

import os
import sys

# Python looks first in the folder of the file it runs, where `inspect` would hide the standard library's.
if sys.path[0] == os.path.realpath(os.path.dirname(__file__)):
    sys.path.pop(0)
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import argparse
import ast
import inspect
import json
import re
import runpy
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import chdir, suppress
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args
from unittest.mock import patch

import polars as pl

COLUMNS = "--id shop --time day --target visits"
ALL_COLUMNS = f"{COLUMNS} --past weather --future promotion --static region"
SMALL = "--horizon 3 --context-length 14 --max-steps 5 --hidden-size 8 --device cpu"
ASKED = "--windows 2 --max-evals 60 --device cpu"

RUNS = {
    "inspect": f"inspect shops.csv {COLUMNS} --json",
    "fit": f"fit shops.csv {ALL_COLUMNS} {SMALL} --cell gru --attention temporal --model model --json",
    "fit again": f"fit shops.csv {ALL_COLUMNS} --update --max-steps 5 --model model --json",
    "fit by columns": f"fit shops.csv {COLUMNS} {SMALL} --past weather --cell imv-lstm --ensemble 2 --model by --json",
    "fit exactly": f"fit shops.csv {COLUMNS} {SMALL} --past weather --cell minlstm --model exact --json",
    "make-future": "make-future --model model --json",
    "make-future file": "make-future --model model --out future.csv",
    "forecast": "forecast --model model --json",
    "forecast file": "forecast --model model --out forecast.parquet --json",
    "forecast text": "forecast --model model --out forecast.csv",
    "forecast samples": "forecast --model model --samples 3 --json",
    "forecast samples file": "forecast --model model --samples 3 --out paths.parquet",
    "forecast aggregate": "forecast --model model --aggregate sum --json",
    "forecast aggregate file": "forecast --model model --aggregate sum --out total.parquet",
    "forecast probabilities": "forecast --model model --above 20,30 --below 5 --json",
    "forecast probabilities file": "forecast --model model --above 20 --below 5 --out risks.parquet",
    "backtest": f"backtest shops.csv {COLUMNS} {SMALL} --cutoffs 2 --clinical mg/dl --json",
    "backtest probabilities": f"backtest shops.csv {COLUMNS} {SMALL} --cutoffs 2 --above 20 --below 5 --json",
    "backtest file": f"backtest shops.csv {COLUMNS} {SMALL} --cutoffs 2 --out backtest.parquet --json",
    "tune": f"tune shops.csv {COLUMNS} --horizon 3 --max-steps 5 --trials 2 --study study.db --out tuned.toml --json",
    "explain": f"explain --model model {ASKED} --interactions 2 --by region --seeds 2 --memory-needed "
    "--report html,md,json --out why --json",
    "explain changes": f"explain --model model {ASKED} --compare why --max-drift 0.5 --out changes --json",
    "explain by columns": f"explain --model by {ASKED} --value conditional --out why-by --json",
    "explain exactly": f"explain --model exact {ASKED} --players feature --explain sum --out why-exact --json",
    "demo": "demo --max-steps 5 --max-evals 60 --device cpu --json",
    "doctor": "doctor --json",
}
"""Commands in one folder, one after the other; of each: status, keys of the document, files written."""

FAILURES = (
    "fit",
    "fitt",
    "forecast --no-such-flag --json",
    "fit shops.csv --horizon soon --json",
    "fit no-such.csv --json",
    "fit empty.csv --json",
    "fit shops.csv --target no_such --json",
    "fit shops.csv --id shop --time day --target visits --dropout 2 --json",
    "forecast --model no-such --json",
    "forecast --model model --config no-such.toml --json",
    "explain --model model --max-drift 0.1 --json",
    f"explain --model by {ASKED} --compare why --max-drift 0 --out drift --json",
)
"""Commands that are refused, of which status and code are recorded; they run after those above."""

CODE = re.compile(r"[a-z]+(-[a-z0-9]+)*")
SEPARATOR = " > "


# ---------------------------------------------------------------------------------------------------------- recording


def record() -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        found = {"runs": runs(Path(folder)), "failures": failures(Path(folder))}
        with chdir(folder):
            return {**command_line(), **found, **codes(), "python": python(), "results": results()}


def command_line() -> dict[str, Any]:
    """The flags of every command, and what follows from them."""
    flags = {
        name: {key_of(one): described(one) for one in command.params} for name, command in group().commands.items()
    }
    keys = {name: sorted(key for key in own if key.isidentifier() and key != "config") for name, own in flags.items()}
    variables = {f"TSX_{key.upper()}" for own in keys.values() for key in own}
    named = {word for text in sources() for word in re.findall(r"\bTSX_[A-Z_]+\b", text)}
    return {
        "commands": {name: {"flags": own, "order": list(own)} for name, own in flags.items()},
        "settings file": {name: dict.fromkeys(own, True) for name, own in keys.items()},
        "variables": dict.fromkeys(sorted(variables | named), True),
    }


def group() -> Any:
    """The commands of the program, caught on its way to running one."""
    import typer

    caught: list[typer.Typer] = []

    def catch(app: typer.Typer, *_: Any, **__: Any) -> int:
        caught.append(app)
        return 0

    arguments = patch.object(sys, "argv", ["tsx", "--version"])
    with arguments, patch.object(typer.Typer, "__call__", catch), suppress(SystemExit):
        runpy.run_module("tsx", run_name="__main__")
    return typer.main.get_command(caught[0])


def key_of(parameter: Any) -> str:
    """The key of a flag in the settings file; the name of an argument, in angle brackets."""
    long = [name for name in parameter.opts if name.startswith("--")]
    return long[0].removeprefix("--").replace("-", "_") if long else f"<{parameter.metavar or parameter.name}>"


def described(parameter: Any) -> dict[str, Any]:
    annotation = parameter.type_descriptor.annotation
    choices = [choice for choice in get_args(annotation) if isinstance(choice, str)]
    return {
        "names": " ".join(name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("-")),
        "default": str(parameter.default),
        "type": " ".join(choices) or getattr(annotation, "__name__", str(annotation)),
        "repeatable": bool(getattr(parameter, "multiple", False)) or parameter.nargs != 1,
        "metavar": parameter.metavar,
        "required": parameter.required,
        "takes a value": not getattr(parameter, "is_flag", False),
    }


def runs(folder: Path) -> dict[str, Any]:
    write_tables(folder)
    found = {}
    for name, words in RUNS.items():
        before = times(folder)
        done = run(words, folder)
        print(f"{name}: status {done.returncode}", file=sys.stderr)
        written = [path for path, time in times(folder).items() if before.get(path) != time]
        found[name] = {
            "status": done.returncode,
            "stdout": shape(json.loads(done.stdout)) if "--json" in words else {},
            "files": {str(path.relative_to(folder)): content(path) for path in sorted(written)},
        }
    return found


def write_tables(folder: Path) -> None:
    """Visits of three shops, with covariates; of the newest three days only what is known ahead."""
    lines = ["shop,day,visits,promotion,weather,region"]
    for shop in range(3):
        for n in range(90):
            seen = f"{30 + 10 * shop + (0, 9, 4, -3, -8, 2, 5)[n % 7] + n * 37 % 5},{n % 5 // 4},{n * 13 % 11 + 0.5}"
            known = seen if n < 87 else f",{n % 5 // 4},"
            lines.append(f"shop{shop},{date(2024, 1, 1) + timedelta(n)},{known},{('north', 'south')[shop % 2]}")
    (folder / "shops.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "empty.csv").write_text("", encoding="utf-8")


def run(words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """`tsx` with these words, in a process of its own: the `tsx` that this process imports."""
    import tsx

    environment = {name: value for name, value in os.environ.items() if not name.startswith("TSX_")}
    environment["PYTHONPATH"] = str(Path(str(tsx.__file__)).parents[1])
    command = [sys.executable, "-m", "tsx", *shlex.split(words)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def content(path: Path) -> dict[str, Any]:
    """The columns of a table with their types, the keys of a document with theirs; nothing of other files."""
    if path.suffix == ".json":
        return shape(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".toml":
        return shape(tomllib.loads(path.read_text(encoding="utf-8")))
    if path.suffix in (".parquet", ".csv"):
        schema = pl.read_parquet_schema(path) if path.suffix == ".parquet" else pl.read_csv(path).schema
        return {"columns": {name: str(kind) for name, kind in schema.items()}, "order": list(schema)}
    return {"written": True}


def shape(document: Any) -> dict[str, str]:
    """The path of every key with the types that stand there."""
    found: dict[str, set[str]] = {}
    for path, kind in types(document, "."):
        found.setdefault(path, set()).add(kind)
    return {path: " or ".join(sorted(kinds)) for path, kinds in found.items()}


def types(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        yield path, "object"
        for key, inner in value.items():
            yield from types(inner, f"{path.rstrip('.')}.{key}")
    elif isinstance(value, list):
        yield path, "list"
        for inner in value:
            yield from types(inner, f"{path}[]")
    else:
        names = {bool: "boolean", int: "number", float: "number", str: "text", type(None): "null"}
        yield path, names.get(type(value), type(value).__name__)


def failures(folder: Path) -> dict[str, Any]:
    found = {}
    for words in FAILURES:
        done = run(words, folder)
        said = documents(done.stdout) if "--json" in words else []
        code = said[-1].get("error", {}).get("code") if said else None
        found[words] = {"status": done.returncode, "documents": len(said), "code": code}
    return found


def documents(text: str) -> list[Any]:
    """The JSON documents that stand one after the other in a text."""
    found, text = [], text.strip()
    while text:
        document, end = json.JSONDecoder().raw_decode(text)
        found.append(document)
        text = text[end:].strip()
    return found


def sources() -> list[str]:
    import tsx

    return [file.read_text(encoding="utf-8") for file in sorted(Path(str(tsx.__file__)).parent.rglob("*.py"))]


def codes() -> dict[str, Any]:
    """Exit statuses by class of error, and of every code what the page of errors says and with which status it is made.

    A code that is handed to a helper is made without a status; that it is still somewhere in the program is recorded.
    """
    import tsx

    statuses = {"TsxError": tsx.TsxError.exit_status} | {one.__name__: one.exit_status for one in below(tsx.TsxError)}
    made: dict[str, set[int]] = {}
    literals: set[str] = set()
    for node in (node for text in sources() for node in ast.walk(ast.parse(text))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            literals.add(node.value)
        called = getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and (status := statuses.get(called)) is not None:
            given = [*node.args[:1], *(one.value for one in node.keywords if one.arg == "code")]
            for one in (one for one in given if isinstance(one, ast.Constant) and CODE.fullmatch(str(one.value))):
                made.setdefault(str(one.value), set()).add(status)
    page = Path(str(tsx.__file__)).parents[1] / "docs" / "reference" / "errors.md"
    entries = re.findall(
        r"^### `([a-z0-9-]+)`\n\n(?:Exit status ([\d or]+)\.)?", page.read_text(encoding="utf-8"), re.M
    )
    told = {code: f"exit status {status}" if status else "a finding" for code, status in entries}
    return {
        "exit statuses": statuses,
        "codes": {
            code: {
                "on the page": told.get(code, "absent"),
                "made with status": sorted(made.get(code, ())),
                "in the program": code in literals,
            }
            for code in sorted({*made, *told})
        },
    }


def below(kind: Any) -> list[Any]:
    return [one for child in kind.__subclasses__() for one in (child, *below(child))]


def python() -> dict[str, Any]:
    """The names that `import tsx` gives, with the parameters of functions and of the methods of classes."""
    import tsx

    return {name: members(getattr(tsx, name)) for name in sorted(tsx.__all__)}


def members(thing: Any) -> dict[str, Any]:
    """Of a class the parameters it is made with, and its members but for those of Python's own classes."""
    if not isinstance(thing, type):
        return parameters(thing)
    own = {name for kind in thing.__mro__ if kind.__module__.startswith("tsx") for name in vars(kind)}
    found: dict[str, Any] = {"(...)": parameters(thing)}
    for name in sorted(name for name in own if not name.startswith("_")):
        member = getattr(thing, name)
        found[name] = parameters(member) if callable(member) else "attribute"
    return found


def parameters(function: Any) -> dict[str, Any]:
    """Kind and default of every parameter, and their order."""
    given = inspect.signature(function).parameters.values()
    kinds = {one.name: f"{one.kind.description}, {default(one)}" for one in given}
    return {"parameters": kinds, "order": list(kinds)}


def default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    if value is parameter.empty:
        return "required"
    return f"default {value!r}" if isinstance(value, str | bool | int | float | tuple | None) else "default: an object"


def results() -> dict[str, Any]:
    """The attributes of what the functions give back. In the folder of the runs."""
    import tsx

    roles: dict[str, Any] = {"id": "shop", "time": "day", "target": "visits"}
    small: dict[str, Any] = {**roles, "horizon": 3, "context_length": 14, "hidden_size": 8, "max_steps": 5}
    made = {
        "inspect": tsx.inspect("shops.csv", **roles),
        "fit": tsx.fit("shops.csv", model="called", **small),
        "forecast": tsx.forecast(model="called", samples=2),
        "backtest": tsx.backtest("shops.csv", cutoffs=1, **small),
        "tune": tsx.tune("shops.csv", **{name: small[name] for name in (*roles, "horizon", "max_steps")}, trials=1),
    }
    return {
        function: {name: True for name in dir(result) if not name.startswith("_")} for function, result in made.items()
    }


# ---------------------------------------------------------------------------------------------------------- comparing


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield SEPARATOR.join(path), json.dumps(value, ensure_ascii=False)


def compare(old: Path, new: Path) -> bool:
    """Print a line for each difference, and whether there is none."""
    before, after = (dict(leaves(json.loads(file.read_text(encoding="utf-8")))) for file in (old, new))
    lines = []
    for path in sorted({*before, *after}):
        was, has_become = before.get(path), after.get(path)
        if was is None or has_become is None:
            lines.append(f"{path}: {was or has_become}, only in {new if was is None else old}")
        elif was != has_become:
            lines.append(f"{path}: {was} has become {has_become}")
    print("\n".join([*lines, f"{len(before.keys() & after.keys()):,} entries compared, {len(lines):,} differ"]))
    return not lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recorder = commands.add_parser("record", help="write what the tsx that PYTHONPATH leads to promises")
    recorder.add_argument("file", type=Path)
    comparer = commands.add_parser("compare", help="say what differs between two records")
    comparer.add_argument("old", type=Path)
    comparer.add_argument("new", type=Path)
    asked = parser.parse_args()
    if asked.command == "compare":
        return int(not compare(asked.old, asked.new))
    asked.file.write_text(json.dumps(record(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
