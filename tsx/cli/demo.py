"""`tsx demo`."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from typing import Annotated

import typer

from tsx.cli import options as o
from tsx.errors import NotFound, UsageError

SAMPLE = "glucose_simulated.parquet"
TARGET = "cgm_mg_dl"
PAST = ("carbs_g_per_min", "insulin_u_per_min")
HORIZON = 12

Steps = Annotated[
    int, typer.Option("--max-steps", metavar="N", help="Training steps at most.", rich_help_panel=o.TRAINING)
]
Evaluations = Annotated[
    int, typer.Option("--max-evals", metavar="N", help="Evaluations of the network spent on each forecast explained.")
]


def command(
    ctx: typer.Context,
    out: o.OutDirectory = "tsx-demo",
    max_steps: Steps = 400,
    max_evals: Evaluations = 2048,
    device: o.DeviceType = "auto",
    seed: o.Seed = 0,
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
    step is printed as the command it stands for. Takes about two minutes on two cores.
    """
    console = ctx.obj.configure(json=as_json, quiet=quiet, verbose=verbose)
    began = monotonic()
    folder = Path(out)
    data, model, table, report = folder / SAMPLE, folder / "model", folder / "forecast.parquet", folder / "report"
    _copy_sample(data)

    from tsx import api
    from tsx.data.files import write_table
    from tsx.report.tables import write_explanation
    from tsx.report.terminal import render_explanation, render_fit, render_forecast

    console.note(f"The data are simulated (see DATASHEET in the project): {data}")
    fitting = f"tsx fit {data} --target {TARGET} --past {','.join(PAST)} --horizon {HORIZON} --max-steps {max_steps}"
    commands = [f"{fitting} --model {model}"]
    console.note(f"\n$ {commands[-1]}")
    fitted = api.fit(
        data, model=model, target=TARGET, past=PAST, horizon=HORIZON, max_steps=max_steps, device=device, seed=seed,
        progress=console.progress,
    )  # fmt: skip
    console.close()
    if not console.json:
        console.show(render_fit(fitted))

    commands.append(f"tsx forecast --model {model} --out {table}")
    console.note(f"\n$ {commands[-1]}")
    made = api.forecast(model=model, device=device, progress=console.progress)
    console.close()
    write_table(made.frame, table)
    write_table(made.frame, table.with_suffix(".csv"))
    if not console.json:
        console.show(render_forecast(made.frame, made.schema))

    commands.append(f"tsx explain --model {model} --max-evals {max_evals} --report terminal,html --out {report}")
    console.note(f"\n$ {commands[-1]}")
    explanation = api.explain(
        model=model, max_evals=max_evals, device=device, seed=seed, progress=console.progress
    )  # fmt: skip
    console.close()
    written = write_explanation(explanation, report, ("html",))
    if not console.json:
        console.show(render_explanation(explanation))

    paths = [data, *sorted(model.iterdir()), table, table.with_suffix(".csv"), *written]
    seconds = monotonic() - began
    if console.json:
        console.document({"commands": commands, "files": [str(path) for path in paths], "seconds": round(seconds, 1)})
        return
    console.show("\n".join(["", f"All of it took {seconds:.0f} seconds and wrote:", *(f"  {path}" for path in paths)]))
    for path in paths:
        if path.suffix == ".html":
            console.show(f"\nOpen {path.resolve()} in a browser for the report.")


def _copy_sample(target: Path) -> None:
    """Put the shipped table where the commands that the demo prints find it."""
    import shutil
    from importlib.resources import as_file, files

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with as_file(files("tsx.sample_data") / SAMPLE) as source:
            shutil.copyfile(source, target)
    except (ModuleNotFoundError, FileNotFoundError):
        raise NotFound(
            "sample-data-missing", "the shipped sample data are not there",
            hint="install tsx-forecast again", where=SAMPLE,
        ) from None  # fmt: skip
    except OSError as error:
        raise UsageError(
            "file-not-writable", f"{target} cannot be written: {error.strerror}",
            hint="give --out a folder that may be written", where=str(target),
        ) from None  # fmt: skip
