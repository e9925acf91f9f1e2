"""The HTML report as a browser shows it: in headless Chromium, where that is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tsx.report.html import html_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--enable-logging=stderr")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="headless Chromium is not installed")


def shown(page: str, folder: Path, *flags: str) -> tuple[str, list[str]]:
    """The page's elements once its program has run, and what the program wrote to the console."""
    file = folder / "report.html"
    file.write_text(page, encoding="utf-8")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", *flags, "--dump-dom", file.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)  # type: ignore[arg-type]
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def used(page: str, actions: str) -> str:
    """The page with a program that does what a reader would; the policy, which would refuse it, is taken away."""
    without = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    before, _, after = without.rpartition("</body>")
    return f"{before}<script>{actions}</script></body>{after}"


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
      const field = document.getElementById("series");
      field.value = "patient 08";
      field.dispatchEvent(new Event("input"));
      document.querySelector("[data-show=summary]").click();
      const seen = [...document.querySelectorAll("section")].filter((one) => one.offsetParent !== null);
      document.body.setAttribute("data-seen", seen.map((one) => one.id).join(" "));
    """
    elements, console = shown(used(html_report(rich_explanation), actions), tmp_path)
    assert console == []
    assert 'data-seen="findings forecast accuracy"' in elements
    picked = elements[elements.index('id="picked"') :]
    assert "patient 08" in picked[: picked.index("</svg>")]
    assert 'data-show="summary" aria-pressed="true"' in elements
    assert 'data-show="all" aria-pressed="false"' in elements


@pytest.mark.parametrize("width", [pytest.param(1280, marks=pytest.mark.nightly), 400])
def test_nothing_is_wider_than_the_window(full_explanation, tmp_path, width):
    actions = """
      setTimeout(() => document.body.setAttribute("data-width", document.documentElement.scrollWidth), 3000);
    """
    elements, _ = shown(used(html_report(full_explanation), actions), tmp_path, f"--window-size={width},900")
    (found,) = re.findall(r'data-width="(\d+)"', elements)
    assert int(found) <= max(width, 500)  # headless Chromium opens no window under 500 pixels
