"""`tsx demo --classify`."""

from __future__ import annotations

import shlex
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from tsx.cli.parameters import Arguments
from tsx.spec.command_line import flags
from tsx.spec.verbs import CLASSIFY, EXPLAIN, FIT
from tsx.workflows.demo import REPORTS
from tsx.workflows.outputs import prepare_programs

if TYPE_CHECKING:
    from tsx.cli.console import Console


def classify_digits(console: Console, arguments: Arguments) -> None:
    """Fit, classify and explain handwritten digits: every row of an image is a step of eight columns."""
    began = monotonic()
    folder, seed = Path(arguments["out"]), arguments["seed"]
    data, model, table = folder / "digits.parquet", folder / "digits-model", folder / "classes.csv"
    report = folder / "digits-report"
    fitting = {"model": model, "label": "digit", "max_steps": arguments["max_steps"], "seed": seed}
    explaining = {"model": model, "max_evals": arguments["max_evals"], "seed": seed}
    written = {"report": ("terminal", *REPORTS), "out": report}
    commands = [
        shlex.join(words)
        for words in (
            ("tsx", "fit", str(data), *flags(FIT, fitting)),
            ("tsx", "classify", *flags(CLASSIFY, {"model": model, "out": table})),
            ("tsx", "explain", *flags(EXPLAIN, {**explaining, **written})),
        )
    ]

    from tsx import api
    from tsx.io.writing import write_table
    from tsx.report.classification import render_classification, render_classifier_fit
    from tsx.report.tables import write_explanation
    from tsx.report.terminal import render_explanation
    from tsx.store.layout import files_of_model
    from tsx.workflows.demo import make_folder
    from tsx.workflows.digits import UNLABELLED, digit_rows
    from tsx.workflows.fit_classifier import ClassifierFit

    make_folder(folder)
    digits, truth = digit_rows()
    write_table(digits, data)
    count = digits["image"].n_unique()
    console.note(f"{count:,} handwritten digits; the label of {UNLABELLED} is left out.")
    fit_words, classify_words, explain_words = commands
    if not console.json:
        console.line(f"\n$ {fit_words}\n")
    device, progress = arguments["device"], console.progress
    fitted = api.fit(data, **fitting, device=device, progress=progress)
    assert isinstance(fitted, ClassifierFit)
    console.close()
    if not console.json:
        console.show(render_classifier_fit(fitted))
        console.line(f"\n$ {classify_words}\n")
    result = api.classify(model=model, device=device, progress=progress)
    write_table(result.frame, table)
    console.close()
    if not console.json:
        console.show(render_classification(result))
        console.line(f"\n$ {explain_words}\n")
    prepare_programs(REPORTS)
    explanation = api.explain(**explaining, device=device, progress=progress)
    files_of_report = write_explanation(explanation, report, REPORTS)
    console.close()
    right = int((result.frame.sort("image")["digit"] == truth).sum())
    paths = [data, *files_of_model(model), table, *files_of_report]
    seconds = round(monotonic() - began, 1)
    if console.json:
        files = [str(path) for path in paths]
        console.document({"commands": commands, "files": files, "right": right, "of": len(truth), "seconds": seconds})
        return
    console.show(render_explanation(explanation))
    console.line(f"\nOf the {len(truth)} digits whose label was left out, {right} are right. Written:")
    for path in paths:
        console.line(f"  {path}")
    console.line(f"\nThe report, for a browser: {(report / 'report.html').resolve()}")
