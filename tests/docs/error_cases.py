"""An example of every error, in the order of docs/reference/errors.md."""

from __future__ import annotations

import errno
import gzip
import io
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
import torch

import tsx
from tests.docs.examples import (
    BARE,
    CASES,
    CENTURY,
    EARLY,
    FALL,
    HOURS,
    ONE,
    PLAIN,
    SCATTERED,
    STAFFED,
    WIDE,
    Example,
    days,
    explained,
    forecast_from,
    forecast_with,
    future,
    inspected,
    inspected_hours,
    raising,
    rows,
    staffed,
    text,
    value,
    with_cell,
    with_column,
)
from tsx.cli.main import Stop
from tsx.evaluation.search_space import Space
from tsx.evaluation.study import open_study
from tsx.interop.sklearn import TsxClassifier
from tsx.io import formats
from tsx.panel.calendar import Calendar
from tsx.panel.limits import check_room
from tsx.progress import SILENT
from tsx.report.tables import write_explanation
from tsx.runtime.engines import Starting, lost
from tsx.runtime.group import Group
from tsx.spec.network import NetworkConfig, TrainingConfig
from tsx.spec.schema import Schema
from tsx.spec.settings import Sampling, Settings
from tsx.store.forecaster import load_forecaster
from tsx.store.from_json import from_json
from tsx.store.ledger import _locked
from tsx.store.lock import writing_to
from tsx.training.private_plan import plan_run
from tsx.workflows.elsewhere import inputs_changed
from tsx.workflows.forecast import forecast_panel
from tsx.workflows.gates import Checked, failed_gate
from tsx.workflows.in_parts import check_results
from tsx.workflows.open_table import open_again
from tsx.workflows.part_work import Done, Job, open_worker

FITTED = {"cases.csv": CASES}
FIT = "tsx fit cases.csv --model new --max-steps 1 --horizon 3 --context-length 8"
STAFF = "tsx fit cases.csv --model new --future staff"
"""Neither is run to its end in an example of an error."""


def _open_study(table: str, then: Callable[[str], None] = lambda _: None) -> None:
    space = Space((), Settings(), NetworkConfig(horizon=1, context_length=1, segment=1, season=1))
    with open_study("tune.db", space, {"the table": table}, seed=0):
        then(table)


def _write_while_another_run_does() -> None:
    with writing_to("new"), ThreadPoolExecutor(1) as another:
        another.submit(writing_to("new").__enter__).result()


def _raise(error: BaseException | None) -> None:
    assert error is not None
    raise error


def _recorded(target: str = "cases") -> Any:
    """Monitoring with a forecast that was recorded just now, of this target."""
    tsx.forecast(model="plain", ledger="nights")
    (entry,) = Path("nights").glob("*.json")
    entry.write_text(entry.read_text().replace('"cases"', f'"{target}"'))
    return tsx.monitor(model="plain", ledger="nights")


def _append_while_another_run_does() -> None:
    with patch("tsx.store.ledger.PATIENCE", 0.0), _locked(Path()), ThreadPoolExecutor(1) as another:
        another.submit(_locked(Path()).__enter__).result()


def command(code: str, flags: str, **more: Any) -> Example:
    return Example(code, f"tsx {flags}", FITTED, **more)


def broken(code: str, error: BaseException) -> Example:
    """`tsx inspect` that runs into something from outside."""
    return Example(code, "tsx inspect cases.csv", FITTED, {"tsx.api.inspect": raising(error)})


def settings(code: str, content: str) -> Example:
    return Example(code, "tsx fit cases.csv", {**FITTED, "tsx.toml": content})


def fitting(code: str, flags: str, **more: Any) -> Example:
    return Example(code, f"{FIT} {flags}", FITTED, **more)


def _more_than_there_is() -> None:
    """Where the room for a panel is checked: a table that does not fit anywhere is too large for a test."""
    schema = Schema("time", "glucose", "patient")
    check_room(4_000_000_000, 3_500_000_000, schema, Calendar.parse("5m"), "glucose.parquet")


def _one_of_two_is_gone() -> None:
    """Where processes meet: two of them are too slow for a test."""
    Group(rank=0, size=2).wait()


def _microseconds_called_days() -> bytes:
    """Numbers of another unit under the type of dates."""
    sink = io.BytesIO()
    days_far_away = pl.Series("day", range(2_000_000_000, 2_000_000_060), dtype=pl.Int32).cast(pl.Date)
    pl.DataFrame([days_far_away, pl.Series("cases", map(value, range(60))).cast(pl.Float64)]).write_parquet(sink)
    return sink.getvalue()


def _bomb() -> bytes:
    """A file that is a thousand times as large once unpacked."""
    return gzip.compress(b"ward,day,cases\n" + b"0" * (65 * 2**20), 1)


def _without_targets() -> Any:
    forecaster, _ = load_forecaster("plain")
    panel = open_again(forecaster, pl.read_csv(io.StringIO(CASES)))
    return forecast_panel(forecaster, replace(panel, values=np.full_like(panel.values, np.nan))).frame


def _without_ranks() -> Any:
    forecaster, _ = load_forecaster("plain")
    panel = open_again(forecaster, pl.read_csv(io.StringIO(CASES)))
    return forecast_panel(replace(forecaster, ranks=None), panel, Sampling(10))


def _profile() -> bytes:
    """The lag profile of an earlier report."""
    sink = io.BytesIO()
    pl.DataFrame({"feature": ["cases"], "lag": [1], "mean_abs_shap": [1.0], "share": [1.0]}).write_parquet(sink)
    return sink.getvalue()


COMMAND_LINE = [
    command("usage", "doctor now"),
    command("command-unknown", "forcast"),
    command("option-unknown", "fit cases.csv --horizn 7"),
    command("argument-missing", "inspect"),
    command("value-invalid", "fit cases.csv --horizon soon"),
    command("flags-contradict", "inspect cases.csv --quiet --verbose"),
    command("stdout-twice", "forecast --model plain --json --out -"),
    command("too-many-samples", "forecast --model plain --samples 70000000"),
    Example("report-kind-unknown", lambda: write_explanation(explained(), "why", ("docx",))),
    command("page-unknown", "docs explainig"),
    Example("nothing-to-plot", lambda: replace(tsx.forecast(model="plain"), history=None).plot()),
    Example("source-unknown", lambda: tsx.inspect(42)),  # type: ignore[arg-type]
    Example("step-out-of-range", lambda: explained().to_shap(step=9)),
    Example("config-not-found", "tsx fit cases.csv --config night.toml", FITTED),
    settings("config-unreadable", "horizon = \n"),
    settings("config-unknown-key", "[fit]\nhorizn = 7\n"),
    command("config-unknown-variable", "fit cases.csv", variables={"TSX_HORIZN": "7"}),
    command("config-value-invalid", "fit cases.csv", variables={"TSX_HORIZON": "soon"}),
    Example("config-unknown-field", lambda: from_json(NetworkConfig, {"horizon": 3, "heads": 8})),
    fitting("setting-out-of-range", "--layers 0"),
    command("setting-unknown", "inspect cases.csv --decimal ;"),
    Example("setting-type-wrong", lambda: tsx.inspect(pl.read_csv(io.StringIO(CASES)), id=3)),  # type: ignore[arg-type]
    fitting("quantile-levels-invalid", "--quantile-levels 0.1,0.9"),
]

FILES = [
    command("file-not-found", "inspect caces.csv"),
    command("file-not-writable", "forecast --model plain --out nowhere/forecast.csv"),
    command("file-format-unknown", "forecast --model plain --out forecast.docx"),
    inspected("file-empty", "ward,day,cases\n"),
    Example("file-unreadable", "tsx inspect cases.parquet", {"cases.parquet": b"PAR1" + bytes(100)}),
    Example("file-too-large", "tsx inspect cases.csv.gz", {"cases.csv.gz": _bomb}, varies=True),
    command("too-many-rows", "inspect cases.csv --max-rows 100"),
    inspected("too-many-columns", "day," + ",".join(f"w{n}" for n in range(200_000)) + "\n2024-01-01\n"),
    inspected("line-too-long", "0" * 2**26),
    inspected("rows-ragged", with_cell(PLAIN, 30, 2, "1,204,5")),
    inspected("quote-open", with_cell(PLAIN, 30, 0, '"north')),
    Example(
        "parts-differ",
        "tsx inspect january.csv february.csv",
        {"january.csv": text(rows(days(31))), "february.csv": text(rows(days(29, "2024-02-01")), "ward,day,count")},
    ),
    Example(
        "file-names-twice",
        "tsx inspect a/north.csv b/north.csv --id-from filename",
        {"a/north.csv": text(ONE, "day,cases"), "b/north.csv": text(ONE, "day,cases")},
    ),
    Example("id-from-needs-files", "tsx inspect - --id-from filename", stdin=text(ONE, "day,cases")),
    Example(
        "column-taken",
        "tsx inspect north.csv --id-from filename",
        {"north.csv": text(with_column(ONE, lambda n: "a"), "day,cases,file")},
    ),
    Example("sheet-unknown", lambda: formats._sheet_number("March", ["January", "February"], "cases.xlsx")),
    Example("data-twice", "tsx inspect cases.csv --sql 'select 1' --connection sales.db", FITTED),
    Example("connection-needed", "tsx inspect --sql 'select * from sales'"),
    Example("connection-unknown", "tsx inspect --sql 'select * from sales' --connection sales.txt"),
    Example(
        "query-failed", "tsx inspect --sql 'select * from sale' --connection sqlite:///empty.db", {"empty.db": b""}
    ),
    Example("excel-missing", "tsx inspect cases.xlsx", {"cases.xlsx": b"PK\3\4" + bytes(60)}, {"fastexcel": None}),
]

COLUMNS = [
    inspected("no-time-column", [[row[0], row[2]] for row in PLAIN], header="ward,cases"),
    inspected("no-target-column", [[*row[:2], "high" if n % 3 else "low"] for n, row in enumerate(PLAIN)]),
    inspected("column-not-found", PLAIN, "--target case"),
    inspected("column-twice", PLAIN, "--target cases --past cases"),
    inspected("column-type-wrong", PLAIN, "--target ward"),
    inspected("column-name-taken", PLAIN, "--time step", header="ward,step,cases"),
    inspected("roles-contradict", WIDE, "--wide --id 'ward 1'"),
    inspected(
        "no-id-column",
        [[value(n + 7 * k) for n in range(6)] for k in range(3)],
        "--wide",
        "day1,day2,day3,day4,day5,day6",
    ),
    inspected("null-key", with_cell(PLAIN, 17, 1, "")),
    inspected("cells-not-numbers", with_cell(PLAIN, 17, 2, "see notes")),
    inspected(
        "decimal-ambiguous", [[*row[:2], f"{1 + n % 9},{n * 37 % 900 + 100}"] for n, row in enumerate(PLAIN)], sep=";"
    ),
    inspected("infinite-values", with_cell(PLAIN, 17, 2, "inf")),
    inspected("values-too-large", with_cell(PLAIN, 17, 2, "1e39")),
    inspected("no-target-values", [[*row[:2], ""] for row in PLAIN], "--target cases"),
    fitting("not-counts", "--counts"),
    inspected(
        "static-not-constant", with_column(PLAIN, lambda n: str(n % 2)), "--static beds", header="ward,day,cases,beds"
    ),
]

TIMES = [
    inspected("time-ambiguous", rows(EARLY)),
    inspected("times-unreadable", with_cell(PLAIN, 17, 1, "2024-02-30")),
    inspected("time-format-unknown", PLAIN, "--time-format german"),
    inspected(
        "time-parts-unknown",
        with_column(PLAIN, lambda n: str(n % 5)),
        "--time day,shift",
        header="ward,day,cases,shift",
    ),
    inspected_hours("zone-unknown", HOURS, "--zone Europe/Atlantis"),
    inspected_hours("time-not-in-zone", HOURS, "--zone Europe/Berlin"),
    inspected_hours("time-twice", FALL[:15] + FALL[16:], "--zone Europe/Berlin"),
    inspected("duplicate-rows", [*PLAIN, *PLAIN[:3]], "--id ward"),
    inspected_hours("time-irregular", SCATTERED),
    inspected(
        "time-off-grid",
        rows([d for n, d in enumerate(days(80)) if n % 7 == 0 or n == 40]),
        "--freq 1w --regularize none",
    ),
    inspected("time-outlier", with_cell(PLAIN, 60, 1, "2924-02-29")),
    Example("time-out-of-range", "tsx inspect cases.parquet", {"cases.parquet": _microseconds_called_days}),
    inspected("freq-unknown", PLAIN, "--freq daily"),
    inspected("freq-mismatch", PLAIN, "--freq 1w"),
    inspected("too-few-rows", rows(days(1))),
    inspected("too-many-gaps", CENTURY, header="time,cases"),
    Example("panel-too-large", _more_than_there_is, breaks={"tsx.panel.limits.available_memory": lambda: 12 * 2**30}),
]

COVARIATES = [
    forecast_from("future-covariates-missing", BARE),
    forecast_with("future-column-missing", future(STAFFED), "ward,day,nurses"),
    forecast_with("future-column-type", [[*row[:2], "many"] for row in future(STAFFED)]),
    forecast_with("future-series-unknown", [["east", *row[1:]] for row in future(STAFFED)[:3]]),
    Example("future-data-unused", "tsx make-future --model plain"),
    Example(
        "calendar-needs-dates",
        f"{FIT} --calendar",
        {"cases.csv": text(rows([str(n) for n in range(60)]), "ward,t,cases")},
    ),
    Example(
        "calendar-without-use", f"{FIT} --calendar", {"cases.csv": text(rows([f"{1960 + n}-01-01" for n in range(60)]))}
    ),
    fitting("holidays-unknown", "--holidays Atlantis"),
]

TRAINING = [
    Example("series-too-short", "tsx fit cases.csv --model new --horizon 55 --context-length 40 --max-steps 1", FITTED),
    Example(
        "too-few-windows",
        FIT,
        {"cases.csv": text([[*row[:2], row[2] if n % 20 == 0 else ""] for n, row in enumerate(PLAIN)])},
    ),
    fitting("segment-does-not-fit", "--segment 3"),
    fitting("device-unavailable", "--device mps", breaks={"torch.backends.mps.is_available": lambda: False}),
    fitting("training-diverged", "", breaks={"tsx.training.loop.gradients": lambda *_: torch.tensor(float("nan"))}),
    Example("too-short-for-backtest", "tsx backtest cases.csv --horizon 55 --max-steps 1", FITTED),
    Example("not-a-model", "tsx fit cases.csv --model notes", {**FITTED, "notes/diary.txt": "Monday: rain\n"}),
    Example("model-locked", _write_while_another_run_does),
    Example("study-unreadable", "tsx tune cases.csv --study notes.txt", {**FITTED, "notes.txt": "Monday: rain\n"}),
    Example("study-differs", lambda: [_open_study("the table"), _open_study("another")]),
    Example("study-in-use", lambda: _open_study("the table", _open_study)),
]

LATER = [
    command("model-not-found", "forecast --model tsx-model"),
    Example(
        "model-version",
        "tsx forecast --model old",
        {"old/manifest.json": json.dumps({"format_version": 99})},
    ),
    Example("model-damaged", "tsx forecast --model cut", {"cut/manifest.json": '{"format_version": 2, "sch'}),
    Example("version-not-found", "tsx models rollback v9 --model plain"),
    Example("data-needed", "tsx forecast --model from-a-frame"),
    forecast_from("column-missing", text(STAFFED, "ward,day,cases,nurses,site")),
    Example("nothing-to-forecast", _without_targets),
    Example(
        "nothing-to-compare",
        "tsx explain tiny.csv --model plain",
        {"tiny.csv": text(rows(days(1, "2024-03-01"), ["north"]))},
    ),
    Example("samples-unfounded", _without_ranks),
    forecast_from(
        "level-missing", [[*row[:4], "" if row[0] == "west" else row[4]] for row in staffed(65)], "--reconcile site"
    ),
]

ASKED = "tsx explain --model plain --windows 2 --max-evals 100"
WARDS = "ward,kind\nnorth,old\nsouth,new\n"

EXPLAINING = [
    Example("settings-contradict", f"{ASKED} --players feature --group 7"),
    Example("not-fixed-in-advance", f"{FIT} --private-epsilon 8 --id ward --time day --target cases", FITTED),
    Example("too-few-for-epsilon", lambda: plan_run(8.0, 60, 5376, TrainingConfig(max_steps=200))),
    Example("key-too-short", f"{ASKED} --private --pseudonym-key key", {"key": "swordfish"}),
    Example("group-too-small", f"{ASKED} --private"),
    Example("group-unknown", f"{ASKED} --group fortnight"),
    Example("quantile-unknown", f"{ASKED} --explain q0.99"),
    Example(
        "too-many-cohorts",
        "tsx explain many.csv --model plain --windows 60 --by site --by-data sites.csv",
        {
            "many.csv": text(rows(days(20), [f"w{n}" for n in range(60)])),
            "sites.csv": text([[f"w{n}", f"site {n}"] for n in range(60)], "ward,site"),
        },
    ),
    Example(
        "cohorts-unmatched",
        f"{ASKED} --by kind --by-data kinds.csv",
        {"kinds.csv": WARDS.replace("north", "N").replace("south", "S")},
    ),
    Example("cohort-ambiguous", f"{ASKED} --by kind --by-data kinds.csv", {"kinds.csv": WARDS + "north,new\n"}),
    Example("report-not-found", f"{ASKED} --compare last-week"),
    Example("report-unreadable", f"{ASKED} --compare last-week", {"last-week/explanation.json": '{"target": "ca'}),
    Example(
        "report-mixed",
        f"{ASKED} --compare last-week",
        {
            "last-week/explanation.json": json.dumps({"hashes": {"lag_profile.parquet": 64 * "0"}}),
            "last-week/lag_profile.parquet": _profile,
        },
    ),
    Example(
        "reports-differ",
        f"{ASKED} --compare last-week",
        {
            "last-week/explanation.json": json.dumps({"target": "deaths", "frequency": "1d"}),
            "last-week/lag_profile.parquet": _profile,
        },
    ),
    Example("models-differ", f"{ASKED} --since 2024-02-28 --since-model model"),
    Example("explanation-drifted", lambda: replace(explained(), facts={"drift": 0.34}).gate(0.2)),
]

GATES = [
    command("no-skill", "forecast --model plain --fail-on no-skill"),
    Example(
        "data-too-old",
        "tsx forecast --model plain --max-age 2d",
        breaks={"tsx.workflows.gates.now": lambda: datetime(2024, 3, 5, 6, tzinfo=UTC)},
    ),
    Example(
        "required-series-missing",
        "tsx forecast --model plain --require-series wards.txt",
        {"wards.txt": "north\nsouth\nwest\n"},
    ),
    Example(
        "gates-failed",
        "tsx forecast --model plain --fail-on no-skill --require-series wards.txt",
        {"wards.txt": "north\nsouth\nwest\n"},
    ),
    Example("error-too-large", lambda: _raise(failed_gate({"max_error": 1.0}, Checked(metrics={"mase": 1.34})))),
    Example(
        "coverage-too-low", lambda: _raise(failed_gate({"min_coverage": 0.7}, Checked(metrics={"coverage_80": 0.61})))
    ),
    Example("age-unknown", lambda: failed_gate({"max_age": 60.0}, Checked(newest=17))),
]

LEDGER = [
    command("ledger-not-found", "monitor --model plain --ledger nights"),
    Example(
        "ledger-damaged", "tsx monitor --model plain --ledger nights", {"nights/000001-00000000000000aa.json": "{}"}
    ),
    Example("ledger-differs", lambda: _recorded("deaths")),
    Example("nothing-to-score", _recorded),
    Example("ledger-locked", _append_while_another_run_does),
]


def _in_parts(change: Callable[[Path], None] = lambda _: None, **settings: Any) -> None:
    """A run in two parts, whose results are changed and then merged."""
    tsx.partition("cases.csv", id="ward", parts=9, out="parts")
    tsx.in_parts(tsx.forecast, "parts", out="results", model="plain", **settings)
    change(Path("results"))
    tsx.merge("results")


def _another_in_between(folder: Path) -> None:
    """A part of an earlier run with other settings."""
    earlier = sorted((folder / "_receipts").iterdir())[0]
    before = earlier.read_bytes()
    tsx.in_parts(tsx.forecast, "parts", out="results", model="plain", above=30)
    earlier.write_bytes(before)


def _fitted_meanwhile() -> None:
    """A worker that begins when another version of the model is in use."""
    open_worker(Job("forecast", {"model": "plain"}, ".", "", "0" * 64, ""))


PARTS = [
    command("shard-needs-folder", "forecast --model plain --shard 2/7 --out forecast.csv"),
    Example("not-in-parts", lambda: tsx.in_parts(tsx.fit, "parts", out="results")),
    Example(
        "series-in-several-parts",
        "tsx forecast by-year --model plain --out results/",
        {"by-year/2023.csv": CASES, "by-year/2024.csv": CASES},
    ),
    Example("parts-not-found", "tsx merge notes", {"notes/diary.txt": "Monday: rain\n"}),
    Example("parts-incomplete", lambda: _in_parts(lambda folder: shutil.rmtree(folder / "_receipts")), FITTED),
    Example("parts-mixed", lambda: _in_parts(_another_in_between), FITTED),
    Example(
        "part-changed",
        lambda: _in_parts(lambda folder: sorted(folder.glob("*.parquet"))[0].write_bytes(b"")),
        FITTED,
    ),
    Example("model-changed", _fitted_meanwhile),
    Example(
        "ray-not-started",
        "tsx forecast cases.csv --model plain --out results/ --engine ray",
        FITTED,
        {"ray": SimpleNamespace(init=raising(ConnectionError()))},
    ),
    Example("inputs-changed", lambda: _raise(inputs_changed("sales.parquet"))),
    Example("worker-lost", lambda: _raise(lost(3))),
    Example(
        "worker-not-started",
        lambda: Starting(SimpleNamespace(cluster_resources=lambda: {"CPU": 0.0}), SILENT, 1).check(),
    ),
    Example(
        "results-elsewhere",
        lambda: check_results(Path("forecasts"), [Done(SimpleNamespace(part=f"part-{k}"), False) for k in range(8)]),
    ),
]

LABELLED = "patient,hour,pulse,outcome"
SICK = [
    [f"p{n:02}", str(hour), f"{70 + 15 * (n % 2) + hour * 7 % 11}", ("home", "ward")[n % 2]]
    for n in range(24)
    for hour in range(6)
]
CLASSIFY = "tsx fit stays.csv --model new --max-steps 1 --label outcome"


def labelled(code: str, cell: Callable[[int, list[str]], str], flags: str = "") -> Example:
    """A fit to stays whose outcome is what `cell` makes of the row's number and cells."""
    changed = [[*row[:3], cell(n, row)] for n, row in enumerate(SICK)]
    return Example(code, f"{CLASSIFY} {flags}", {"stays.csv": text(changed, LABELLED)})


def _fit_a_label(data: pl.DataFrame) -> None:
    tsx.fit(data, label="outcome", model="new", max_steps=1)


def _labelled_frame() -> pl.DataFrame:
    return pl.read_csv(io.StringIO(text(SICK, LABELLED)))


def _classify_what_has_labels() -> None:
    Path("stays.csv").write_text(text(SICK, LABELLED), encoding="utf-8")
    tsx.fit("stays.csv", label="outcome", model="new", max_steps=1)
    tsx.classify(model="new")


def _explain_labels(**asked: Any) -> None:
    Path("stays.csv").write_text(text(SICK, LABELLED), encoding="utf-8")
    tsx.fit("stays.csv", label="outcome", model="new", max_steps=1)
    tsx.explain(model="new", **asked)


def _explain_with_few_references() -> None:
    few = pl.read_csv(io.StringIO(text(SICK[:12], LABELLED)))
    _explain_labels(reference=few)


LABELS = [
    labelled("label-not-constant", lambda n, row: "home" if n == 7 else row[3]),
    Example(
        "label-not-classes",
        lambda: _fit_a_label(_labelled_frame().with_columns(outcome=pl.col("patient").str.tail(1).cast(float) / 4)),
    ),
    labelled("no-labels", lambda n, row: ""),
    labelled("single-class", lambda n, row: "home"),
    labelled("too-many-classes", lambda n, row: row[0]),
    Example(
        "no-inputs",
        lambda: _fit_a_label(_labelled_frame().with_columns(pulse=pl.lit(70))),
    ),
    Example(
        "too-few-series",
        CLASSIFY,
        {"stays.csv": text([row for row in SICK if row[0] < "p08"], LABELLED)},
    ),
    Example(
        "too-few-groups",
        f"{CLASSIFY} --keep-together site",
        {"stays.csv": text([[*row, "north"] for row in SICK], f"{LABELLED},site")},
    ),
    Example("model-of-other-kind", "tsx classify cases.csv --model plain", FITTED),
    Example("nothing-to-classify", _classify_what_has_labels),
    Example("explain-unknown", lambda: _explain_labels(explain="q0.9")),
    Example(
        "labels-differ-from-series",
        lambda: TsxClassifier(id="patient", time="hour").fit(_labelled_frame().drop("outcome"), ["home", "ward"]),
    ),
    Example("too-few-references", _explain_with_few_references),
]

MACHINE = [
    broken("package-missing", ModuleNotFoundError(name="polars")),
    command("dependency-missing", "explain --model plain --report pdf", breaks={"shutil.which": lambda _: None}),
    command("sample-data-missing", "demo", breaks={"importlib.resources.files": raising(ModuleNotFoundError())}),
    command("docs-missing", "docs", breaks={"tsx.cli.docs._folder_of": lambda _: Path("nowhere")}),
    broken("out-of-memory", MemoryError()),
    Example(
        "process-lost",
        _one_of_two_is_gone,
        breaks={"tsx.runtime.group._distributed": raising(RuntimeError("Connection closed by peer"))},
    ),
    broken("system-error", OSError(errno.ENOSPC, "No space left on device")),
    broken("internal-error", AssertionError()),
    broken("interrupted", KeyboardInterrupt()),
    broken("terminated", Stop()),
]

ERRORS = [
    *COMMAND_LINE,
    *FILES,
    *COLUMNS,
    *TIMES,
    *COVARIATES,
    *TRAINING,
    *LATER,
    *EXPLAINING,
    *GATES,
    *LEDGER,
    *PARTS,
    *LABELS,
    *MACHINE,
]
