"""The README and the first pages keep their word: commands run and print what is shown, links lead somewhere."""

from __future__ import annotations

import pkgutil
import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.pages import FENCE, ROOT, SMALL, Reader, cheaper, missing, steps
from tests.test_architecture import LAYER_OF
from tsx import errors
from tsx.model.trained import BATCH

README = ROOT / "README.md"
PAGES = sorted([README, ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "sample_data").glob("*.md")])
CHEAP = {**SMALL, "TSX_MAX_STEPS": "10", "TSX_MAX_EVALS": "300", "TSX_WINDOWS": "5"}
LINK = re.compile(r"\]\(([^)\s]+)\)")
SETTINGS = ROOT / "docs" / "reference" / "settings.md"


@pytest.mark.parametrize("page", ["start.md", "commands.md"])
def test_every_block_of_the_first_pages_runs_and_prints_what_it_shows(page: str, tmp_path: Path) -> None:
    """Variables make the commands cheap."""
    reader = Reader(tmp_path, **CHEAP)
    wrong = {}
    followed = list(steps(ROOT / "docs" / page))
    for step in followed:
        step.code = cheaper(step.code).replace("--max-time 60s", "--max-time 2s")
        if lines := missing(step.shown, reader.follow(step)):
            wrong[step.code] = lines
    assert any(step.code.startswith("tsx fit sample_data/") for step in followed)
    assert not wrong


def test_the_crontab_of_the_start_is_that_of_the_page_on_nights() -> None:
    start, nights = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("start.md", "every-night.md"))
    crontab = next(body for _, body in FENCE.findall(start) if body.startswith("PATH="))
    assert crontab in [body for _, body in FENCE.findall(nights)]


def test_the_readme_names_the_targets_of_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    named = re.findall(r"^\$ make (\w+)", README.read_text(encoding="utf-8"), re.M)
    assert named == ["demo", "test"]
    assert set(named) <= targets


def test_the_settings_file_of_the_page_is_taken_and_a_flag_beats_it(tmp_path: Path) -> None:
    toml = next(body for language, body in FENCE.findall(SETTINGS.read_text(encoding="utf-8")) if language == "toml")
    (tmp_path / "tsx.toml").write_text(toml, encoding="utf-8")
    rows = [f"{day},{day % 5},{day % 3}" for day in range(80)]
    (tmp_path / "table.csv").write_text("\n".join(["t,y,volume", *rows]), encoding="utf-8")
    reader = Reader(tmp_path, TSX_MAX_STEPS="1")
    file = reader.run("tsx fit table.csv --json")
    reader.environment["TSX_HORIZON"] = "3"
    variable, flag = (reader.run(f"tsx fit table.csv {flags} --json") for flags in ("", "--horizon 4"))
    horizons = [re.findall(r'"name": "horizon",\s+"value": (\d+)', out) for out in (file, variable, flag)]
    assert horizons == [[str(tomllib.loads(toml)["fit"]["horizon"])], ["3"], ["4"]]


def test_the_table_of_exit_statuses_names_those_of_the_errors() -> None:
    rows = re.findall(r"^\| ([\d, ]+) \| ", SETTINGS.read_text(encoding="utf-8"), re.M)
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TsxError)]
    assert {int(number) for row in rows for number in row.split(",")} == {0, *(kind.exit_status for kind in kinds)}


def test_the_site_and_the_list_of_pages_have_every_page() -> None:
    """`mkdocs.yml` without a reader of YAML: a page stands at the end of its line."""
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")} - {"docs/README.md"}
    site = set(re.findall(r": (docs/[\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    listed = LINK.findall((ROOT / "docs" / "README.md").read_text(encoding="utf-8"))
    assert site == pages
    assert {f"docs/{link.split('#')[0]}" for link in listed} >= pages - {"docs/SKILL.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = [link.split("#")[0] for link in LINK.findall(page.read_text(encoding="utf-8"))]
    inner = [link for link in links if link and "://" not in link]
    assert [link for link in inner if not (page.parent / link).exists()] == []


def test_the_tree_of_the_readme_names_every_package_and_no_other() -> None:
    tree = next(body for body in FENCE.findall(README.read_text(encoding="utf-8")) if body[1].startswith("tsx/\n"))[1]
    named = re.findall(r"^[├└]── (\S+)", tree, re.M)
    packages = {f"{path.parent.name}/" for path in (ROOT / "tsx").glob("*/__init__.py")}
    modules = {path.name for path in (ROOT / "tsx").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert sorted(named) == sorted(packages | modules)


def test_the_tree_of_the_readme_is_in_the_order_of_the_imports() -> None:
    tree = next(body for body in FENCE.findall(README.read_text(encoding="utf-8")) if body[1].startswith("tsx/\n"))[1]
    named = [f"tsx.{name}" for name in re.findall(r"^[├└]── (\w+)", tree, re.M)]
    assert [LAYER_OF[name] for name in named] == sorted(LAYER_OF.values())


def test_the_calls_from_the_command_to_the_network_exist_and_are_five() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    calls = re.findall(r"^\| (\d) \| `([\w.]+)`", page, re.M)
    assert [int(number) for number, _ in calls] == [1, 2, 3, 4, 5]
    for _, call in calls:
        assert callable(pkgutil.resolve_name(call))
    assert f"batches of {BATCH} windows" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_into_a_page_leads_to_a_heading(page: Path) -> None:
    links = [link.split("#") for link in LINK.findall(page.read_text(encoding="utf-8")) if "#" in link]
    inner = [(page.parent / file if file else page, anchor) for file, anchor in links if "://" not in file]
    assert [(file.name, anchor) for file, anchor in inner if anchor not in headings(file)] == []


def headings(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "benchmarks" / "README.md"], ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_file_of_the_code_that_a_page_names_is_there(page: Path) -> None:
    named = re.findall(r"\b(?:tsx|tests|benchmarks)/[\w/]+\.py\b", page.read_text(encoding="utf-8"))
    assert [file for file in named if not (ROOT / file).exists()] == []
