from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import date, datetime
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from tests.report.fakes import HOSTILE_IDS
from tsx.report import backtest_sentences, terminal
from tsx.report.labels import chosen_lags, event_words, intervals, probability_words, time_words
from tsx.report.markdown import escape, line, markdown_report
from tsx.report.story import story_of
from tsx.sanitize import clean
from tsx.spec.decision import Decision, Finding

RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class Stream(io.StringIO):
    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding


def shown(renderable, *, encoding: str = "utf-8", colour: bool = False) -> str:
    stream = Stream(encoding)
    Console(file=stream, width=80, force_terminal=colour, no_color=not colour).print(renderable)
    return stream.getvalue()


def backtest(**changed):
    summary = [
        {"model": "lstm", "mase": 0.71, "smape": 11.2, "rmse": 23.4, "scaled_crps": 0.081, "coverage_80": 0.77},
        {"model": "seasonal_naive", "mase": 0.81, "smape": 10.2, "rmse": 25.4, "scaled_crps": None},
    ]
    verdict = SimpleNamespace(
        sentence="No better than seasonal naive.",
        has_skill=False,
        loss="scaled error",
        against="seasonal_naive",
        model="lstm",
    )
    parts = {"summary": summary, "per_step": [], "clinical": (), "verdict": verdict, "notes": ("2 windows left out",)}
    parts["reliability"] = ()
    winners = {"id": ["a", "b", "c"], "winner": ["lstm", "lstm", None], "mae_lstm": [1.5, 2.5, None]}
    parts |= {"by_series": lambda: pl.DataFrame(winners), "wins": lambda: {"lstm": 2}}
    return SimpleNamespace(**parts | changed)


def rendered_forecast(explanation, frame):
    return terminal.render_forecast(frame, explanation.schema, explanation.config.quantile_levels)


@given(st.text(max_size=60))
def test_cleaned_text_holds_no_control_character(text):
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]", clean(text))


@given(st.text(alphabet=st.characters(categories=("L", "N", "P", "S")), max_size=40))
def test_ordinary_text_is_left_as_it_is(text):
    assert clean(text) == text


def test_times_show_no_clock_that_says_nothing():
    assert time_words([datetime(2024, 1, 1), datetime(2024, 1, 2)]) == ["2024-01-01", "2024-01-02"]
    assert time_words([datetime(2024, 1, 1), datetime(2024, 1, 1, 5)]) == ["2024-01-01 00:00", "2024-01-01 05:00"]
    assert time_words([datetime(2024, 1, 1, 0, 0, 7)]) == ["2024-01-01 00:00:07"]
    assert time_words([date(2024, 1, 1)]) == ["2024-01-01"]
    assert time_words([4, None]) == ["4", "None"]


def test_chosen_lags_hold_the_first_the_season_and_the_last():
    assert {1, 168, 400} <= set(chosen_lags(list(range(1, 401)), 168))
    assert len(chosen_lags(list(range(1, 401)), 168)) <= 9
    assert chosen_lags([24, 48, 72, 96], 24) == [24, 48, 72, 96]
    assert chosen_lags([], 24) == []


def test_intervals_pair_levels_that_lie_equally_far_from_the_median():
    levels = (0.025, 0.1, 0.25, 0.5, 0.9, 0.975)
    assert intervals(levels) == [(0.95, "q0.025", "q0.975"), (0.8, "q0.1", "q0.9")]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "cp1252"])
def test_the_explanation_fits_80_columns_and_every_encoding(rich_explanation, hostile, encoding):
    for explanation in (rich_explanation, hostile):
        text = shown(terminal.render_explanation_in_full(explanation), encoding=encoding)
        text.encode(encoding)
        assert max(cell_len(row) for row in text.splitlines()) <= 80
        assert "What drives the forecast" in text


def test_the_findings_come_first_and_every_check_with_its_verdict(explanation):
    text = shown(terminal.render_explanation_in_full(explanation))
    places = [
        text.index(part)
        for part in (
            "12 % better",
            "The season decides",
            "Lags that matter most",
            "additivity",
            "What the cells remember",
        )
    ]
    assert places == sorted(places)
    for check in explanation.checks:
        assert re.search(rf"{check.verdict}\s+{check.name.replace('_', ' ')}", text)


def test_one_screen_of_an_explanation_shows_the_checks_that_were_not_passed_and_names_the_rest(explanation):
    text = shown(terminal.render_explanation(explanation))
    whole = shown(terminal.render_explanation_in_full(explanation))
    checks = text[text.index("Checks of this explanation") :]
    for check in explanation.checks:
        assert (f" {check.name.replace('_', ' ')} " in checks) == (check.verdict != "pass")
    assert "What the cells remember" in " ".join(text[text.index("With --full also:") :].split())
    before = text[: text.index("Checks of this explanation")]
    assert set(map(str.strip, whole.splitlines())) > set(map(str.strip, before.splitlines()))
    assert len(text.splitlines()) < 0.6 * len(whole.splitlines())


def test_what_was_asked_for_is_shown_on_the_first_screen(full_explanation):
    text = shown(terminal.render_explanation(full_explanation))
    asked = [section for section in story_of(full_explanation).sections if section.key in terminal.ASKED]
    assert {section.key for section in asked} >= {"cohorts", "comparison", "interactions"}
    for section in asked:
        assert section.title in text
        assert all(column.title.split()[0] in text for table in section.tables for column in table.columns[:1])
    assert "Lags that matter most" not in text


def test_a_plain_explanation_fits_a_screen_of_forty_lines(daily):
    rendered = Stream("utf-8")
    Console(file=rendered, width=100).print(terminal.render_explanation(daily))
    assert len(rendered.getvalue().splitlines()) <= 40


def test_advice_with_flags_is_for_who_runs_the_program_and_not_among_the_sentences(explanation):
    vague = replace(explanation.checks[0], verdict="weak", advice="--max-evals N gives more precise values.")
    doubtful = replace(explanation, checks=(vague, *explanation.checks[1:]))
    for render in (terminal.render_explanation, terminal.render_explanation_in_full):
        text = " ".join(shown(render(doubtful)).split())
        assert text.count(vague.advice) == 1
        assert text.index(vague.sentence) < text.index(vague.advice)
    told = story_of(doubtful).sections
    assert [section.key for section in told if "--" in repr(section)] == ["method"]


def test_a_fit_shows_what_a_user_might_decide_otherwise_and_counts_the_rest():
    decided = (
        Decision("id", "shop", "a"),
        Decision("horizon", 7, "b"),
        Decision("network_weight", 0.5, "e"),
        Decision("segment", 1, "c"),
        Decision("floor", 0, "d"),
    )
    text = shown(terminal.decided_in_groups(decided))
    places = [
        text.index(word)
        for word in (
            *("The table", "id shop"),
            *("The forecast", "horizon 7", "network weight 0.5"),
            *("The network", "segment 1"),
        )
    ]
    assert places == sorted(places)
    assert "floor" not in text
    assert "and 1 more on how it is built and trained, with --verbose" in text


def test_numbers_are_never_cut_by_long_names(hostile):
    text = shown(terminal.render_explanation_in_full(hostile))
    drivers = text[text.index("Lags that matter most") : text.index("Checks of this explanation")]
    assert not re.search(r"\d…", drivers)
    assert "std. error" in drivers


def test_no_escape_of_the_data_reaches_the_terminal(hostile):
    forecast = rendered_forecast(hostile, hostile.quantiles)
    for text in (shown(terminal.render_explanation_in_full(hostile)), shown(forecast)):
        assert not RAW.search(text)
        assert "[2Jpast" in text or "[31mred" in text
    assert "[bold]markup[/bold]" in shown(forecast)
    coloured = shown(forecast, colour=True)
    assert "\x1b[31mred" not in coloured
    assert "\x1b[2J" not in coloured


def test_reliability_is_shown_of_the_network_with_every_bin_in_its_row_and_fits_a_narrow_terminal():
    def event(model, column, bins):
        parts = [{"low": low, "high": low + 0.1, "n": 1234, "observed_frequency": share} for low, share in bins.items()]
        whole = {"mean_probability": 0.215, "observed_frequency": 0.2, "brier": 0.1234}
        return {"model": model, "column": column, **whole, "bins": parts}

    columns = ["p_above_180", "p_below_70", "p_any_above_180", "p_any_below_70", "p_any_below_-5"]
    events = [event("lstm", column, {0.0: 0.04, 0.9: 1.0} if k else {0.1: 0.2}) for k, column in enumerate(columns)]
    text = shown(terminal.render_backtest(backtest(reliability=(*events, event("naive", "p_above_9", {0.5: 0.5})))))
    assert "180" not in shown(terminal.render_backtest(backtest()))
    lines = text[text.index("How often it happened") :].splitlines()
    assert lines[2].split() == ["forecast", ">", "180", "<", "70", "any", ">", "180", "any", "<", "70"]
    assert lines[4].split() == ["0", "to", "10", "%", *3 * ["4", "%", "of", "1,234"]]
    assert lines[5].split() == ["10", "to", "20", "%", "20", "%", "of", "1,234"]
    assert lines[6].split() == ["90", "to", "100", "%", *3 * ["100", "%", "of", "1,234"]]
    assert "any < -5" in text
    assert "> 9" not in text
    assert max(map(cell_len, lines)) <= 80


def test_a_probability_is_none_or_all_only_where_it_is_certain():
    assert [probability_words(p) for p in (0.0, 1e-9, 0.004, 0.126, 0.9999, 1.0)] == [
        *("0 %", "< 1 %", "< 1 %", "13 %", "> 99 %", "100 %")
    ]
    assert [event_words(f"p_{event}") for event in ("above_180", "any_below_-5", "below_1e-07")] == [
        *("> 180", "any < -5", "< 1e-07")
    ]


def test_a_forecast_shows_its_first_rows_and_says_how_many_follow(explanation):
    text = shown(rendered_forecast(explanation, explanation.quantiles))
    assert "24 steps of glucose_mg_dl for 3 series" in text
    assert "and 60 more rows" in text
    assert "q0.025" in text
    empty = shown(rendered_forecast(explanation, explanation.quantiles.clear()))
    assert "No forecast" in empty


def test_a_level_of_a_billion_shows_its_single_steps(explanation):
    moved = explanation.quantiles.with_columns(pl.col("^(yhat|q.*)$") / 100 + 1e9)
    assert re.search(r"1,000,000,001\.\d{3}", shown(rendered_forecast(explanation, moved)))


def test_the_best_value_of_a_metric_is_bold_and_the_verdict_is_said():
    text = shown(terminal.render_backtest(backtest()), colour=True)
    assert re.search(r"\x1b\[1m\s*0\.7100", text)
    assert re.search(r"\x1b\[1m\s*10\.20", text)
    assert not re.search(r"\x1b\[1m\s*0\.8100", text)
    plain = shown(terminal.render_backtest(backtest()))
    assert "No better than seasonal naive." in plain
    assert "2 windows left out." in plain


def test_a_backtest_says_how_its_interval_holds_over_steps_and_series():
    row = {
        "model": "lstm",
        "mase": 0.7,
        "coverage_80": 0.77,
        "width_80": 3.2,
        "coverage_95": 0.9,
        "width_95": 5.0,
        "n_series": 40,
        "series_under_80": 0.1,
        "worst_series_80": 0.5,
    }
    steps = [
        {"model": m, "step": s, "coverage_80": c} for m, s, c in (("lstm", 1, 0.8), ("lstm", 12, 0.74), ("x", 1, 0))
    ]
    lines = backtest_sentences.interval_lines(backtest(summary=[row], per_step=steps))
    assert lines == [
        "The forecast's 80 % interval is 3.200 wide on average and covers 77 % of the values: "
        "80 % at step 1 and 74 % at step 12.",
        "It covers less than 70 % of the values in 4 of 40 series; 50 % in the worst.",
    ]
    even = row | {"series_under_80": 0.0, "worst_series_80": 0.72}
    assert backtest_sentences.interval_lines(backtest(summary=[even]))[1:] == [
        "In each of 40 series it covers 72 % or more."
    ]
    whole = row | {"series_under_80": 0.0, "worst_series_80": 1.0}
    assert backtest_sentences.interval_lines(backtest(summary=[whole]))[1:] == ["In each of 40 series it covers 100 %."]
    between = [*steps, {"model": "lstm", "step": 7, "coverage_80": 0.61}]
    line, _ = backtest_sentences.interval_lines(
        backtest(summary=[row], per_step=sorted(between, key=lambda each: each["step"]))
    )
    assert line.endswith("80 % at step 1 and 74 % at step 12, least at step 7 (61 %).")
    assert backtest_sentences.interval_lines(backtest(summary=[row | {"n_series": 1}])) == [
        "The forecast's 80 % interval is 3.200 wide on average and covers 77 % of the values."
    ]
    assert backtest_sentences.interval_lines(backtest(summary=[])) == []


def test_a_backtest_of_glucose_tells_the_zones_of_the_network_and_of_what_it_is_judged_against():
    zones = [
        {"model": model, "grid": grid, "A": a, "B": 1 - a, "C": 0.0, "D": 0.0, "E": 0.0, "n": 9}
        for grid in ("clarke", "parkes")
        for model, a in (("lstm", 0.9), ("naive", 0.5), ("seasonal_naive", 0.75))
    ]
    lines = backtest_sentences.zone_lines(backtest(clinical=tuple(zones)))
    assert lines == [
        f"{grid} error grid: lstm A 90 %, B 10 %, C 0 %, D 0 %, E 0 %; "
        "seasonal naive A 75 %, B 25 %, C 0 %, D 0 %, E 0 %."
        for grid in ("Clarke", "Parkes")
    ]
    assert "Clarke error grid" in shown(terminal.render_backtest(backtest(clinical=tuple(zones))))


def test_a_backtest_names_the_best_model_of_each_series():
    text = shown(terminal.render_backtest(backtest()))
    assert "Best by mean absolute error, of 3 series: lstm 2." in text
    assert re.search(r"a +lstm +1\.500 +1\.500", text)
    many = pl.DataFrame({"id": range(40), "winner": ["lstm"] * 40, "mae_lstm": [1.5] * 40})
    text = shown(terminal.render_backtest(backtest(by_series=lambda: many)))
    assert "of 40 series" in text
    assert "its error" not in text


def test_qlike_is_shown_where_the_verdict_is_by_it():
    summary = [{"model": "lstm", "mase": 0.7, "qlike": 0.212}]
    verdict = SimpleNamespace(sentence="No.", has_skill=False, loss="QLIKE", against="naive", model="lstm")
    assert "QLIKE" in shown(terminal.render_backtest(backtest(summary=summary, verdict=verdict)))
    assert "QLIKE" not in shown(terminal.render_backtest(backtest(summary=summary)))


def test_a_fit_shows_decisions_with_reasons_and_why_nothing_was_held_out():
    decisions = (Decision("horizon", 24, "one day of hours"), Decision("linear_skip", True, "as asked"))
    fit = SimpleNamespace(
        forecaster=SimpleNamespace(history=SimpleNamespace(steps=650, stopped="no improvement")),
        decisions=decisions,
        findings=(Finding("gaps", "3 of 90 rows have no y"),),
        backtest=None,
        reason="no series is long enough",
        path="tsx-model",
        trained=True,
    )
    text = shown(terminal.render_fit_in_full(fit))
    for part in (
        "horizon 24 — one day of hours",
        "linear skip yes — as asked",
        "3 of 90 rows have no y",
        "Not evaluated: no series is long enough.",
        "tsx-model",
    ):
        assert part in text
    assert "MASE" in shown(terminal.render_fit(SimpleNamespace(**vars(fit) | {"backtest": backtest()})))


@pytest.mark.parametrize(("trained", "heading"), [(True, "Written"), (False, "Unchanged")])
def test_an_update_without_new_rows_is_not_said_to_have_written_the_model(trained, heading):
    fit = SimpleNamespace(
        forecaster=SimpleNamespace(history=SimpleNamespace(steps=650, stopped="no improvement")),
        decisions=(),
        findings=(),
        backtest=None,
        reason="",
        path="tsx-model",
        trained=trained,
    )
    said = [line.strip() for line in shown(terminal.render_fit(fit)).splitlines()]
    assert [line for line in said if line in ("Written", "Unchanged")] == [heading]


def test_bars_grow_by_eighths_and_a_little_is_never_nothing():
    assert [terminal.bar(s, 2).rstrip() for s in (0, 1e-9, 0.25, 0.5, 1, 7)] == ["", "▏", "▌", "█", "██", "██"]


def test_markdown_holds_every_section_in_tables(rich_explanation):
    text = markdown_report(rich_explanation)
    for part in (
        "# Why",
        "- Data: glucose.csv: 960 steps of 10 series",
        "\n    tsx explain glucose.csv --windows 6\n",
        "12 % better",
        "## What drives the forecast",
        "### Retention",
        "## Where attention looks",
        "**weak**",
        "memory span",
    ):
        assert part in text
    assert text.endswith("\n")


def test_every_markdown_table_keeps_its_columns_whatever_the_names(hostile):
    lines = markdown_report(hostile).splitlines()
    width = None
    tables = 0
    for row in lines:
        if not row.startswith("|"):
            width = None
            continue
        cells = len(re.findall(r"(?<!\\)\|", row))
        width = width or cells
        tables += cells > 0
        assert cells == width, row
    assert tables > 40


@pytest.mark.parametrize("name", [*HOSTILE_IDS, "y|<img src=x onerror=alert(1)>", "www.evil.example", "a@b.example"])
def test_markdown_escapes_make_user_text_inert(name):
    text = escape(name)
    assert "<" not in text.replace("&lt;", "")
    assert "://" not in text
    assert "www." not in text
    assert "@" not in text
    assert not re.search(r"(?<!\\)[|*`\[\]]", text)
    assert not RAW.search(text)


def test_a_line_cannot_open_a_heading_or_a_list():
    assert [line(t) for t in ("# x", "1. x", "- x", "+x", "plain")] == ["\\# x", "1\\. x", "\\- x", "\\+x", "plain"]
