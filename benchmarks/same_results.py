"""Whether a change of the program changed what it computes: record the results of two checkouts, and compare them.

    PYTHONPATH=CHECKOUT python benchmarks/same_results.py record FOLDER [--cases NAME,...]
    python benchmarks/same_results.py compare OLD NEW [--rtol SHARE] [--numbers]

`record` fits small models with the `tsx` that PYTHONPATH leads to, by its public functions alone, and writes for each
its weights, manifest, forecasts, backtest and explanation. `compare` prints one line for every item (a tensor, a
column, a key of a JSON document) that differs, and ends with status 1 if there is one.
"""

from __future__ import annotations

import os
import sys

# Python looks first in the folder of the file it runs, where `inspect` would hide the standard library's.
if sys.path[0] == os.path.realpath(os.path.dirname(__file__)):
    sys.path.pop(0)
# The last bits of a sum depend on how many threads share it. Both are read when torch is loaded.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"

import argparse
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, is_dataclass
from datetime import date
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Literal

import numpy as np
import polars as pl

RENAMED: dict[str, dict[str, str]] = {
    "tensors": {
        r"^others\.0\.": "1:",
        r"^others\.1\.": "2:",
        r"^(typical_scale|covariate_scale|relative|static_location|static_scale)$": r"scaler.\1",
        r"^usual_standing$": "scaler.level_statistics",
        r"^usual_center$": "scaler.typical_center",
        r"^smoothing\.": "additive.smoothing.",
        r"^share$": "additive.network_weight",
        r"^usual$": "additive.mean_output",
        r"^(levels|point_weights|spread_factors)$": r"head.\1",
        r"^(categories|recurrence|mixture|attention|linear|direct|joint)\.": r"0:\1.",
        r"^(\d):categories\.": r"members.\1.embedding.categories.",
        r"^(\d):recurrence\.": r"members.\1.encoder.",
        r"^(\d):(mixture|attention|linear)\.": r"members.\1.\2.",
        r"^(\d):(direct|joint)\.": r"members.\1.decoder.\2.",
    },
    "columns": {},
    "keys": {
        r"\belapsed\b": "time_since_observed",
        r"\babsolute\b": "level_inputs",
        r"\bidentity\b": "series_embedding",
        r"\bdecisions([.\[]+)share\b": r"decisions\1network_weight",
    },
}
"""Old names to new ones: regular expressions and what stands in their place, in the names of tensors, in those of
columns, and in the paths of keys (`manifest.training.seed`). New names must not fit an old one's expression, since both
recordings are read with them."""
ON_ONE_SIDE: tuple[str, ...] = (
    "parts/*",
    "*/manifest.settings.*",
    "*/manifest.reading.snapped",
    "*/manifest.reading.closed_days*",
    "*/weights.[12]:*",  # what the other members of an ensemble repeated of the first
)
"""Items that one recording alone may have, as patterns of the printed names: `parts/forecast.*`."""

SAMPLE_DATA = Path(__file__).resolve().parents[1] / "sample_data"
ABOUT_THE_RUN = {"versions", "format_version", "path", "seconds"}
"""Keys that name what wrote the model, the machine, the time or a place on the disk."""
SMALL = {"hidden_size": 12, "max_steps": 30, "batch_size": 64, "device": "cpu"}
LABELS = ("name", "code", "model")
"""Keys that say which object of a list it is."""
OWN_TABLES = (
    *("forecasts", "quantiles", "history", "lag_importance", "lag_profile", "by_step"),
    *("memory_units", "retention", "gradient_decay", "attention"),
)
"""Attributes of an explanation that are tables, beside those in `tables`."""


# ---------------------------------------------------------------------------------------------------------- the cases


@dataclass(frozen=True)
class Case:
    """A model: its table, and what the four functions are asked beside it.

    newer   rows of every series that come after the fit: the forecast is made from them too, or, with `update`, the
            model goes on from its weights on them
    stored  as one Parquet file, as CSV with decimal commas, or as a list of files, one for each series
    """

    name: str
    table: Callable[[], pl.DataFrame]
    roles: dict[str, Any]
    fit: dict[str, Any]
    backtest: dict[str, Any] = field(default_factory=dict)
    forecast: dict[str, Any] = field(default_factory=lambda: {"samples": 10})
    explain: dict[str, Any] = field(default_factory=dict)
    newer: int = 0
    update: bool = False
    stored: Literal["parquet", "csv", "parts"] = "parquet"


def newest(file: str, id: str, ids: int, rows: int) -> pl.DataFrame:
    """The newest `rows` rows of the first `ids` series of a shipped table."""
    table = pl.read_parquet(SAMPLE_DATA / file)
    chosen = table[id].unique().sort().head(ids).to_list()
    return table.filter(pl.col(id).is_in(chosen)).group_by(id, maintain_order=True).tail(rows)


def prices() -> pl.DataFrame:
    return newest("stocks_daily.parquet", "symbol", 2, 220)


def glucose() -> pl.DataFrame:
    return newest("glucose_simulated.parquet", "patient", 2, 1100).drop("true_bg_mg_dl")


def visits(rows: int = 150, shops: int = 4) -> pl.DataFrame:
    """Daily visits of shops: a weekly season and noise, with covariates of every kind."""
    random = np.random.default_rng(11)
    day = np.arange(rows)
    days = pl.date_range(date(2024, 1, 1), date.fromordinal(date(2024, 1, 1).toordinal() + rows - 1), eager=True)
    tables = []
    for n in range(shops):
        promotion, weather = (random.random(rows) < 0.2).astype(int), random.normal(15, 5, rows).round(1)
        level = 40 + 15 * n + 8 * np.sin(2 * np.pi * day / 7) + 12 * promotion + 0.4 * weather
        columns = {
            "shop": [f"shop{n}"] * rows,
            "day": days,
            "visits": (level + random.normal(0, 4, rows)).clip(0).round(),
            "promotion": promotion,
            "weather": weather,
            "region": [("north", "south")[n % 2]] * rows,
            "floor_area": [100.0 + 50 * n] * rows,
        }
        tables.append(pl.DataFrame(columns))
    return pl.concat(tables)


def visits_with_gaps() -> pl.DataFrame:
    """Visits, of which some were not recorded, some covariates neither, and some days have no row."""
    random = np.random.default_rng(12)
    table = visits()
    unseen, unmeasured, absent = (pl.Series(random.random(table.height) < share) for share in (0.07, 0.1, 0.03))
    return table.with_columns(
        pl.when(unseen).then(None).otherwise(pl.col("visits") + 1).alias("visits"),
        pl.when(unmeasured).then(None).otherwise("weather").alias("weather"),
    ).filter(~absent)


SHOPS = {"id": "shop", "time": "day", "target": "visits"}
TWO_WEEKS = {"horizon": 3, "context_length": 14}

CASES = (
    Case(
        "prices",
        prices,
        {"id": "symbol", "time": "date", "target": "adj_close"},
        {"cell": "lstm", "transform": "log-return", "horizon": 3, "context_length": 16},
        explain={"interactions": 3},
    ),
    Case(
        "glucose",
        glucose,
        {"id": "patient", "time": "time", "target": "cgm_mg_dl", "past": ["carbs_g_per_min", "insulin_u_per_min"]},
        {"cell": "gru", "attention": "temporal", "segment": 6, "context_length": 36, "intervals": "adaptive"},
        backtest={"clinical": "mg/dl"},
        newer=24,
    ),
    Case(
        "shops",
        visits,
        {**SHOPS, "future": "promotion", "static": ["region", "floor_area"]},
        {"cell": "minlstm", "calendar": True, "horizon": 4, "context_length": 14},
        forecast={"aggregate": "sum", "samples": 20},
        explain={"by": "region", "players": "feature", "explain": "sum"},
    ),
    Case(
        "gaps",
        visits_with_gaps,
        {**SHOPS, "past": "weather", "static": "region"},
        {**TWO_WEEKS, "cell": "rnn", "transform": "log", "delay": 2},
        explain={"reference": "panel", "explain": "q0.9"},
        stored="csv",
    ),
    Case(
        "counts",
        visits,
        SHOPS,
        {**TWO_WEEKS, "cell": "lstm-nog", "counts": True, "layers": 2, "dropout": 0.2},
        backtest={"refit": "every"},
        explain={"seeds": 2, "level": "hold"},
        newer=10,
        update=True,
    ),
    Case(
        "ensemble",
        visits,
        {**SHOPS, "past": "weather", "future": "promotion"},
        {**TWO_WEEKS, "cell": "lstm", "ensemble": 2, "point": "mean", "quantile_levels": (0.1, 0.5, 0.9)},
        explain={"value": "conditional", "group": 7},
    ),
    Case(
        "columns",
        visits,
        {**SHOPS, "past": "weather", "future": "promotion", "static": "region"},
        {**TWO_WEEKS, "cell": "imv-lstm", "attention": "temporal", "intervals": "network"},
        explain={"memory_needed": True, "players": "lag", "explain": "width", "reference": "recent"},
    ),
    Case(
        "parts",
        visits,
        {**SHOPS, "past": "weather"},
        {**TWO_WEEKS, "cell": "gru", "max_steps": 110},
        stored="parts",
    ),
)


# ---------------------------------------------------------------------------------------------------------- recording


class Recording:
    """The folder of one case."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder

    def tensors(self, name: str, weights: Path) -> None:
        from safetensors.numpy import load_file

        np.savez(self.folder / f"{name}.npz", **load_file(weights))  # type: ignore[arg-type]

    def table(self, name: str, frame: pl.DataFrame | None) -> None:
        if frame is not None:
            frame.write_parquet(self.folder / f"{name}.parquet")

    def document(self, name: str, values: Any) -> None:
        text = json.dumps(plain(values), indent=1, ensure_ascii=False)
        (self.folder / f"{name}.json").write_text(text, encoding="utf-8")


def plain(value: Any) -> Any:
    """As JSON has it, without what is about the run."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items() if key not in ABOUT_THE_RUN}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, np.ndarray | np.generic | pl.Series):
        return plain(value.tolist() if hasattr(value, "tolist") else value.to_list())
    return value if isinstance(value, str | bool | int | float | None) else str(value)


def record(folder: Path, names: list[str]) -> None:
    """Record the cases of these names, or all."""
    import tsx

    print(f"recording {Path(str(tsx.__file__)).parent}", file=sys.stderr)
    for case in CASES:
        if names and case.name not in names:
            continue
        began = perf_counter()
        shutil.rmtree(folder / case.name, ignore_errors=True)
        with TemporaryDirectory() as work:
            record_case(case, Recording(folder / case.name), Path(work))
        print(f"{case.name}: {perf_counter() - began:.0f} s", file=sys.stderr)


def record_case(case: Case, into: Recording, work: Path) -> None:
    model = work / "model"
    whole = stored(case.table(), work / "whole", case)
    record_fit(case, into, model, work, whole)
    record_backtest(case, into, whole)
    try:
        record_use(case, into, model, whole if case.newer else None)
    except Exception as error:
        if case.stored != "parts":
            raise
        # Version 0.1.0 does not load a model that was fitted on a list of files.
        print(f"{case.name}: the model is not loaded ({type(error).__name__})", file=sys.stderr)


def stored(table: pl.DataFrame, place: Path, case: Case) -> str | list[str]:
    """The path of the table's file, or those of its parts."""
    if case.stored == "csv":
        table.write_csv(place.with_suffix(".csv"), separator=";", decimal_comma=True)
        return str(place.with_suffix(".csv"))
    if case.stored == "parquet":
        table.write_parquet(place.with_suffix(".parquet"))
        return str(place.with_suffix(".parquet"))
    place.mkdir()
    paths: list[str] = []
    for part in table.partition_by(case.roles["id"], maintain_order=True):
        paths.append(str(place / f"part{len(paths)}.parquet"))
        part.write_parquet(paths[-1])
    return paths


def record_fit(case: Case, into: Recording, model: Path, work: Path, whole: str | list[str]) -> None:
    """Weights, manifest and what `fit` says; with `update` also the weights before."""
    import tsx
    from tsx.store.layout import folder_in_use

    rows = pl.len().over(case.roles["id"])
    known = case.table().filter(pl.int_range(pl.len()).over(case.roles["id"]) < rows - case.newer)
    data = stored(known, work / "known", case) if case.newer else whole
    fitted = tsx.fit(data, model=model, **case.roles, **{**SMALL, **case.fit})
    if case.update:
        into.tensors("weights_before", folder_in_use(model) / "model.safetensors")
        fitted = tsx.fit(whole, model=model, update=True, max_steps=10, device="cpu")
    into.tensors("weights", folder_in_use(model) / "model.safetensors")
    into.document("manifest", json.loads((folder_in_use(model) / "manifest.json").read_text(encoding="utf-8")))
    into.document("fit", {key: value for key, value in fitted.to_dict().items() if key != "model"})


def record_backtest(case: Case, into: Recording, whole: str | list[str]) -> None:
    import tsx

    made = tsx.backtest(whole, cutoffs=2, **case.roles, **{**SMALL, **case.fit}, **case.backtest)
    into.table("backtest", made.frame)
    parts = ("summary", "per_step", "verdict", "notes", "clinical")
    into.document("backtest", {name: getattr(made, name) for name in parts})


def record_use(case: Case, into: Recording, model: Path, data: str | list[str] | None) -> None:
    """What the fitted model gives: the table to fill in, the forecast and its paths, the explanation."""
    import tsx

    future = None
    if "future" in case.roles:
        table = tsx.make_future(data, model=model)
        into.table("future", table)
        future = table.with_columns(pl.col(case.roles["future"]).fill_null(1))
    given: dict[str, Any] = {"model": model, "future_data": future, "device": "cpu"}
    made = tsx.forecast(data, **given, **case.forecast)
    into.table("forecast", made.frame)
    into.table("paths", vars(made).get("sample_paths", vars(made).get("paths")))
    into.document("forecast", {"findings": made.findings, "unseen": made.unseen})
    explained = tsx.explain(data, **given, **{"windows": 3, "max_evals": 300, **case.explain})
    for name in OWN_TABLES:
        into.table(f"explanation-{name}", getattr(explained, name))
    for name, table in explained.tables.items():
        into.table(f"explanation-{name}", table)
    into.document("explanation", explained.summary())
    into.document("surrogate", explained.surrogate)
    into.document("checks", {"checks": explained.checks, "verdict": explained.verdict})


# ---------------------------------------------------------------------------------------------------------- comparing


@dataclass(frozen=True)
class Item:
    """A tensor, a column or a key: its type, its values as numbers (NaN where they are none) and the rest as text."""

    kind: str
    numbers: np.ndarray
    texts: list[str]


def item(kind: str, values: list[Any]) -> Item:
    """Of values of any kind."""
    number = [isinstance(value, int | float) and not isinstance(value, bool) for value in values]
    numbers = np.array([value if is_one else np.nan for value, is_one in zip(values, number)], dtype=np.float64)
    return Item(kind, numbers, ["" if is_one else str(value) for value, is_one in zip(values, number)])


def read(folder: Path, numbers_only: bool) -> dict[str, Item]:
    """Every item of a recording by its name: case/file.item."""
    found: dict[str, Item] = {}
    for path in sorted(folder.glob("*/*.*")):
        reader = {".npz": tensors, ".parquet": columns, ".json": keys}[path.suffix]
        for name, values in reader(path, numbers_only):
            found[f"{path.parent.name}/{name}"] = values
    return found


def renamed(name: str, kind: str) -> str:
    for old, new in RENAMED[kind].items():
        name = re.sub(old, new, name)
    return name


def tensors(path: Path, numbers_only: bool) -> Iterator[tuple[str, Item]]:
    with np.load(path) as arrays:
        for name, array in arrays.items():
            kind = f"{array.dtype} {array.shape}"
            values = array.ravel().astype(np.float64)
            yield f"{path.stem}.{renamed(name, 'tensors')}", Item(kind, values, [""] * len(values))


def columns(path: Path, numbers_only: bool) -> Iterator[tuple[str, Item]]:
    """The columns of a table, its rows ordered by every column that is not a measured number, and that order."""
    table = pl.read_parquet(path)
    table = table.rename({name: renamed(name, "columns") for name in table.columns})
    ordering = sorted(name for name, kind in table.schema.items() if not kind.is_float() and not kind.is_nested())
    if ordering:
        table = table.with_row_index("(order of rows)").sort(ordering, maintain_order=True)
    for name, kind in table.schema.items():
        column = table[name].cast(pl.Int64) if kind.is_temporal() else table[name]
        values = column.to_list()
        yield f"{path.stem}.{name}", item(str(kind), ["" if numbers_only and is_sentence(v) else v for v in values])


def keys(path: Path, numbers_only: bool) -> Iterator[tuple[str, Item]]:
    """The values of a JSON document by the path of their key; those of a list together."""
    found: dict[str, list[Any]] = {}
    for name, value in leaves(json.loads(path.read_text(encoding="utf-8")), path.stem):
        if any(name.endswith(f"[{value}].{label}") for label in LABELS):
            continue  # the label is part of the path already, under its new name
        if not (numbers_only and is_sentence(value)):
            found.setdefault(renamed(name, "keys"), []).append(value)
    for name, values in found.items():
        yield name, item("", values)


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every single value with its path; an object in a list is known by its label where it has one."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for inner in value:
            label = next((inner[key] for key in LABELS if key in inner), "") if isinstance(inner, dict) else ""
            yield from leaves(inner, f"{path}[{label}]")
    else:
        yield path, value


def is_sentence(value: Any) -> bool:
    return isinstance(value, str) and " " in value


def compare(old: Path, new: Path, rtol: float, numbers_only: bool) -> bool:
    """Print a line for all that differs, and whether nothing does."""
    before, after = read(old, numbers_only), read(new, numbers_only)
    shared = before.keys() & after.keys()
    lines = {name: what for name in shared if (what := difference(before[name], after[name], rtol))}
    files = {name.partition(".")[0] for name in before} & {name.partition(".")[0] for name in after}
    for name in before.keys() ^ after.keys():
        file = name.partition(".")[0]
        if not any(fnmatch(name, pattern) for pattern in ON_ONE_SIDE):
            lines[name if file in files else file] = f"only in {old if name in before else new}"
    for name, what in sorted(lines.items()):
        print(f"{name}: {what}")
    print(f"{len(shared):,} items compared, {len(lines):,} differ")
    return bool(shared) and not lines


def difference(old: Item, new: Item, rtol: float) -> str:
    """What differs, in words; empty where nothing does by more than `rtol` of a value.

    A value that is small beside the largest of its item may differ by `rtol` of a thousandth of that one.
    """
    if old.kind != new.kind:
        return f"{old.kind} has become {new.kind}"
    if len(old.texts) != len(new.texts):
        return f"{len(old.texts)} values have become {len(new.texts)}"
    said = []
    if texts := [(a, b) for a, b in zip(old.texts, new.texts) if a != b]:
        was, has_become = (text[:70] for text in texts[0])
        said.append(f"{len(texts)} of {len(old.texts)} texts, the first: {was!r} has become {has_become!r}")
    a, b = old.numbers, new.numbers
    size = np.maximum(np.abs(a), np.abs(b))
    room = rtol * np.maximum(size, 1e-3 * size[np.isfinite(size)].max(initial=0)) if rtol else 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        apart = np.abs(a - b)
        wrong = ~((a == b) | (np.isnan(a) & np.isnan(b)) | (apart <= room))
        share = apart / size
    if wrong.any():
        most, most_of_it = apart[wrong].max(), share[wrong].max()
        said.append(f"{wrong.sum():,} of {len(a):,} numbers, by {most:.3g} at most, and by {most_of_it:.3g} of a value")
    return "; ".join(said)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recorder = commands.add_parser("record", help="write the results of the tsx that PYTHONPATH leads to")
    recorder.add_argument("folder", type=Path)
    recorder.add_argument("--cases", default="", help=", ".join(case.name for case in CASES))
    comparer = commands.add_parser("compare", help="say what differs between two recordings")
    comparer.add_argument("old", type=Path)
    comparer.add_argument("new", type=Path)
    comparer.add_argument(
        "--rtol", type=float, default=0.0, help="relative difference that is let pass (default: none)"
    )
    comparer.add_argument("--numbers", action="store_true", help="leave out texts with a space in them: sentences")
    asked = parser.parse_args()
    if asked.command == "record":
        record(asked.folder, [name for name in asked.cases.split(",") if name])
        return 0
    return int(not compare(asked.old, asked.new, asked.rtol, asked.numbers))


if __name__ == "__main__":
    sys.exit(main())
