"""The files of the page on nightly runs: short, well formed, and their commands do what they are for."""

from __future__ import annotations

import configparser
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from tests.docs.pages import ROOT
from tsx.cli.main import main

PAGE = (ROOT / "docs" / "every-night.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", PAGE, re.M | re.S))
SMALL = ["--max-steps", "1", "--hidden-size", "2", "--horizon", "2", "--context-length", "4", "--time", "day"]


def commands(file: str) -> list[list[str]]:
    """The words after `tsx` of every command in a file, also of the script's own `run`."""
    found = re.findall(r"(?:^run|(?<![\w/.-])tsx) ((?:fit|forecast)\b[^\"\n&]*)", FILES[file], re.M)
    return [shlex.split(words) for words in found]


@pytest.mark.parametrize("file", FILES)
def test_a_file_to_copy_has_ten_lines_at_most(file: str) -> None:
    assert len([line for line in FILES[file].splitlines() if line.strip()]) <= 10


@pytest.mark.parametrize("file", ["crontab", "sales-forecast.service", "nightly.sh", "sales_dag.py", "forecast.yml"])
def test_the_commands_of_a_recipe_make_a_forecast(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the folder that it names, beside a model that is there."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    pl.DataFrame({"day": range(40), "sales": random.normal(size=40)}).write_csv("sales.csv")
    assert main(["fit", "sales.csv", *SMALL, "--quiet"]) == 0
    found = commands(file)
    assert any(words[0] == "forecast" for words in found)
    for words in found:
        assert main([*words, *(SMALL if words[0] == "fit" else [])]) == 0
    assert pl.read_csv("forecast.csv").height == 2


def test_the_crontab_has_five_fields_and_a_command_a_line() -> None:
    lines = [line for line in FILES["crontab"].splitlines() if "=" not in line.split()[0]]
    assert len(lines) == 2
    assert all(re.fullmatch(r"(?:[\d*/,-]+ +){5}cd /srv/sales && tsx .*", line) for line in lines)


def test_the_units_are_what_systemd_reads() -> None:
    for file, section in (("sales-forecast.service", "Service"), ("sales-forecast.timer", "Timer")):
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str  # type: ignore[assignment,method-assign]
        unit.read_string(FILES[file])
        assert section in unit
    assert unit["Timer"]["OnCalendar"]
    assert unit["Install"]["WantedBy"] == "timers.target"


def test_the_dag_is_one_task_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    made: dict[str, Any] = {}

    def dag(**settings: Any) -> Any:
        made["dag"] = settings
        return lambda function: function

    def bash(**settings: Any) -> Any:
        made["task"] = settings
        return lambda function: lambda: made.update(command=function())

    sdk = ModuleType("airflow.sdk")
    sdk.dag, sdk.task = dag, SimpleNamespace(bash=bash)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)
    exec(compile(FILES["sales_dag.py"], "sales_dag.py", "exec"), {})
    assert made["command"].startswith("tsx forecast")
    assert made["task"]["cwd"] == "/srv/sales"


def test_the_workflow_has_one_job_whose_steps_run() -> None:
    workflow = yaml.safe_load(FILES["forecast.yml"])
    (job,) = workflow["jobs"].values()
    assert all({"run", "uses"} & step.keys() for step in job["steps"])


def test_the_container_runs_the_program() -> None:
    assert FILES["Containerfile"].splitlines()[-1] == 'ENTRYPOINT ["tsx"]'
