"""An example of every finding, in the order of docs/reference/errors.md."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl

import tsx
from tests.docs.examples import (
    CASES,
    FALL,
    FINE,
    NOISE,
    PLAIN,
    STAFFED,
    STAFFED_HEADER,
    WIDE,
    Example,
    days,
    forecast_from,
    forecast_with,
    future,
    hours,
    inspected,
    inspected_hours,
    rows,
    staffed,
    text,
    with_cell,
    with_column,
)
from tsx.profile.drift import drift, panel_facts
from tsx.progress import SILENT
from tsx.spec.checkpoints import State
from tsx.spec.decision import Decision
from tsx.spec.settings import Reading, Roles
from tsx.store.checkpoints import FolderCheckpoints, checkpoints_in
from tsx.store.forecaster import load_forecaster
from tsx.workflows.forecast import forecast_panel
from tsx.workflows.open_table import open_again, open_table
from tsx.workflows.promotion import promotion_findings


def _doses() -> list[list[str]]:
    """1,200 days of four wards, which a seldom dose moves up in two and down in two."""
    random = np.random.default_rng(5)
    return [
        [ward, day, f"{20 + sign * 4 * dose + 0.5 * random.normal():.2f}", str(dose)]
        for ward, sign in (("east", 1), ("north", -1), ("south", 1), ("west", -1))
        for day in days(1200)
        for dose in (int(random.random() < 0.1),)
    ]


def _weekly_after_daily() -> Any:
    """What drift says of a panel that was brought to another frequency by hand."""
    daily, weekly = (
        open_table(pl.read_csv(io.StringIO(table)), Roles(), Reading(), None, SILENT).panel
        for table in (CASES, text(rows(days(60, step=7))))
    )
    return SimpleNamespace(findings=drift(panel_facts(daily), weekly))


def _adapted() -> Any:
    """What is noticed where intervals follow what came since the fit."""
    forecaster, _ = load_forecaster("plain")
    panel = open_again(forecaster, pl.read_csv(io.StringIO(CASES)))
    return forecast_panel(replace(forecaster, intervals="adaptive"), panel, newest=0)


def _moved_too_far() -> Any:
    """What is noticed where the linear map moves forecasts farther than it may."""
    forecaster, _ = load_forecaster("plain")
    forecaster.network.additive.network_weight.fill_(1.0)
    forecaster.network.limits.linear.fill_(1e-6)
    panel = open_again(forecaster, pl.read_csv(io.StringIO(CASES)))
    return forecast_panel(forecaster, panel)


def _grouped_in_part() -> Any:
    """What is noticed where groups are known of one ward alone."""
    kinds = pl.DataFrame({"ward": ["north"], "kind": ["old"]})
    explanation = tsx.explain(model="plain", windows=2, max_evals=100, by="kind", by_data=kinds)
    return SimpleNamespace(findings=explanation.noticed)


def _grouped_with_few() -> Any:
    """What is noticed where a private explanation has a group of two wards."""
    wards = [f"ward {n:02}" for n in range(25)]
    kinds = pl.DataFrame({"ward": wards, "kind": ["old"] * 2 + ["new"] * 11 + ["rebuilt"] * 12})
    table = text(rows(days(30), wards))
    explanation = tsx.explain(
        pl.read_csv(io.StringIO(table)),
        model="plain",
        windows=25,
        max_evals=100,
        by="kind",
        by_data=kinds,
        private=True,
    )
    return SimpleNamespace(findings=explanation.noticed)


def _elsewhere() -> Any:
    """What is noticed where one of twelve wards has moved to a site that the model does not know."""
    wards = [f"ward {n}" for n in range(12)]
    table = pl.DataFrame(rows(days(30), wards), ["ward", "day", "cases"], orient="row").with_columns(
        pl.col("cases").cast(pl.Float64), site=pl.lit("town")
    )
    tsx.fit(table, model="sites", static="site", horizon=3, context_length=8, max_steps=1, hidden_size=4)
    moved = pl.when(pl.col("ward") == wards[0]).then(pl.lit("harbour")).otherwise("site")
    return tsx.forecast(table.with_columns(site=moved), model="sites")


def _without_days_ahead() -> Any:
    """What is noticed where the staff of the days to come is not known."""
    known = pl.read_csv(io.StringIO(text(staffed(ahead=0), STAFFED_HEADER)))
    return SimpleNamespace(findings=tsx.explain(known, model="model", windows=3, max_evals=100).noticed)


def _monitored() -> Any:
    """What is noticed of two weeks of forecasts whose actual values came out 60 higher."""
    wards = [f"w{n}" for n in range(9)]
    read = rows(days(75), wards)
    higher = [[*row[:2], f"{float(row[2]) + 60 * (row[1] > '2024-03-01'):.1f}"] for row in read]
    for last in days(75)[59:73]:
        known = [row for row in read if row[1] <= last]
        tsx.forecast(pl.read_csv(io.StringIO(text(known))), model="plain", ledger="nights")
    return tsx.monitor(pl.read_csv(io.StringIO(text(higher))), model="plain", ledger="nights")


def _classes_monitored() -> Any:
    """What is noticed of classes of patients all of whom came to the ward."""
    known = pl.read_csv(io.StringIO(stays(lambda n: OUTCOMES[n % 2])))
    tsx.fit(known, label="outcome", model="classes", max_steps=1)
    tsx.classify(known.drop("outcome"), model="classes", ledger="classified")
    return tsx.monitor(known.with_columns(outcome=pl.lit("ward")), model="classes", ledger="classified")


def _classes_renamed() -> Any:
    """What is noticed of classes of patients some of whom came to a place that nobody knew at the fit."""
    known = pl.read_csv(io.StringIO(stays(lambda n: OUTCOMES[n % 2])))
    tsx.fit(known, label="outcome", model="classes", max_steps=1)
    tsx.classify(known.drop("outcome"), model="classes", ledger="renamed")
    return tsx.monitor(
        known.with_columns(pl.col("outcome").replace("home", "house")), model="classes", ledger="renamed"
    )


def _challenged() -> Any:
    """What a fit says whose network is worse than that of the version in use."""
    decision = Decision("promoted", False, f"{LOST}; v4 stays in use")
    return SimpleNamespace(findings=promotion_findings(decision))


def _after_another_fit() -> Any:
    """What a fit says that finds the checkpoints of another one."""
    with ExitStack() as claims:
        FolderCheckpoints(Path("killed"), {"run": "of yesterday"}, claims).save("0" * 64, State({}))
    with checkpoints_in(Path("killed"), {"run": "of today"}) as checkpoints:
        return SimpleNamespace(findings=checkpoints.findings())


LOST = (
    "on 240 forecasts of the newest rows (new to both) its error is 8.1 % larger than that of v4 (p = .002, 24 origins)"
)


def scaled(factor: float, plus: float = 0.0) -> list[list[str]]:
    return [[*row[:2], row[2] and f"{float(row[2]) * factor + plus:.4f}", *row[3:]] for row in staffed(65)]


def sensed(change: Callable[[int, float], float]) -> list[str]:
    """400 hours of noise, changed."""
    return [f"{time},{change(n, NOISE[n])}\n" for n, time in enumerate(hours(400))]


WEEKDAYS = [day for n, day in enumerate(days(120)) if n % 7 < 5 and n not in (14, 49)]
"""Trading days from a Monday on, two of them holidays."""
NAMES = ("Ann Miller", "Bob Carter")
CHANGES = 0.01 * np.random.default_rng(3).standard_t(3, 400)
PRICES = [["fund", day, f"{price:.4f}"] for day, price in zip(days(400), 100 * np.exp(np.cumsum(CHANGES)))]
QUICK = "tsx fit cases.csv --model new --horizon 3 --context-length 8 --max-steps 1"
LONG, BRIEF = rows(days(60), ["north", "south"]), rows(days(4), ["west"])

BEDS = with_column(PLAIN, lambda n: str(n % 4))

BYTES = [
    inspected("blank-lines", text(PLAIN[:30]) + "\n,,\n" + "".join(",".join(row) + "\n" for row in PLAIN[30:])),
    inspected("blank-rows", text([*PLAIN, *[["NA"] * 3] * 3])),
    inspected("rows-skipped", with_cell(PLAIN, 17, 1, ""), "--skip-rows-without time"),
    inspected("footer-dropped", CASES + "Exported by the ward system\n"),
    inspected("last-line-cut", text(PLAIN[:-1]) + ",".join(PLAIN[-1])[:14]),
    inspected("bounds-taken", with_cell(PLAIN, 17, 2, "<0.5"), "--censored low"),
    inspected(
        "numbers-like-dates", [[row[0], str(45_292 + n % 60), row[2]] for n, row in enumerate(PLAIN)], "--time day"
    ),
    inspected("missing-words", with_cell(PLAIN, 17, 2, "n/a")),
    inspected("flags-left-out", [[*row[:2], row[2] + " p" * (n > 115)] for n, row in enumerate(PLAIN)]),
    inspected("unit-left-out", [[*row[:2], f"{row[2]} %"] for row in PLAIN]),
    inspected("looks-wide", WIDE),
    inspected(
        "columns-left-out",
        "\n".join(f"{line},{'remark' if n == 0 else 'quiet'}" for n, line in enumerate(WIDE.splitlines())) + "\n",
        "--wide",
    ),
]

STEPS = [
    inspected_hours(
        "time-twice", [*FALL[:16], FALL[14].replace(":00:00,", ":00:00,9"), *FALL[16:]], "--zone Europe/Berlin"
    ),
    inspected("gaps", [row for n, row in enumerate(PLAIN) if n not in (20, 21, 80)]),
    inspected("closed-days", rows(WEEKDAYS)),
    inspected_hours("rows-merged", [*FINE[:100], FINE[99].replace(":00,", ":20,"), *FINE[100:]]),
    inspected("rows-without-values", [*PLAIN[:18], [*PLAIN[17][:2], ""], *PLAIN[18:]]),
    inspected(
        "rows-joined",
        [*BEDS[:17], [*BEDS[17][:3], ""], [*BEDS[17][:2], "", BEDS[17][3]], *BEDS[18:]],
        "--past beds",
        header="ward,day,cases,beds",
    ),
    inspected("missing-target", with_cell(PLAIN, 17, 2, "")),
    inspected(
        "missing-covariate",
        with_column(PLAIN, lambda n: "" if n == 17 else str(n % 4)),
        "--past beds",
        header="ward,day,cases,beds",
    ),
    inspected("future-rows", text(STAFFED, STAFFED_HEADER), "--future staff"),
    inspected("mixed-frequencies", [*PLAIN, *rows(days(9, step=7), ["west"])]),
    inspected("other-frequencies", [*PLAIN, *rows(days(9, step=7), ["west"])], "--freq 1d --skip-other-freq"),
    inspected("constant-series", [*PLAIN, *rows(days(60), ["west"], lambda n: "3")]),
    inspected("series-without-target", [*PLAIN, *rows(days(60), ["west"], lambda n: "")]),
]

VALUES = [
    inspected("sentinel-suspected", with_cell(PLAIN, 17, 2, "-999")),
    inspected("far-values", with_cell(PLAIN, 17, 2, "20500")),
    inspected("price-like", PRICES, header="share,day,close"),
    inspected("heavy-tails", PRICES, header="share,day,close"),
    inspected("count-like", rows(days(60), cell=lambda n: str(n * 37 % 23))),
    Example("not-transformed", f"{QUICK} --transform log-return", {"cases.csv": text(with_cell(PLAIN, 17, 2, "0"))}),
    Example("provisional-values", f"{QUICK} --delay 3", {"cases.csv": CASES}),
    inspected_hours("stuck-values", sensed(lambda n, y: NOISE[60] if 60 <= n < 100 else y)),
    inspected_hours("clipped-values", sensed(lambda n, y: min(y, 21.5))),
    inspected_hours("few-negative-values", sensed(lambda n, y: -y / 9 if n == 60 else y)),
    inspected_hours("mostly-zeros", sensed(lambda n, y: 0 if n % 4 else y)),
    inspected("constant-column", with_column(PLAIN, lambda n: "7"), "--past beds", header="ward,day,cases,beds"),
    inspected(
        "personal-data", with_column(PLAIN, lambda n: f"nurse{n % 9}@hospital.example"), header="ward,day,cases,contact"
    ),
    inspected("personal-id", rows(days(60), NAMES), header="patient_name,day,cases"),
]

MODEL = [
    Example(
        "series-short",
        "tsx fit cases.csv --model new --max-steps 1 --horizon 3 --context-length 16",
        {"cases.csv": text([*LONG, *BRIEF])},
    ),
    Example(
        "rare-categories",
        "tsx fit staffed.csv --future staff --static site --model new --max-steps 1 --horizon 3 --context-length 8",
        {"staffed.csv": text(STAFFED, STAFFED_HEADER)},
    ),
    Example(
        "series-differ",
        "tsx fit doses.csv --future dose --model new --horizon 3 --context-length 6 --max-steps 150 --hidden-size 8 "
        "--learning-rate 0.01 --batch-size 64",
        {"doses.csv": text(_doses(), "ward,day,cases,dose")},
        varies=True,
    ),
    Example("forecast-without-fit", "tsx forecast cases.csv", {"cases.csv": CASES}),
    Example("columns-not-read", "tsx forecast staffed.csv --horizon 3", {"staffed.csv": text(STAFFED, STAFFED_HEADER)}),
    forecast_from("as-fitted", flags="--horizon 9"),
    forecast_from("series-left-out", [row for row in staffed(65) if row[2] or row[0] != "west"]),
    forecast_from(
        "series-below-context", [*staffed(65, ids=("north", "south")), *staffed(4, "2024-03-02", ids=("west",))]
    ),
    forecast_from("unseen-series", staffed(65, ids=("north", "south", "island", "west"))),
    Example("intervals-adapted", _adapted),
    Example("moved-too-far", _moved_too_far),
    forecast_from("reconciled", flags="--reconcile site"),
    forecast_from(
        "series-not-in-total",
        [*staffed(65, ids=("north", "south")), *staffed(50, ids=("west",))],
        "--reconcile site",
    ),
    Example("unseen-category", _elsewhere),
    Example("cohort-missing", _grouped_in_part),
    Example("cohorts-left-out", _grouped_with_few),
    Example("explained-earlier", _without_days_ahead),
    forecast_from("what-if-outside", flags="--what-if staff=*3"),
    forecast_from("what-if-without-effect", flags="--what-if staff=*1"),
    forecast_from("series-behind", [*staffed(65, ids=("north", "south")), *staffed(50, ids=("west",))]),
    forecast_with("future-covariates-missing", future(STAFFED)[:6]),
    forecast_with("future-series-unknown", [*future(STAFFED), ["east", "2024-03-01", "4"]]),
    forecast_with("future-before-cutoff", [["north", "2024-02-28", "4"], *future(STAFFED)]),
    forecast_with("future-beyond-horizon", [*future(STAFFED), ["north", "2024-03-20", "4"]]),
    forecast_from(
        "read-differently",
        "\n".join(line.replace(",", ";").replace(".", ",") for line in text(staffed(65), STAFFED_HEADER).splitlines())
        + "\n",
    ),
    forecast_from("rows-already-seen", STAFFED),
    forecast_from("time-backwards", staffed(50)),
    Example("frequency-changed", _weekly_after_daily),
    forecast_from("time-type-changed", [[row[0], f"{row[1]} 09:00", *row[2:]] for row in staffed(65)]),
    forecast_from("rows-fewer", staffed(45)),
    forecast_from("series-missing", staffed(65, ids=("north", "south"))),
    forecast_from("series-fewer", staffed(65, ids=("north",))),
    forecast_from("series-late", [*staffed(65, ids=("north", "south")), *staffed(55, ids=("west",))]),
    forecast_from("scale-jumped", scaled(18.02)),
    forecast_from(
        "scale-jumped-in-series",
        [
            [
                *row[:2],
                row[2] and f"{float(row[2]) * (1000 if row[0] == 'west' and n % 115 >= 60 else 1):.1f}",
                *row[3:],
            ]
            for n, row in enumerate(staffed(112))
        ],
    ),
    forecast_from(
        "level-jump",
        [
            [*row[:2], row[2] and f"{float(row[2]) * (12 if row[0] == 'west' and n % 73 >= 63 else 1):.1f}", *row[3:]]
            for n, row in enumerate(staffed(70))
        ],
    ),
    forecast_from(
        "more-missing",
        [[*row[:2], "" if n % 68 > 20 and n % 3 else row[2], *row[3:]] for n, row in enumerate(staffed(65))],
    ),
]

NIGHTS = [
    Example("errors-shifted", _monitored),
    Example("coverage-off", _monitored),
    Example("calibration-off", _classes_monitored),
    Example("class-unknown", _classes_renamed),
    Example("worse-than-simple", _monitored),
    Example("not-promoted", _challenged),
    Example("checkpoint-discarded", _after_another_fit),
]

OUTCOMES = ("home", "ward")
STAYS = "patient,hour,pulse,outcome"


def stays(outcome: Callable[[int], str], pulse: Callable[[int], str] = lambda n: "") -> str:
    """Six hours of 26 patients; `outcome` and `pulse` by the number of the patient, the pulse made up where empty."""
    return text(
        [
            [f"p{n:02}", str(hour), pulse(n) or f"{70 + 15 * (n % 2) + hour * 7 % 11}", outcome(n)]
            for n in range(26)
            for hour in range(6)
        ],
        STAYS,
    )


FIT_STAYS = "tsx fit stays.csv --model new --max-steps 1 --label outcome"


def _classified_without_values() -> Any:
    known = pl.read_csv(io.StringIO(stays(lambda n: OUTCOMES[n % 2])))
    tsx.fit(known, label="outcome", model="new", max_steps=1)
    empty = pl.when(pl.col("patient") != "p03").then("pulse")
    return tsx.classify(known.with_columns(pulse=empty), model="new")


def _with_what_came_after() -> str:
    """Stays with a column that was written after the outcome."""
    made = [line.rsplit(",", 1) for line in stays(lambda n: OUTCOMES[n % 2]).splitlines()[1:]]
    told = [f"{before},{int(outcome == OUTCOMES[1])},{outcome}" for before, outcome in made]
    return "\n".join(["patient,hour,pulse,autopsy,outcome", *told, ""])


def _of_persons() -> str:
    """Two stays of every person."""
    made = [line.rsplit(",", 1) for line in stays(lambda n: OUTCOMES[n % 2]).splitlines()[1:]]
    owned = [f"{before},{int(before[1:3]) // 2},{outcome}" for before, outcome in made]
    return "\n".join(["patient,hour,pulse,person_id,outcome", *owned, ""])


def _classified_in_doubt() -> Any:
    known = pl.read_csv(io.StringIO(stays(lambda n: OUTCOMES[n % 2])))
    tsx.fit(known, label="outcome", model="new", max_steps=1)
    return tsx.classify(known, model="new", abstain=0.02)


LABELS = [
    Example("series-without-label", FIT_STAYS, {"stays.csv": stays(lambda n: "" if n == 3 else OUTCOMES[n % 2])}),
    Example("series-share-id", FIT_STAYS, {"stays.csv": _of_persons()}),
    Example("rare-classes", FIT_STAYS, {"stays.csv": stays(lambda n: "died" if n < 3 else OUTCOMES[n % 2])}),
    Example("empty-series", _classified_without_values),
    Example("label-given-away", FIT_STAYS, {"stays.csv": _with_what_came_after()}),
    Example("label-left-open", _classified_in_doubt),
]

FINDINGS = [*BYTES, *STEPS, *VALUES, *MODEL, *NIGHTS, *LABELS]
