"""`tsx explain`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import typer

from tsx.cli.outputs import checkpoint_of
from tsx.cli.parameters import Arguments, command, one_reader_of_stdin
from tsx.spec.verbs import EXPLAIN
from tsx.spec.verdict import Verdict
from tsx.workflows.outputs import check_report, prepare_programs

if TYPE_CHECKING:
    from tsx.cli.console import Console
    from tsx.explanation.result import Explained
    from tsx.workflows.gates import Checked


@command(EXPLAIN, out=check_report)
def explain(console: Console, arguments: Arguments) -> None:
    """Say which past values drive the forecasts and how far back the network remembers.

    Examples:
      tsx explain
      tsx explain --report html
      tsx explain --report html,md --out why --windows 50 --tolerance 0.05
      tsx explain --explain width --players feature --by ward
      tsx explain --group day --value conditional
      tsx explain today.csv --compare tsx-report --max-drift 0.2 --json
      tsx explain --since 2024-03-01
      tsx explain --explain error --windows 100
      tsx explain --interactions 6 --states --report html
      tsx explain --counterfactual below=70 --changeable carbs,insulin

    Of a model that was fitted with --label: which values decided the classes, in log-odds (--explain p: probabilities).

    SHAP values with their standard errors, the memory of the forget gates, gradients and attention, and checks that
    try to refute them: whether to believe the explanation is part of it. A terminal shows one screen of it, with --full
    the rest. The tables behind the report are written beside it.
    """
    one_reader_of_stdin(arguments.data, *(arguments[name] for name in ("future_data", "by_data", "reference")))
    out = arguments["out"]
    if arguments["max_drift"] is not None and arguments["compare"] is None:
        raise typer.BadParameter("there is nothing to compare with: give --compare DIR.", param_hint="--max-drift")
    kinds = arguments["report"] or ("terminal",)
    from tsx import api
    from tsx.cli.in_parts import ran_in_parts
    from tsx.report.tables import check_folder

    if ran_in_parts(console, arguments, api.explain):
        return
    prepare_programs(kinds)
    check_folder(out, kinds)
    checkpoint = checkpoint_of(EXPLAIN, out)
    explained = api.explain(
        arguments.source, **arguments.keywords, scratch=out, checkpoint=checkpoint, progress=console.progress
    )
    with closing(explained) as explanation:
        _write_and_say(console, arguments, explanation, kinds)


def _write_and_say(console: Console, arguments: Arguments, explanation: Explained, kinds: tuple[str, ...]) -> None:
    """Raises TsxError of a gate that failed, once all is written and said."""
    from tsx.report.tables import write_explanation
    from tsx.workflows.gates import failed_gate

    out = arguments["out"]
    console.close()
    console.tell(explanation.noticed)
    paths = write_explanation(explanation, out, tuple(kind for kind in kinds if kind != "terminal"))
    failed = failed_gate(arguments.values, checked_of(explanation))
    if console.json:
        noticed = console.told(explanation.noticed)
        files = [str(path) for path in paths]
        console.document({**explanation.summary(), "noticed": noticed, "files": files}, failed)
    elif "terminal" in kinds or arguments["full"]:
        from tsx.report.terminal import render_explanation, render_explanation_in_full

        console.show((render_explanation_in_full if arguments["full"] else render_explanation)(explanation))
    console.note(f"wrote {len(paths)} files in {out}")
    if console.verbose:
        for path in paths:
            console.note(f"  {path}")
    for path in paths:
        if path.stem == "report":
            console.note(f"report: {path}")
    if failed is not None:
        raise failed


def checked_of(explanation: Explained) -> Checked:
    """What gates look at of an explanation."""
    from tsx.workflows.gates import Checked

    verdict = Verdict(**explanation.skill) if explanation.skill else None
    return Checked(explanation.noticed, verdict, explanation.newest, drifted=explanation.gate)
