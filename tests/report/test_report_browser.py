"""The HTML report as a browser shows it: in headless Chromium, where that is installed."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest

import tsx
from tsx.report.html import html_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--enable-logging=stderr")

AXE = Path(os.environ.get("AXE_CORE", "build/axe/node_modules/axe-core/axe.min.js"))
"""Deque's checker of accessibility, which `make nightly` installs where npm is (package axe-core)."""
DARK = "--blink-settings=preferredColorScheme=0"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="headless Chromium is not installed")


def shown(page: str, folder: Path, *flags: str) -> tuple[str, list[str]]:
    """The page's elements once its program has run, and what the program wrote to the console."""
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)  # type: ignore[arg-type]
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def used(page: str, *programs: str) -> str:
    """The page with programs that do what a reader would; the policy, which would refuse them, is taken away."""
    without = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    before, _, after = without.rpartition("</body>")
    return f"{before}{''.join(f'<script>{each}</script>' for each in programs)}</body>{after}"


@pytest.mark.parametrize(
    "which",
    ["rich_explanation", *(pytest.param(one, marks=pytest.mark.nightly) for one in ("full_explanation", "hostile"))],
)
def test_every_chart_is_drawn_under_the_policy_and_the_console_stays_empty(request, which, tmp_path):
    page = html_report(request.getfixturevalue(which))
    elements, console = shown(page, tmp_path)
    assert console == []
    assert "cannot be drawn" not in re.sub(r"<script.*?</script>", "", elements, flags=re.DOTALL)
    assert elements.count('<svg xmlns="http://www.w3.org/2000/svg"') == page.count('class="chart"')


def test_a_series_that_is_looked_up_is_drawn_and_a_view_hides_the_other_sections(rich_explanation, tmp_path):
    actions = """
      for (const field of document.querySelectorAll("[data-figure]")) {
        field.value = "patient 08";
        field.dispatchEvent(new Event("input"));
      }
      const field = document.querySelector("[data-figure=single]"), place = document.getElementById("picked-single");
      for (const typed of ["PATIENT", "nobody"]) {
        field.value = typed;
        field.dispatchEvent(new Event("input"));
        const said = place.childElementCount ? "kept" : place.textContent;
        document.body.setAttribute(`data-${typed.toLowerCase()}`, said);
      }
      field.value = "patient 08";
      field.dispatchEvent(new Event("input"));
      document.querySelector("[data-show=summary]").click();
      const seen = [...document.querySelectorAll("section")].filter((one) => one.offsetParent !== null);
      document.body.setAttribute("data-seen", seen.map((one) => one.id).join(" "));
    """
    elements, console = shown(used(html_report(rich_explanation), actions), tmp_path)
    assert console == []
    assert 'data-seen="forecast accuracy findings"' in elements
    assert 'data-patient="kept"' in elements
    assert 'data-nobody="No series of this name is here."' in elements
    for figure, charts in (("forecast", 1), ("single", 3)):
        picked = elements[elements.index(f'id="picked-{figure}"') :]
        picked = picked[: picked.index("</figure>")]
        assert "patient 08" in picked
        assert picked.count("<svg") == charts
    assert 'data-show="summary" aria-pressed="true"' in elements
    assert 'data-show="all" aria-pressed="false"' in elements


def test_charts_and_tables_of_the_internals_and_checks_stand_behind_folds_until_the_internals_are_asked_for(
    full_explanation, tmp_path
):
    actions = """
      const open = (key) => document.querySelector(`#${key} details.inner`).open;
      const said = () => ["memory", "checks"].map(open).join(" ");
      setTimeout(() => {
        const closed = said();
        dispatchEvent(new Event("beforeprint"));
        const printed = said();
        dispatchEvent(new Event("afterprint"));
        const after = said();
        document.querySelector("[data-show=internals]").click();
        const width = document.querySelector("#memory svg").getBoundingClientRect().width;
        document.body.setAttribute("data-folds", [closed, printed, after, said(), width > 100].join(", "));
      }, 3000);
    """
    elements, console = shown(used(html_report(full_explanation), actions), tmp_path)
    assert console == []
    assert 'data-folds="false false, true true, false false, true true, true"' in elements
    assert '<details class="inner"' not in elements[: elements.index('<section id="drivers"')]


@pytest.mark.parametrize(("flags", "darkened"), [((DARK,), False), (("--enable-features=WebContentsForceDark",), True)])
def test_charts_are_turned_where_the_browser_darkens_the_page_by_itself(daily, tmp_path, flags, darkened):
    elements, console = shown(html_report(daily), tmp_path, *flags)
    assert console == []
    assert ('<body class="darkened">' in elements) == darkened


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.nightly), 400])
def test_nothing_is_wider_than_the_window(full_explanation, tmp_path, width):
    actions = """
      setTimeout(() => document.body.setAttribute("data-width", document.documentElement.scrollWidth), 3000);
    """
    elements, _ = shown(used(html_report(full_explanation), actions), tmp_path, f"--window-size={width},900")
    (found,) = re.findall(r'data-width="(\d+)"', elements)
    assert int(found) <= max(width, 500)  # headless Chromium opens no window under 500 pixels


def test_no_name_is_broken_on_a_telephone(full_explanation, tmp_path):
    actions = """
      setTimeout(() => {
        document.querySelector("main").style.width = "400px";  // no window is that narrow here, but the page can be
        for (const fold of document.querySelectorAll("details")) fold.open = true;
        const around = document.createRange();
        const lines = (cell) => {
          around.selectNodeContents(cell);
          return new Set([...around.getClientRects()].map((box) => box.top)).size;
        };
        const names = [...document.querySelectorAll("td.name")].filter((cell) => !cell.textContent.includes(" "));
        const broken = names.filter((cell) => lines(cell) > 1).map((cell) => cell.textContent);
        document.body.setAttribute("data-broken", `${names.length > 0} ${broken.join(", ")}`);
      }, 3000);
    """
    elements, _ = shown(used(html_report(full_explanation), actions), tmp_path, "--window-size=500,900")
    assert 'data-broken="true "' in elements


def test_a_heading_that_a_link_leads_to_stands_below_the_contents(full_explanation, tmp_path):
    actions = """
      setTimeout(() => {
        location.hash = "checks";
        setTimeout(() => {
          const bottom = document.querySelector("nav").getBoundingClientRect().bottom;
          const top = document.querySelector("#checks h2").getBoundingClientRect().top;
          document.body.setAttribute("data-below", String(bottom > 0 && top >= bottom));
        }, 500);
      }, 3000);
    """
    elements, _ = shown(used(html_report(full_explanation), actions), tmp_path, "--window-size=1000,700")
    assert 'data-below="true"' in elements


@pytest.fixture(scope="module")
def of_classes(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of a small classifier."""
    folder = tmp_path_factory.mktemp("classes")
    hours = [(stay, hour) for stay in range(24) for hour in range(6)]
    rows = [(stay, hour, 80.0 + stay % 2 * hour + (stay * 7 + hour * 3) % 5, "ab"[stay % 2]) for stay, hour in hours]
    stays = pl.DataFrame(rows, schema=["stay", "hour", "pulse", "outcome"], orient="row")
    tsx.fit(stays, label="outcome", model=folder / "model", hidden_size=4, max_steps=3)
    return html_report(tsx.explain(stays, model=folder / "model", windows=4, max_evals=100))


@pytest.mark.nightly
@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed (npm install --prefix build/axe axe-core)")
@pytest.mark.parametrize("flags", [("--window-size=1280,900",), ("--window-size=400,900", DARK)])
@pytest.mark.parametrize("which", ["forecasts", "everything", "classes"])
def test_no_serious_fault_of_accessibility_is_found_on_a_page(request, which, flags, tmp_path):
    kinds = {"forecasts": "rich_explanation", "everything": "full_explanation"}
    page = request.getfixturevalue("of_classes") if which == "classes" else ""
    page = page or html_report(request.getfixturevalue(kinds[which]))
    look = """
      setTimeout(() => axe.run(document, {resultTypes: ["violations"]}).then((found) => {
        const faults = found.violations.map((one) => [one.impact, one.id, one.nodes[0].target.join(" ")]);
        document.body.setAttribute("data-faults", JSON.stringify(faults));
      }), 4000);
    """
    checker = AXE.read_text(encoding="utf-8").replace("</script", "<\\/script")
    elements, _ = shown(used(page, checker, look), tmp_path, "--virtual-time-budget=60000", *flags)
    (faults,) = re.findall(r'data-faults="([^"]*)"', elements)
    assert [fault for fault in json.loads(html.unescape(faults)) if fault[0] in ("serious", "critical")] == []
