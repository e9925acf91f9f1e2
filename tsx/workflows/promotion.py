"""`tsx fit --if-better`: whether a new version is put in use, or the one before it stays."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tsx.errors import TsxError
from tsx.evaluation.backtest import HoldOut
from tsx.evaluation.contest import NEW, Contest, Contestant, contest
from tsx.evaluation.verdict import in_passing, surely_worse
from tsx.io.source import Source
from tsx.model.forecaster import Forecaster
from tsx.panel.calendar_features import with_calendar
from tsx.panel.panel import Panel
from tsx.spec.decision import Decision, Finding
from tsx.spec.schema import Schema
from tsx.store.forecaster import load_forecaster
from tsx.store.manifest import ForecasterManifest
from tsx.wording import count
from tsx.workflows.open_table import open_again


@dataclass(frozen=True, eq=False)
class Champion:
    """The version in use, and the table that the new one is fitted to, to be read as this one reads."""

    forecaster: Forecaster
    manifest: ForecasterManifest
    data: Source

    @property
    def name(self) -> str:
        return self.manifest.stored.version if self.manifest.stored else "v1"

    def contestant(self, plain: Panel) -> Contestant | str:
        """The champion with the panel that it reads, or why it cannot be compared.

        `plain`: the panel of the new version, without what is computed from the calendar.
        """
        other = f"{self.name} forecasts something else, or reads another table"
        schema = self.forecaster.schema
        same = (schema.target, schema.time, schema.id, schema.derived, self.forecaster.frequency)
        if same != (
            plain.schema.target,
            plain.schema.time,
            plain.schema.id,
            plain.schema.derived,
            plain.calendar.alias,
        ):
            return other
        if inputs_of(schema) == inputs_of(plain.schema):
            panel = replace(plain, schema=replace(plain.schema, counts=schema.counts))
            panel = with_calendar(panel, self.forecaster.reading, self.forecaster.config.horizon, schema.computed)
        elif str(self.data) == "-":  # it has been read and is gone
            return other
        else:
            panel = open_again(self.forecaster, self.data)
        if not panel.ids.equals(plain.ids) or (panel.lengths != plain.lengths).any():
            return other
        return Contestant(self.name, self.forecaster, panel, self.manifest.data.newest)


def champion_of(model: str, data: Source) -> Champion | None:
    """The version in use; None where there is none, or none that can be read."""
    try:
        return Champion(*load_forecaster(model), data)
    except TsxError:
        return None


def promotion(champion: Contestant | str, judged: Forecaster, panel: Panel, held: HoldOut | None) -> Decision:
    """Whether the new version is put in use: where it is not significantly worse than the one in use.

    `champion`: the version in use, or why it cannot be compared; `judged`: the new version as it was before it learnt
    from the held-out rows; `panel`: what it reads.
    """
    if isinstance(champion, str):
        return Decision("promoted", True, f"nothing to compare: {champion}")
    if held is None:
        return Decision("promoted", True, f"no rows were held out on which it could be compared with {champion.name}")
    made = contest(champion, Contestant(NEW, judged, panel), held)
    worse = surely_worse(made.verdict)
    stays = f"; {champion.name} stays in use" if worse else ""
    return Decision("promoted", not worse, f"{_words(made, champion.name)}{stays}")


def _words(made: Contest, champion: str) -> str:
    known = "new to both" if made.unseen else f"which {champion} had learnt from"
    if not made.forecasts:
        return f"there is no forecast that could be compared with {champion}"
    return f"on {count(made.forecasts, 'forecast')} of the newest rows ({known}) {in_passing(made.verdict)}"


def promotion_findings(decision: Decision) -> tuple[Finding, ...]:
    """That the new version is not in use."""
    if decision.value:
        return ()
    return (Finding("not-promoted", f"the new version is kept, but not in use: {decision.reason}", "if_better"),)


def inputs_of(schema: Schema) -> tuple[tuple[str, ...], ...]:
    """The columns of a schema that are covariates, by their parts."""
    return schema.past, schema.future, schema.past_words, schema.future_words, schema.static
