"""The demo: what is fitted, forecast and explained, under which names, and the result of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tsx.errors import NotFound

if TYPE_CHECKING:
    from tsx.explanation.result import Explanation
    from tsx.workflows.fit import Fit
    from tsx.workflows.forecast import Forecast

SAMPLE = "glucose_simulated.parquet"
TARGET = "cgm_mg_dl"
PAST = ("carbs_g_per_min", "insulin_u_per_min")
HORIZON = 12
"""An hour of five-minute steps."""
REPORTS = ("html",)


@dataclass(frozen=True)
class Demo:
    """What came of the demo: the three results, and every file that it wrote.

    Examples:
        >>> demo = tsx.demo(max_steps=100, max_evals=500)
        >>> demo.fit.backtest.verdict.sentence, demo.files[-1]
    """

    fit: Fit
    forecast: Forecast
    explanation: Explanation
    files: tuple[Path, ...]

    def __repr__(self) -> str:
        return f"Demo(files={len(self.files)}, fit={self.fit!r})"


@dataclass(frozen=True)
class Plan:
    """Where the demo reads and writes, and the settings of its three steps."""

    data: Path
    model: Path
    table: Path
    report: Path
    fitting: dict[str, Any]
    explaining: dict[str, Any]


class Values(Protocol):
    """Settings by their names."""

    def __getitem__(self, name: str, /) -> Any: ...


def plan(values: Values) -> Plan:
    """The plan from the settings of the demo: `out`, `max_steps`, `max_evals` and `seed`."""
    folder, seed = Path(values["out"]), values["seed"]
    model = folder / "model"
    fitting = {
        "model": model,
        "target": (TARGET,),
        "past": PAST,
        "horizon": HORIZON,
        "max_steps": values["max_steps"],
        "seed": seed,
    }
    explaining = {"model": model, "max_evals": values["max_evals"], "seed": seed}
    return Plan(folder / SAMPLE, model, folder / "forecast.parquet", folder / "report", fitting, explaining)


def copy_sample(target: Path) -> None:
    """Put the shipped table where the commands of the demo find it.

    Raises NotFound `sample-data-missing`, WriteError `file-not-writable`.
    """
    from importlib.resources import files

    from tsx.io.atomic import atomic_write

    try:
        content = (files("tsx.sample_data") / SAMPLE).read_bytes()
    except (ModuleNotFoundError, FileNotFoundError):
        raise NotFound(
            "sample-data-missing",
            "the shipped sample data are not there",
            hint="install tsx-forecast again",
            where=SAMPLE,
        ) from None
    make_folder(target.parent)
    with atomic_write(target) as file:
        file.write(content)


def make_folder(folder: Path) -> None:
    """Raises WriteError `file-not-writable`."""
    from tsx.io.atomic import not_writable

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_writable(folder, error) from None
