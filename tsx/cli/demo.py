"""`tsx demo`."""

from __future__ import annotations

import shlex
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated

import typer

from tsx.cli import options as o
from tsx.cli import questions as q
from tsx.errors import NotFound

if TYPE_CHECKING:
    from tsx.cli.console import Console

SAMPLE = "glucose_simulated.parquet"
TARGET = "cgm_mg_dl"
PAST = ("carbs_g_per_min", "insulin_u_per_min")
HORIZON = 12
"""An hour of five-minute steps."""

Steps = Annotated[
    int, typer.Option("--max-steps", metavar="N", help="Training steps at most.", rich_help_panel=o.TRAINING)
]


def command(
    ctx: typer.Context,
    max_steps: Steps = 600,
    max_evals: q.MaxEvals = 8192,
    device: o.DeviceType = "auto",
    seed: o.Seed = 0,
    out: o.OutDirectory = "tsx-demo",
    config: o.ConfigFile = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
    verbose: o.Verbose = False,
) -> None:
    """Fit, forecast and explain on shipped data, and write everything that a run can write.

    Examples:
      tsx demo
      tsx demo --out /tmp/demo --max-steps 100

    The data are simulated: the glucose of six virtual patients, with their meals and insulin, every five minutes. Each
    step is printed as the command it stands for. Takes about a minute on two cores.
    """
    console: Console = ctx.obj.configure(json=as_json, quiet=quiet, verbose=verbose)
    began = monotonic()
    folder = Path(out)
    data, model, table, report = folder / SAMPLE, folder / "model", folder / "forecast.parquet", folder / "report"
    commands = [
        shlex.join(words)
        for words in (
            (
                "tsx",
                "fit",
                str(data),
                "--target",
                TARGET,
                "--past",
                ",".join(PAST),
                "--horizon",
                str(HORIZON),
                "--max-steps",
                str(max_steps),
                "--seed",
                str(seed),
                "--model",
                str(model),
            ),
            ("tsx", "forecast", "--model", str(model), "--out", str(table)),
            (
                "tsx",
                "explain",
                "--model",
                str(model),
                "--max-evals",
                str(max_evals),
                "--seed",
                str(seed),
                "--report",
                "terminal,html",
                "--out",
                str(report),
            ),
        )
    ]
    steps = iter(commands)
    _copy_sample(data)

    from tsx import api
    from tsx.io.writing import write_table
    from tsx.report.tables import write_explanation
    from tsx.report.terminal import render_explanation, render_fit, render_forecast

    def announce() -> None:
        if not console.json:
            console.line(f"\n$ {next(steps)}\n")

    def show(renderable: object) -> None:
        console.close()
        if not console.json:
            console.show(renderable)

    console.note("The data are simulated: glucose, meals and insulin of six virtual patients.")
    announce()
    fitted = api.fit(
        data,
        model=model,
        target=TARGET,
        past=PAST,
        horizon=HORIZON,
        max_steps=max_steps,
        device=device,
        seed=seed,
        progress=console.progress,
    )
    show(render_fit(fitted))

    announce()
    made = api.forecast(model=model, device=device, progress=console.progress)
    for path in (table, table.with_suffix(".csv")):
        write_table(made.frame, path)
    show(render_forecast(made.frame, made.schema))

    announce()
    explanation = api.explain(model=model, max_evals=max_evals, device=device, seed=seed, progress=console.progress)
    written = write_explanation(explanation, report, ("html",))
    show(render_explanation(explanation))

    paths = [data, *sorted(model.iterdir()), table, table.with_suffix(".csv"), *written]
    seconds = monotonic() - began
    if console.json:
        console.document({"commands": commands, "files": [str(path) for path in paths], "seconds": round(seconds, 1)})
        return
    console.line(f"\nThe three commands took {seconds:.0f} seconds and wrote:")
    for path in paths:
        console.line(f"  {path}")
    console.line(f"\nThe report, for a browser: {(report / 'report.html').resolve()}")


def _copy_sample(target: Path) -> None:
    """Put the shipped table where the commands that the demo prints find it."""
    import shutil
    from importlib.resources import as_file, files

    from tsx.io.writing import not_writable

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with as_file(files("tsx.sample_data") / SAMPLE) as source:
            shutil.copyfile(source, target)
    except (ModuleNotFoundError, FileNotFoundError):
        raise NotFound(
            "sample-data-missing",
            "the shipped sample data are not there",
            hint="install tsx-forecast again",
            where=SAMPLE,
        ) from None
    except OSError as error:
        raise not_writable(target, error) from None
