"""Which settings each command and function takes, and what was given to one of them.

`FIT`, `FORECAST` and the others list their settings in the order of their help. `Verb.request` reads what was given;
what was not given is not in it, so that it differs from every value, also from the default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from tsx.spec.findings import NO_SKILL, SEVERITIES, WARNING
from tsx.spec.privacy import LEAST_EPSILON, MOST_EPSILON
from tsx.spec.setting import Setting, declare, declared
from tsx.spec.settings import (
    CHECKING,
    COLUMNS,
    EVALUATION,
    NETWORK,
    PRIVACY,
    QUESTION,
    READING,
    SHAPE,
    SHARED,
    TRAINING,
    Choosing,
    Evaluation,
    Question,
    Reading,
    Roles,
    Sampling,
    Search,
    Settings,
    Thresholds,
)
from tsx.spec.shares import Share

T = TypeVar("T")

DEFAULT_MODEL = "tsx-model"
DEFAULT_REPORT = "tsx-report"
DEFAULT_DEMO = "tsx-demo"
DEFAULT_MONITOR = "tsx-monitor"
DEFAULT_LEDGER = "tsx-ledger"
CONFIG_FILE = "tsx.toml"
REPORTS = ("terminal", "html", "json", "md", "png", "svg", "pdf")
OUTPUT = "Output"
PARTS = "In parts (--out FOLDER/)"
GATES = "Gates (exit status 6 where one fails)"

RELIABILITY = "Report how often the target was {} than each of these values, by the probability that was forecast."
TABLE = "a CSV, Parquet, Arrow, JSON lines or Excel file, several of them, a folder of parts, or - for stdin"


def _of(cls: type, *names: str) -> tuple[Setting, ...]:
    """The settings of a dataclass; only those of these names, where names are given."""
    settings = {one.name: one for one in declared(cls)}
    return tuple(settings[name] for name in names or settings)


(DUPLICATES,) = _of(Reading, "duplicates")
(MAX_ROWS,) = _of(Reading, "max_rows")
(DEVICE,) = _of(Settings, "device")
(SEED,) = _of(Settings, "seed")
AS_FITTED = (DUPLICATES.but(default=None), MAX_ROWS)
"""How a later table is read; the rest is as in the fit."""

SQL = declare(
    "sql",
    str | None,
    None,
    "Instead of DATA: the table is what this query gives in the database at --connection.",
    group=READING,
    metavar="QUERY",
    free=True,
)
CONNECTION = declare(
    "connection",
    str | None,
    None,
    "Database of --sql: sqlite:///sales.db, duckdb:///sales.duckdb, postgresql://user:password@host/name. Give a "
    "password by TSX_CONNECTION; none is stored or shown.",
    group=READING,
    metavar="URI",
    free=True,
)
QUERY = (SQL, CONNECTION)
QUERY_AGAIN = (SQL.but(group=""), CONNECTION.but(group=""))
FREQ = declare(
    "freq",
    str | None,
    None,
    "Step: 30s, 5m, 1h, 1d, 1w, 1mo, 1q, 1y, trading-day, or a number of plain steps.",
    group=COLUMNS,
    metavar="FREQ",
)
MODEL_WRITTEN = declare("model", str | Path, DEFAULT_MODEL, "Model directory to write.", group=OUTPUT, metavar="DIR")
KEPT = 3
"""Versions of a model that stay."""
KEEP = declare(
    "keep",
    int,
    KEPT,
    "Versions of the model that stay: the newest, and the one in use.",
    group=OUTPUT,
    metavar="N",
    least=1,
)
IF_BETTER = declare(
    "if_better",
    bool,
    False,
    "Put the new version in use only where it is not significantly worse than the one in use on the same newest rows; "
    "otherwise it is kept beside it.",
    group=OUTPUT,
)
WAIT = declare(
    "wait",
    float | None,
    None,
    "How long to wait for another run that is writing to the model: 90s, 10m. Default: not at all.",
    group=OUTPUT,
    metavar="TIME",
    kind="duration",
    least=0,
)
MODEL_READ = MODEL_WRITTEN.but(help="Model directory to read.", group="")
FUTURE_DATA = declare(
    "future_data",
    str | None,
    None,
    "Table of the known-future covariates: id, time and these.",
    metavar="FILE",
    kind="table",
)
RECONCILE = declare(
    "reconcile",
    tuple[str, ...],
    (),
    "Forecast totals too, and make all add up: id columns or static covariates, from the top down.",
    metavar="COLUMNS",
    kind="columns",
)
WHAT_IF = declare(
    "what_if",
    tuple[str, ...],
    (),
    "Forecast again with other values of a covariate: price=+10%, price=-3, price=*1.2, price==5; several together.",
    metavar="CHANGES",
)
UPDATE = declare(
    "update",
    bool,
    False,
    "Continue from the weights of the model at --model, on a table with newer rows.",
    group=TRAINING,
)
FREEZE_SCALE = declare(
    "freeze_scale", bool, False, "With --update: keep the scales, effects and smoothing of the fit.", group=TRAINING
)
BY = declare(
    "by",
    tuple[str, ...],
    (),
    "Compare groups of series: a static covariate, a part of the id, or a column of --by-data; several together.",
    group=QUESTION,
    metavar="COLUMNS",
    kind="columns",
)
BY_DATA = declare(
    "by_data", str | None, None, "Table of ids and the column of --by.", group=QUESTION, metavar="FILE", kind="table"
)
COMPARE = declare(
    "compare",
    str | Path | None,
    None,
    "An earlier report: how the reasons have changed since; why the forecast has, says --since.",
    group=CHECKING,
    metavar="DIR",
)
FAIL_ON = declare(
    "fail_on",
    tuple[str, ...],
    (),
    "Findings that must not be there: their codes, warning for every one that warns, no-skill where skill over "
    "simple methods is not shown.",
    group=GATES,
    metavar="CODES",
    kind="choices",
    choices=(WARNING, NO_SKILL, *SEVERITIES),
    only="command",
)
MAX_AGE = declare(
    "max_age",
    float | None,
    None,
    "Age of the newest row at most: 36h, 2d, 1w. Times without a zone count as UTC, a date from its beginning.",
    group=GATES,
    metavar="TIME",
    kind="duration",
    above=0,
    only="command",
)
SHARD = declare(
    "shard",
    Share | None,
    None,
    "Do one share of the work, such as 2/7: of the parts of a folder, or of the series of one file. Needs --out "
    "FOLDER/.",
    group=PARTS,
    metavar="I/N",
    kind="share",
    only="command",
)
BY_ENGINE = "What {}: this process, or Ray's actors; RAY_ADDRESS names a cluster."
ENGINE = declare(
    "engine",
    Literal["local", "ray"],
    "local",
    BY_ENGINE.format("does the parts"),
    group=PARTS,
    only="command",
)
IN_PARTS = (SHARD, ENGINE)
WORKED_BY = ENGINE.but(group=SHARED, only="")
"""Of a function whose own work has pieces."""
NUMBER_OF_PARTS = declare("parts", int, 8, "How many parts.", metavar="N", least=1, most=100_000)
REQUIRE_SERIES = declare(
    "require_series",
    str | None,
    None,
    "Text file of the ids that must be there, one a line; parts of an id are separated by commas.",
    group=GATES,
    metavar="FILE",
    kind="path",
    only="command",
)
SINCE = declare(
    "since",
    str | Path | None,
    None,
    "Why the forecast has changed since an earlier report, or since the rows up to a time; how the reasons have, says "
    "--compare.",
    group=QUESTION,
    metavar="DIR|TIME",
)
SINCE_MODEL = declare(
    "since_model",
    str | Path | None,
    None,
    "With --since: the directory of the model that forecast then, where it is another.",
    group=QUESTION,
    metavar="DIR",
)
MAX_ERROR = declare(
    "max_error",
    float | None,
    None,
    "Scaled error (MASE) of the recorded forecasts at most.",
    group=GATES,
    metavar="MASE",
    above=0,
    only="command",
)
MIN_COVERAGE = declare(
    "min_coverage",
    float | None,
    None,
    "Coverage of the 80 % intervals at least.",
    group=GATES,
    metavar="SHARE",
    above=0,
    most=1,
    only="command",
)
LEDGER = declare(
    "ledger",
    str | Path | None,
    None,
    "Folder in which forecasts are recorded, with their ids, so that `tsx monitor` can score them. Default: none.",
    group=OUTPUT,
    metavar="DIR",
)
LEDGER_READ = declare("ledger", str | Path, DEFAULT_LEDGER, "Folder of the recorded forecasts.", metavar="DIR")
NIGHTS = declare("nights", int, 90, "Newest nights that are scored.", metavar="N", least=1)
REASONS = declare(
    "reasons",
    int,
    24,
    "Forecasts from before and since the fit whose reasons are compared, by SHAP values. 0: none.",
    metavar="N",
    least=0,
)
MAX_DRIFT = declare(
    "max_drift",
    float | None,
    None,
    "Drift of the explanation since --compare at most.",
    group=GATES,
    metavar="SHARE",
    least=0,
    most=1,
    output=True,
)
PRIVATE = declare(
    "private",
    bool,
    False,
    "Pseudonyms instead of ids; nothing that shows a single series, and no group of fewer than 11. Files are for their "
    "owner alone.",
    group=OUTPUT,
)
PRIVATE_EPSILON = declare(
    "private_epsilon",
    float | None,
    None,
    "Train with differential privacy of this epsilon for each series, such as 8: the smaller, the less the model shows "
    "of whether a series was in the table. Nothing is chosen by the rows: give --id, --time, --target, --freq, "
    "--season and --horizon.",
    group=PRIVACY,
    metavar="EPSILON",
    least=LEAST_EPSILON,
    most=MOST_EPSILON,
)
PSEUDONYM_KEY = declare(
    "pseudonym_key",
    str | Path | None,
    None,
    "File with a secret from which --private makes the same pseudonyms every time. Default: others for every table.",
    group=OUTPUT,
    metavar="FILE",
)
SCRATCH = declare(
    "scratch",
    str | Path | None,
    None,
    "Folder of the long table of SHAP values, which may be larger than memory; it is removed with the result.",
    only="python",
)
CHECKPOINT = declare(
    "checkpoint",
    str | Path | None,
    None,
    "Folder for checkpoints, which are written once a minute: after a kill the same call resumes from the newest one. "
    "It is removed when the run ends. Default: none; a command has one beside its result.",
    only="python",
)
REPORT = declare(
    "report",
    tuple[str, ...],
    (),
    f"{'|'.join(REPORTS)}, several comma-separated or repeated. Default: terminal.",
    group=OUTPUT,
    metavar="KIND",
    kind="choices",
    choices=REPORTS,
    output=True,
)
FULL = declare(
    "full", bool, False, "Show all of it on the terminal, whatever --report says.", group=OUTPUT, only="command"
)
OUT_FOLDER = declare(
    "out", str, DEFAULT_REPORT, "Folder to write.", group=OUTPUT, metavar="DIR", kind="path", output=True
)
OUT_TABLE = declare(
    "out",
    str | Path | None,
    None,
    "Table to write: .parquet, .csv, .json; - for CSV on stdout, FOLDER/ for parts.",
    group=OUTPUT,
    metavar="PATH",
    output=True,
)
OUT_PARTS = declare("out", str, "", "Folder to write the parts in.", metavar="FOLDER", kind="path", output=True)
OUT_SETTINGS = declare(
    "out",
    str,
    CONFIG_FILE,
    "Settings file to write; other keys in it stay. - for stdout.",
    group=OUTPUT,
    metavar="FILE",
    only="command",
)
CONFIG = declare(
    "config",
    str | None,
    None,
    "Settings file. Default: tsx.toml, where there is one.",
    group=SHARED,
    metavar="FILE",
    only="command",
)
SHOW_VALUES = declare(
    "show_values",
    bool,
    False,
    "Let messages quote the data (ids, dates, cells) where that says more.",
    group=SHARED,
    only="command",
)
JSON = declare("json", bool, False, "One JSON document on stdout.", group=SHARED, only="command")
QUIET = declare("quiet", bool, False, "Results and errors only.", group=SHARED, only="command", short="-q")
VERBOSE = declare("verbose", bool, False, "Say more on stderr.", group=SHARED, only="command", short="-v")
LOG_FORMAT = declare(
    "log_format",
    Literal["text", "json"] | None,
    None,
    "Write a log to stderr: a line with its time, and the id of the run, for everything that happens.",
    group=SHARED,
    only="command",
)
OF_EVERY_COMMAND = (CONFIG, SHOW_VALUES, JSON, LOG_FORMAT, QUIET, VERBOSE)
WITHOUT_VALUES = tuple(one for one in OF_EVERY_COMMAND if one is not SHOW_VALUES)
"""Of commands whose messages quote no data."""


@dataclass(frozen=True)
class Verb:
    """What a command and the function of its name take.

    name      of the function; with hyphens that of the command.
    data      the table: needed, the one the model was fitted on where none is given, or none.
    settings  in the order of the help.
    words     what the command takes without a flag, beside the table.
    usual     the settings that `--help` shows; empty: all of them. `--help-all` shows the others too.
    without_model  whether it can do without a model, where there is a table.
    """

    name: str
    data: Literal["needed", "fitted", "none"]
    settings: tuple[Setting, ...]
    words: tuple[Setting, ...] = ()
    usual: tuple[str, ...] = ()
    without_model: bool = False

    @property
    def command(self) -> str:
        return self.name.replace("_", "-")

    @property
    def keywords(self) -> tuple[Setting, ...]:
        """Those of the function."""
        return tuple(one for one in self.settings if one.only != "command")

    @property
    def flags(self) -> tuple[Setting, ...]:
        """Those of the command."""
        return tuple(one for one in self.settings if one.only != "python")

    def __getitem__(self, name: str) -> Setting:
        return next(one for one in self.settings if one.name == name)

    def takes(self, name: str) -> bool:
        """Whether there is a setting of this name."""
        return any(one.name == name for one in self.settings)

    def request(self, given: Mapping[str, Any]) -> Request:
        """What was given to the function, read and checked; None: not given. Raises as `Setting.read` does."""
        known = {one.name: one for one in self.keywords}
        read = {name: known[name].read(value) for name, value in given.items()}
        return Request(self, {name: value for name, value in read.items() if value is not None})


@dataclass(frozen=True)
class Request:
    """What a function was asked: the settings that were given, and the defaults of the others."""

    verb: Verb
    given: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.given.get(name, self.verb[name].default)

    def part(self, cls: type[T]) -> T:
        """The `Settings`, `Reading`, ... that were asked for; what the function does not take has its default.

        Raises ConfigError where values contradict each other.
        """
        own = {one.name for one in dataclasses.fields(cls)}  # type: ignore[arg-type]
        taken = {one.name: self[one.name] for one in self.verb.keywords if one.name in own}
        return cls(**{name: value for name, value in taken.items() if value is not None})


def _changed(settings: tuple[Setting, ...], **changes: dict[str, Any]) -> Iterator[Setting]:
    """The settings with other words or another default for some of them."""
    for one in settings:
        yield one.but(**changes[one.name]) if one.name in changes else one


OF_A_LABEL = (*_of(Roles, "label", "keep_together"), *_of(Settings, "hold_out"))
COLUMNS_OF_TABLE = (*(one for one in _of(Roles) if one not in OF_A_LABEL), FREQ)
READ_PLAINLY = tuple(one for one in _of(Reading) if one.name not in ("calendar", "holidays", "text"))
OF_SHAPE = tuple(one for one in _of(Settings) if one.group == SHAPE)
OF_ORIGINS = (*_of(Evaluation), *_of(Thresholds))
"""Of a backtest from rolling origins."""
OF_NETWORK = tuple(one for one in _of(Settings) if one.group == NETWORK)
OF_PRIVACY = tuple(one for one in _of(Settings) if one.group == PRIVACY)
OF_TRAINING = tuple(one for one in _of(Settings) if one.group == TRAINING)

USUAL_COLUMNS = ("id", "time", "target", "past", "future", "static", "freq")
USUAL = ("out", "json", "quiet", "verbose")
"""Flags that the help of every command shows where it has them."""

INSPECT = Verb("inspect", "needed", (*COLUMNS_OF_TABLE, *QUERY, *READ_PLAINLY, *OF_EVERY_COMMAND), usual=USUAL_COLUMNS)
FIT = Verb(
    "fit",
    "needed",
    (
        MODEL_WRITTEN,
        KEEP,
        IF_BETTER,
        WAIT,
        *COLUMNS_OF_TABLE,
        *QUERY,
        *OF_A_LABEL,
        *_of(Choosing),
        *_of(Reading),
        *OF_SHAPE,
        *OF_NETWORK,
        *OF_TRAINING,
        UPDATE,
        FREEZE_SCALE,
        FAIL_ON,
        MAX_AGE,
        REQUIRE_SERIES,
        *OF_PRIVACY,
        PRIVATE_EPSILON,
        DEVICE,
        SEED,
        WORKED_BY.but(help=BY_ENGINE.format("trains"), free=True),
        *OF_EVERY_COMMAND,
    ),
    usual=(
        "model",
        *USUAL_COLUMNS,
        "label",
        "horizon",
        "context_length",
        "cell",
        "max_steps",
        "max_time",
        "update",
        "seed",
    ),
)
WITHOUT_A_MODEL = tuple(
    one.but(group="Without a model")
    for one in (
        *_of(Roles, "id", "time", "target"),
        FREQ,
        *_of(Settings, "horizon", "season", "quantile_levels"),
        *(one for one in READ_PLAINLY if one.name not in ("duplicates", "max_rows")),
    )
)
"""Of a forecast by the network that comes with the package; a model has its own."""
NEEDS_A_FIT = ("future_data", "what_if", "ledger", "device", "private", "pseudonym_key")
"""What a forecast by the network that comes with the package cannot be asked for."""
FORECAST = Verb(
    "forecast",
    "fitted",
    (
        MODEL_READ,
        *WITHOUT_A_MODEL,
        FUTURE_DATA,
        *_changed(_of(Sampling, "samples", "aggregate"), samples={"default": None}),
        *_of(Thresholds),
        RECONCILE,
        *QUERY_AGAIN,
        WHAT_IF,
        *AS_FITTED,
        FAIL_ON,
        MAX_AGE,
        REQUIRE_SERIES,
        DEVICE,
        SEED,
        LEDGER,
        OUT_TABLE,
        *IN_PARTS,
        PRIVATE,
        PSEUDONYM_KEY,
        *OF_EVERY_COMMAND,
    ),
    usual=("model", "horizon", "future_data", "samples", "aggregate", "above", "below"),
    without_model=True,
)
CLASSIFY = Verb(
    "classify",
    "fitted",
    (
        MODEL_READ,
        *_of(Choosing),
        *QUERY_AGAIN,
        *AS_FITTED,
        DEVICE,
        LEDGER.but(
            help="Folder in which classes are recorded, with ids, so that `tsx monitor` can score them. Default: none."
        ),
        OUT_TABLE,
        PRIVATE,
        PSEUDONYM_KEY,
        *IN_PARTS,
        *OF_EVERY_COMMAND,
    ),
    usual=("model", "threshold", "cost", "abstain"),
)
MAKE_FUTURE = Verb("make_future", "fitted", (MODEL_READ, *QUERY_AGAIN, *AS_FITTED, OUT_TABLE, *OF_EVERY_COMMAND))
EXPLAIN = Verb(
    "explain",
    "fitted",
    (
        MODEL_READ,
        FUTURE_DATA,
        *QUERY_AGAIN,
        *AS_FITTED,
        *_changed(
            _of(Question, "windows", "explain", "players", "group", "reference", "value", "level", "interactions"),
            players={"default": None},
            reference={"kind": "table", "annotation": str},
        ),
        BY,
        BY_DATA,
        SINCE,
        SINCE_MODEL,
        *_of(Question, "counterfactual", "changeable", "states"),
        *_of(Question, "max_evals", "tolerance", "seeds", "memory_needed"),
        COMPARE,
        FAIL_ON,
        MAX_AGE,
        MAX_DRIFT,
        SCRATCH,
        CHECKPOINT,
        REPORT,
        FULL,
        OUT_FOLDER,
        SHARD,
        WORKED_BY.but(group=PARTS, help=BY_ENGINE.format("explains, or with --shard does the parts")),
        PRIVATE,
        PSEUDONYM_KEY,
        DEVICE,
        SEED,
        *OF_EVERY_COMMAND,
    ),
    usual=(
        "model",
        "windows",
        "explain",
        "by",
        "max_evals",
        "compare",
        "max_drift",
        "report",
        "full",
    ),
)
BACKTEST = Verb(
    "backtest",
    "needed",
    (
        *COLUMNS_OF_TABLE,
        *QUERY,
        *OF_A_LABEL,
        *_of(Reading),
        *OF_SHAPE,
        *_of(Evaluation),
        *_changed(
            _of(Thresholds),
            above={"group": EVALUATION, "help": RELIABILITY.format("more")},
            below={"group": EVALUATION, "help": RELIABILITY.format("less")},
        ),
        *OF_NETWORK,
        *OF_TRAINING,
        FAIL_ON,
        DEVICE,
        SEED,
        OUT_TABLE,
        CHECKPOINT,
        SHARD,
        WORKED_BY.but(group=PARTS, help=BY_ENGINE.format("does the folds of --refit every, or the parts")),
        *OF_EVERY_COMMAND,
    ),
    usual=(*USUAL_COLUMNS[:5], "horizon", "cutoffs", "baselines", "above", "below", "label", "max_steps", "seed"),
)
TUNE = Verb(
    "tune",
    "needed",
    (
        *COLUMNS_OF_TABLE,
        *QUERY,
        *OF_A_LABEL,
        *_of(Reading),
        *OF_SHAPE,
        *_of(Search),
        *_changed(
            OF_NETWORK,
            cell={"default": None, "help": "Recurrent cell. Default: lstm and gru are tried."},
            layers={"default": None, "auto": True},
            dropout={"default": None},
        ),
        *(one for one in OF_TRAINING if one.name != "max_time"),
        DEVICE,
        SEED,
        OUT_SETTINGS,
        CHECKPOINT,
        WORKED_BY.but(help=BY_ENGINE.format("does the trials")),
        *OF_EVERY_COMMAND,
    ),
    usual=(*USUAL_COLUMNS, "horizon", "trials", "max_time", "study", "seed"),
)
MONITOR = Verb(
    "monitor",
    "fitted",
    (
        MODEL_READ,
        LEDGER_READ,
        NIGHTS,
        REASONS,
        *QUERY_AGAIN,
        PSEUDONYM_KEY.but(help="The file with which the forecasts were recorded under pseudonyms.", group=""),
        *AS_FITTED,
        FAIL_ON,
        MAX_AGE,
        MAX_ERROR,
        MIN_COVERAGE,
        MAX_DRIFT.but(help="Drift of the reasons since the fit at most.", only="command"),
        REPORT.but(choices=("terminal", "html"), help="terminal|html, or both. Default: terminal."),
        OUT_FOLDER.but(default=DEFAULT_MONITOR, help="Folder of the HTML report."),
        *IN_PARTS,
        *OF_EVERY_COMMAND,
    ),
    usual=("model", "ledger", "nights", "fail_on", "max_age", "max_error", "min_coverage", "report"),
)
PARTITION = Verb(
    "partition",
    "needed",
    (
        *_of(Roles, "id"),
        NUMBER_OF_PARTS,
        OUT_PARTS,
        MAX_ROWS,
        *OF_EVERY_COMMAND,
    ),
)
MERGE = Verb("merge", "needed", (OUT_TABLE, *OF_EVERY_COMMAND))
MODELS = Verb(
    "models",
    "none",
    (MODEL_WRITTEN.but(help="Model directory.", group=""), KEEP.but(group=""), WAIT.but(group=""), *WITHOUT_VALUES),
    words=(
        declare(
            "action",
            Literal["list", "rollback", "prune", "diff"],
            "list",
            "list the versions; rollback to an earlier one; prune old ones; diff two of them. Default: list.",
            metavar="ACTION",
        ),
        declare(
            "versions",
            tuple[str, ...],
            (),
            "v3: the one to go back to, or one or two to compare. Default: the one before that in use.",
            metavar="VERSION",
        ),
    ),
)
DEMO = Verb(
    "demo",
    "none",
    (
        declare("classify", bool, False, "Classify handwritten digits instead of forecasting glucose.", only="command"),
        *_changed(_of(Settings, "max_steps"), max_steps={"default": 600, "auto": False, "annotation": int}),
        *_of(Question, "max_evals"),
        DEVICE,
        SEED,
        OUT_FOLDER.but(default=DEFAULT_DEMO),
        *WITHOUT_VALUES,
    ),
)
DOCTOR = Verb("doctor", "none", WITHOUT_VALUES)

DOCS = Verb(
    "docs",
    "none",
    WITHOUT_VALUES,
    words=(declare("page", str | None, None, "Page to print. Default: the list of them.", metavar="PAGE"),),
)

VERBS = (
    INSPECT,
    FIT,
    FORECAST,
    CLASSIFY,
    MAKE_FUTURE,
    BACKTEST,
    TUNE,
    EXPLAIN,
    MONITOR,
    PARTITION,
    MERGE,
    MODELS,
    DEMO,
    DOCTOR,
    DOCS,
)
"""In the order of `tsx --help`."""


def by_name(name: str) -> Verb:
    return next(one for one in VERBS if one.name == name)
