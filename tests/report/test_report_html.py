from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import polars as pl
import pytest

from tests.report.fakes import make_explanation
from tsx.report.html import html_report, inline_json, tied


class Page(HTMLParser):
    """Every element with its attributes, and the text of scripts and of the page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(rich_explanation) -> Page:
    return Page(html_report(rich_explanation))


@pytest.fixture(scope="module")
def full_page(full_explanation) -> Page:
    return Page(html_report(full_explanation))


@pytest.fixture(scope="module")
def hostile_page(hostile) -> Page:
    return Page(html_report(hostile))


def test_the_page_asks_for_nothing_from_anywhere(page):
    allowed = {"charset", "content", "http-equiv", "name", "lang", "class", "id", "style", "scope", "tabindex", "type"}
    allowed |= {"role", "aria-label", "aria-pressed", "data-show", "data-view", "href", "list", "autocomplete", "value"}
    allowed |= {"data-figure", "aria-live", "open"}
    assert {name for _, attributes in page.elements for name in attributes} <= allowed
    assert not {tag for tag, _ in page.elements} & {"link", "img", "iframe", "object", "embed", "base", "form"}
    assert {anchor["href"] for anchor in page.all("a")} == {f"#{section['id']}" for section in page.all("section")}
    specs = page.scripts[0]
    assert "http" not in re.sub(r"https://vega\.github\.io/schema/vega-lite/v\d[\d.]*\.json", "", specs)
    assert '"url"' not in specs


def test_the_policy_allows_the_two_programs_by_their_hash_and_no_network(page):
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in rules["script-src"]
    hashes = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in page.scripts[2:]]
    assert rules["script-src"].split() == [f"'sha256-{value}'" for value in hashes]
    assert len(page.scripts) == 4


def test_every_chart_has_its_place_and_its_data(page):
    specs = json.loads(page.scripts[0])
    places = [div["id"] for div in page.all("div") if div.get("class") == "chart"]
    assert sorted(specs) == sorted(places)
    assert {name.rsplit("-", 1)[0] for name in specs} == {
        "forecast",
        "held_out",
        "single",
        "lags",
        "heat",
        "distance",
        "reach",
        "retention",
        "units",
        "written",
        "gradient",
        "attention",
    }
    assert all(any(spec["datasets"].values()) for spec in specs.values())


def test_hostile_ids_and_columns_are_text(hostile_page, full_page):
    lookup = {"datalist", "label", "option", "input"}
    assert {tag for tag, _ in hostile_page.elements} - lookup == {tag for tag, _ in full_page.elements} - lookup
    assert len(hostile_page.scripts) == 4
    assert not [a for _, attributes in hostile_page.elements for a in attributes if a.startswith("on")]
    text = "".join(hostile_page.text)
    for shown in ("<script>alert(1)</script>", "</script><!--", "\"'&{{7*7}}", "<b>ds</b>", "\\x1b[31mred"):
        assert shown in text
    specs = json.loads(hostile_page.scripts[0])
    titles = [spec["title"]["text"] for name, spec in specs.items() if name.startswith("forecast")]
    assert titles[0] == "<script>alert(1)</script>"


def test_no_control_character_or_direction_override_reaches_the_page(hostile):
    text = html_report(hostile)
    body = text[: text.index('<script type="application/json"')]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", body)
    specs = text[text.index('id="charts">') : text.index("</script>", text.index('id="charts">'))]
    assert "\\u001b" not in specs
    assert "\u202e" not in specs


def test_inline_json_cannot_end_its_element():
    value = {"a": "</script><!-- <script> & \u2028", "b": [1.5, None]}
    text = str(inline_json(value))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value


def test_sections_stand_in_order(page):
    order = [
        "forecast",
        "accuracy",
        "findings",
        "drivers",
        "single",
        "checks",
        "reach",
        "memory",
        "gradient",
        "attention",
        "surrogate",
        "method",
    ]
    assert [section["id"] for section in page.all("section")] == order


def test_a_horizon_of_one_without_attention_leaves_out_what_it_has_not():
    page = Page(html_report(make_explanation(series=1, horizon=1, context=12, season=1, windows=1, cell="rnn")))
    assert "attention" not in [section["id"] for section in page.all("section")]
    specs = json.loads(page.scripts[0])
    lags = [f"lags-{k}" for k in range(3)]
    single = [f"single-{k}" for k in range(3)]
    held_out = ["held_out-0", "held_out-1"]
    assert sorted(specs) == ["forecast-0", "gradient-0", *held_out, *lags, "reach-0", "retention-0", *single, "units-0"]
    assert sorted(specs) == sorted(d["id"] for d in page.all("div") if d.get("class") == "chart")


def test_every_check_shows_its_verdict(page):
    pills = [span["class"] for span in page.all("span") if (span.get("class") or "").startswith("pill")]
    assert pills == ["pill pass", "pill pass", "pill weak", "pill fail"]


def test_a_figure_and_its_percent_sign_stay_on_one_line():
    assert tied("90 % within 5 %, a % b") == "90\N{NO-BREAK SPACE}% within 5\N{NO-BREAK SPACE}%, a % b"
    assert tied("after 1 h 10 min, 3 steps") == "after 1\N{NO-BREAK SPACE}h 10\N{NO-BREAK SPACE}min, 3 steps"
    assert tied("(p < .001, 24 origins)") == "(p\N{NO-BREAK SPACE}<\N{NO-BREAK SPACE}.001, 24 origins)"


def test_any_series_can_be_looked_up_where_not_all_are_drawn(page, explanation):
    looked_up = json.loads(page.scripts[1])["picks"]
    names = {key: list(charts) for key, charts in looked_up.items()}
    assert [option["value"] for option in page.all("option")] == [*names["forecast"], *names["single"]]
    assert [len(each) for each in names.values()] == [8, 8]
    for name, (chart,) in looked_up["forecast"].items():
        assert chart["title"]["text"] == name
    for name, charts in looked_up["single"].items():
        assert all(name in chart["description"] for chart in charts)
    few = Page(html_report(explanation))
    assert list(json.loads(few.scripts[1])["picks"]) == ["single"]
    assert [one["data-figure"] for one in few.all("input")] == ["single"]


def test_the_forecasts_can_be_saved_as_they_are(page, rich_explanation):
    saved = pl.read_csv(io.StringIO(json.loads(page.scripts[1])["csv"]), try_parse_dates=True)
    np.testing.assert_allclose(saved["yhat"], rich_explanation.quantiles["yhat"])
    assert saved.columns == rich_explanation.quantiles.columns


def test_every_section_belongs_to_a_view_and_internals_are_what_is_left(page):
    views = {section["id"]: section["data-view"] for section in page.all("section")}
    assert {name for name, view in views.items() if view == "summary"} == {"findings", "forecast", "accuracy"}
    assert {name for name, view in views.items() if view == "explanation"} == {"drivers", "single", "checks"}
    assert views["method"] == "internals"


def test_the_head_says_what_data_which_model_which_command_and_how_many_of_all_series(page):
    text = " ".join("".join(page.text).split())
    assert "glucose.csv: 960 steps of 10 series, the newest" in text
    assert "(SHA-256 ba9876543210…)" in text
    assert "v3, fitted on 2024-03-05 to 960 steps of 10 series with tsx 0.1.0 (SHA-256 0123456789ab…)" in text
    assert "Commandtsx explain glucose.csv --windows 6" in text
    assert "8 of 10 series explained" in text


def test_a_table_that_repeats_a_chart_is_folded(page):
    folded = "".join(page.text)
    assert len(page.all("details")) == len(page.all("summary")) >= 3
    assert "Lags that matter most" in folded
