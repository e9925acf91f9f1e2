"""Results in a notebook and in Python: pages, charts, frames, files, progress."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tsx
from tests.report.fakes import HOSTILE_IDS, make_explanation
from tsx import shown
from tsx.errors import ConfigError, QualityGate, UsageError, WriteError
from tsx.explanation.result import Explanation
from tsx.progress import SILENT
from tsx.report.classes.charts import charts
from tsx.report.classes.sections import shown_series
from tsx.report.html import html_report
from tsx.report.notebook import Bar
from tsx.report.views import VIEWS
from tsx.spec.decision import Decision
from tsx.spec.schema import Schema
from tsx.workflows.backtest import ClassBacktest
from tsx.workflows.forecast import Forecast
from tsx.workflows.monitor import Monitoring
from tsx.workflows.monitor_classes import ClassMonitoring

VOID = {"br", "hr", "img", "meta", "link"}


class Page(HTMLParser):
    """Reads a page: its tags must close in order; what it runs or loads is kept."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data.replace("\N{NO-BREAK SPACE}", " "))


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One of each kind, from one small table."""
    folder = tmp_path_factory.mktemp("shown")
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=k) for k in range(90)]
    table = pl.DataFrame(
        {
            "shop": [shop for shop in "ab" for _ in days],
            "day": days * 2,
            "visits": [float(10 + k % 7 + (k * 37) % 5) for k in range(180)],
        }
    )
    table.write_parquet(folder / "table.parquet")
    model = folder / "model"
    fit = tsx.fit(folder / "table.parquet", model=model, hidden_size=4, max_steps=3, horizon=3, context_length=14)
    stays = pl.DataFrame(
        {
            "stay": [k for k in range(24) for _ in range(6)],
            "hour": list(range(6)) * 24,
            "pulse": [80.0 + (k % 2) * h + (k * 7 + h * 3) % 5 for k in range(24) for h in range(6)],
            "outcome": [("home", "ward")[k % 2] for k in range(24) for _ in range(6)],
        }
    )
    classes = tsx.fit(stays, label="outcome", model=folder / "classes", hidden_size=4, max_steps=3)
    return {
        "ClassifierFit": classes,
        "Classification": tsx.classify(stays, model=folder / "classes"),
        "ClassBacktest": ClassBacktest(stays.drop("hour"), classes.evaluation, (), ()),
        "Monitoring": monitoring(fit),
        "ClassMonitoring": monitored_classes(classes),
        "Inspection": tsx.inspect(table),
        "Fit": fit,
        "Forecast": tsx.forecast(model=model),
        "Backtest": fit.backtest,
        "ClassExplanation": tsx.explain(stays, model=folder / "classes", windows=2, max_evals=40),
        "Explanation": make_explanation(windows=1, horizon=3, context=8),
    }


def monitoring(fit: Any) -> Monitoring:
    """Three nights of recorded forecasts."""
    nights = pl.DataFrame(
        {
            "cutoff": [dt.date(2024, 3, 1) + dt.timedelta(days=k) for k in range(3)],
            "version": ["v1"] * 3,
            "series": [2] * 3,
            "n": [6] * 3,
            "mase": [0.8, 0.9, 1.2],
            "mase_simple": [1.0, 1.0, 1.0],
            "bias": [0.1, -0.1, 0.2],
            "coverage_80": [0.8, 0.7, None],
            "error": [0.1, 0.2, 0.4],
            "cusum_up": [0.0, 0.5, 1.5],
            "cusum_down": [0.0, 0.0, 0.0],
        }
    )
    advice = Decision("advice", "keep", "nothing has changed")
    summary, verdict = fit.backtest.summary, fit.backtest.verdict
    return Monitoring(nights, summary, verdict, advice, (), (), None, fit.metrics, None, "visits")


def monitored_classes(fit: Any) -> ClassMonitoring:
    """Two nights of recorded classes."""
    nights = pl.DataFrame(
        {
            "cutoff": [5, 6],
            "version": ["v1"] * 2,
            "n": [24, 24],
            "accuracy": [0.75, 0.5],
            "log_loss": [0.5, 0.7],
            "log_loss_simple": [0.69, 0.69],
            "said": [0.5, 0.6],
            "seen": [0.5, 0.5],
            "error": [0.0, 1.0],
            "cusum_up": [0.0, 0.5],
            "cusum_down": [0.0, 0.0],
        }
    )
    advice = Decision("advice", "keep", "nothing has changed")
    judged = fit.evaluation
    summary, reliability = tuple(judged.summary[:2]), tuple(judged.reliability)
    return ClassMonitoring(nights, summary, judged.verdict, reliability, advice, (), (), fit.metrics, None, "outcome")


@pytest.mark.parametrize("kind", list(VIEWS))
def test_a_result_shows_itself_as_a_page_that_runs_and_loads_nothing(results: dict[str, Any], kind: str) -> None:
    result = results[kind]
    page = Page(result._repr_html_())
    assert page.tags <= {"div", "style", "p", "strong", "span", "details", "summary", "ul", "li", "h3", "table"} | {
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert page.attributes <= {"class", "style", "open", "scope", "tabindex"}
    assert "\n" not in repr(result)
    assert repr(result).startswith(f"{kind}(")


@pytest.mark.parametrize("kind", list(VIEWS))
def test_a_result_draws_itself_and_becomes_a_pandas_frame(results: dict[str, Any], kind: str) -> None:
    result = results[kind]
    spec = result.plot().to_dict()
    assert any(spec["datasets"].values())
    frame = result.to_pandas()
    assert list(frame.columns) == result.as_frame().columns
    assert len(frame) == result.as_frame().height > 0


def test_the_report_of_a_classifier_leads_to_what_was_said_and_shows_its_reliability(results: dict[str, Any]) -> None:
    explanation = results["ClassExplanation"]
    drawn = charts(explanation)
    first = shown_series(explanation).row(0, named=True)
    own = explanation.importance.filter(pl.col("stay") == first["stay"], pl.col("class") == first["class"]).collect()
    (fall,) = (each for each in drawn["waterfall"] if each.title.text.startswith(f"{first['stay']}:"))
    bars = [row for rows in fall.to_dict()["datasets"].values() for row in rows if "from" in row]
    assert [bars[0]["from"], bars[-1]["to"]] == pytest.approx([first["base_value"], first["explained"]], rel=1e-4)
    strongest = own.sort(pl.col("shap").abs(), descending=True)["shap"].head(8)
    assert [bar["to"] - bar["from"] for bar in bars[:8]] == pytest.approx(strongest.to_list(), abs=1e-4)
    held_out = results["ClassifierFit"].evaluation.reliability
    (chart,) = drawn["reliability"]
    said = [row for rows in chart.to_dict()["datasets"].values() for row in rows]
    for part in held_out:
        assert {"said": part["probability"], "seen": part["frequency"]} in said
    assert "Are its probabilities right?" in html_report(explanation)


def test_a_page_says_what_the_terminal_says(results: dict[str, Any]) -> None:
    fit, explanation = results["Fit"], results["Explanation"]
    said = "".join(Page(fit._repr_html_()).text)
    assert fit.backtest.verdict.sentence in said
    assert all(decision.reason in said for decision in fit.decisions)
    assert explanation.verdict.sentence in "".join(Page(explanation._repr_html_()).text)
    assert results["Inspection"].command in "".join(Page(results["Inspection"]._repr_html_()).text)


def test_a_forecast_draws_its_series_with_what_came_before(results: dict[str, Any]) -> None:
    forecast = results["Forecast"]
    assert forecast.history.group_by("shop").len()["len"].to_list() == [28, 28]
    assert len(forecast.plot().to_dict()["vconcat"]) == 2


def test_hostile_ids_are_text_in_a_notebook(hostile: Explanation) -> None:
    days = [dt.date(2024, 1, 1)] * len(HOSTILE_IDS)
    frame = pl.DataFrame({"<b>id": HOSTILE_IDS, "ds": days, "cutoff": days, "step": 1, "yhat": 1.0})
    forecast = Forecast(frame, Schema("ds", "<img src=x onerror=alert(1)>", "<b>id"), (), pl.Series([]))
    for result in (hostile, forecast):
        page = Page(result._repr_html_())
        assert {"script", "img", "b"} & page.tags == set()
        assert "onerror" not in page.attributes
    assert "<script>alert(1)</script>" in "".join(Page(forecast._repr_html_()).text)


def test_a_forecast_in_the_columns_of_nixtla_keeps_every_interval(results: dict[str, Any]) -> None:
    forecast = results["Forecast"]
    frame = forecast.to_nixtla()
    widths = ("50", "80", "95")
    assert frame.columns == [
        "unique_id",
        "ds",
        "tsx",
        *(f"tsx-{side}-{width}" for width in widths for side in ("lo", "hi")),
    ]
    for name, origin in {"unique_id": "shop", "ds": "day", "tsx": "yhat", "tsx-lo-80": "q0.1"}.items():
        assert frame[name].to_list() == forecast.frame[origin].to_list()
    assert frame["tsx-hi-95"].to_list() == forecast.frame["q0.975"].to_list()
    assert forecast.to_nixtla("lstm").columns[2:4] == ["lstm", "lstm-lo-50"]


@given(st.lists(st.tuples(*[st.text("a/\\", max_size=4)] * 2), min_size=2, max_size=6, unique=True))
def test_two_ids_of_several_columns_never_become_one(ids: list[tuple[str, str]]) -> None:
    frame = pl.DataFrame(ids, schema=["region", "shop"], orient="row").with_columns(day=1, yhat=1.0)
    forecast = Forecast(frame, Schema("day", "y", ("region", "shop")), (), pl.Series([]))
    assert forecast.to_nixtla()["unique_id"].n_unique() == len(ids)


def test_one_report_is_written_by_itself_and_is_the_one_of_the_folder(tmp_path: Path) -> None:
    explanation = make_explanation(windows=1, horizon=3, context=8)
    assert explanation.report("html", tmp_path / "why.html") == tmp_path / "why.html"
    assert (tmp_path / "why.html").read_text(encoding="utf-8") == html_report(explanation)
    folder = explanation.write(tmp_path / "why", "md")
    explanation.report("md", tmp_path / "why.md")
    assert (tmp_path / "why.md").read_bytes() == (tmp_path / "why" / "report.md").read_bytes()
    assert {path.name for path in folder} >= {"report.md", "explanation.json", "lag_importance.parquet"}
    with pytest.raises(UsageError) as failed:
        explanation.report("doc", tmp_path / "why.doc")
    assert (failed.value.code, failed.value.hint) == ("report-kind-unknown", "choose among html, md, json, pdf")
    assert not (tmp_path / "why.doc").exists()


def test_a_verb_writes_what_it_is_asked_to(results: dict[str, Any], tmp_path: Path) -> None:
    model = results["Fit"].path
    forecast = tsx.forecast(model=model, out=tmp_path / "f.parquet")
    assert pl.read_parquet(tmp_path / "f.parquet").equals(forecast.frame)
    asked: dict[str, Any] = {"model": model, "windows": 2, "max_evals": 50}
    tsx.explain(**asked, report=["md", "terminal"], out=tmp_path / "why")
    assert (tmp_path / "why" / "report.md").is_file()
    assert not (tmp_path / "why" / "report.html").exists()


def test_a_report_that_was_asked_for_is_written_before_the_gate_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drifted = replace(make_explanation(windows=1, horizon=3, context=8), facts={"drift": 0.34})
    monkeypatch.setattr("tsx.workflows.explain.explain", lambda *_: drifted)
    monkeypatch.setattr("tsx.api.read_content", lambda _: {})
    assert tsx.explain(compare=tmp_path, max_drift=0.4, out=tmp_path / "first") is drifted
    with pytest.raises(QualityGate):
        tsx.explain(compare=tmp_path, max_drift=0.2, out=tmp_path / "later")
    assert (tmp_path / "later" / "explanation.json").is_file()


def test_what_cannot_be_written_is_refused_before_any_work(results: dict[str, Any], tmp_path: Path) -> None:
    model = results["Fit"].path
    with pytest.raises(UsageError, match=r"out\.xls"):
        tsx.forecast("no such table", model=model, out=tmp_path / "out.xls")
    with pytest.raises(WriteError):
        tsx.explain("no such table", model=model, out=model)
    with pytest.raises(ConfigError, match="no earlier report"):
        tsx.explain("no such table", model=model, max_drift=0.2)


def test_what_holds_nothing_to_draw_says_so(results: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as failed:
        replace(results["Fit"], backtest=None, reason="too short").plot()
    assert failed.value.code == "nothing-to-plot"
    assert "too short" in replace(results["Fit"], backtest=None, reason="too short")._repr_html_()


class Display:
    """Stands in for a notebook: what stands in each place of the page, and how often it was drawn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pages: list[str] = []
        place = SimpleNamespace(update=self.pages.append)

        def display(page: str, display_id: bool) -> Any:
            self.pages.append(page)
            return place

        module = SimpleNamespace(HTML=str, display=display)
        shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()), display=module)
        monkeypatch.setitem(sys.modules, "IPython", shell)
        monkeypatch.setitem(sys.modules, "IPython.display", module)


def test_progress_is_drawn_in_a_notebook_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    shown.in_notebook.cache_clear()
    assert shown.watcher() is SILENT
    shown.in_notebook.cache_clear()
    drawn = Display(monkeypatch)
    assert isinstance(shown.watcher(), Bar)
    shown.in_notebook.cache_clear()
    monkeypatch.setattr("tsx.report.notebook.PAUSE", -1)
    bar = shown_tasks()
    assert ["width:25%" in page for page in drawn.pages] == [False, False, True, False, False]
    assert "&lt;b&gt;training&lt;/b&gt;: 25%" in drawn.pages[2]
    assert "loss 0.5" in drawn.pages[2]
    assert drawn.pages[-1] == ""
    bar.finish()


def shown_tasks() -> Bar:
    bar = Bar()
    bar.start("reading", 0)
    bar.start("<b>training</b>", 8)
    bar.update(2, "loss 0.5")
    bar.finish()
    bar.finish()
    return bar


def test_the_doctor_finds_nothing_broken() -> None:
    found = tsx.doctor()
    assert found.broken == ()
    assert set(found.to_dict()["packages"]) == {package.name for package in found.packages} >= {"torch", "polars"}
    found.check()


@pytest.mark.nightly
def test_the_demo_gives_its_three_results_and_names_its_files(tmp_path: Path) -> None:
    made = tsx.demo(out=tmp_path / "demo", max_steps=3, max_evals=64)
    assert made.forecast.frame.equals(pl.read_parquet(tmp_path / "demo" / "forecast.parquet"))
    assert all(path.is_file() for path in made.files)
    assert {path.name for path in made.files} >= {"report.html", "forecast.csv", "CURRENT"}
    assert repr(made).startswith("Demo(files=")
