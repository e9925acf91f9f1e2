"""The files of the page on nightly runs: short, well formed, and their commands do what they are for."""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from tests.docs.pages import ROOT, Reader, missing, steps
from tests.docs.pages import SMALL as SMALL_FIT
from tsx.cli.main import main

PAGE = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("every-night.md", "scale.md"))
FILES = dict(re.findall(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", PAGE, re.M | re.S))
SMALL = ["--max-steps", "1", "--hidden-size", "2", "--horizon", "2", "--context-length", "4", "--time", "day"]


def commands(file: str) -> list[list[str]]:
    """The words after `tsx` of every command in a file, also of the script's own `run`."""
    found = re.findall(r"(?:^run|(?<![\w/.-])tsx) ((?:fit|forecast)\b[^\"\n&>]*)", FILES[file], re.M)
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


def test_the_commands_of_the_page_on_parts_print_what_it_shows(tmp_path: Path) -> None:
    reader = Reader(tmp_path, **SMALL_FIT, TSX_MAX_STEPS="1")
    random = np.random.default_rng(0)
    days = pl.Series(list(range(120)) * 40).cast(pl.Int32).cast(pl.Date)
    table = {"store": np.repeat(range(40), 120), "day": days, "sales": random.normal(size=4_800)}
    pl.DataFrame(table).write_parquet(tmp_path / "sales.parquet")
    followed = list(steps(ROOT / "docs" / "scale.md"))
    assert [step.code.split()[1] for step in followed] == ["partition", "fit", "forecast", "forecast", "merge"]
    for step in followed:
        assert missing(step.shown, reader.follow(step)) == []


def as_called(script: str, **variables: str) -> list[str]:
    """The words that a shell hands to `tsx` where a scheduler has set these variables."""
    script = "tsx() { printf '%s\\n' \"$@\"; }\n" + script.replace("cd /srv/sales", ":").replace("exec tsx", "tsx")
    done = subprocess.run(["/bin/sh", "-c", script], env=variables, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.parametrize("file", ["forecast.sbatch", "forecast-job.yml"])
def test_the_tasks_of_an_array_make_the_forecast_of_one_run(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three tasks in place of the twenty of the page, as the scheduler starts them."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    table = pl.DataFrame({"store": np.repeat(range(12), 40), "day": list(range(40)) * 12})
    table.with_columns(sales=pl.Series(random.normal(size=480))).write_parquet("sales.parquet")
    assert main(["fit", "sales.parquet", "--id", "store", "--target", "sales", *SMALL, "--quiet"]) == 0
    assert main(["partition", "sales.parquet", "--id", "store", "--parts", "5", "--out", "parts"]) == 0
    for task in range(3):
        if file.endswith(".yml"):
            (container,) = yaml.safe_load(FILES[file])["spec"]["template"]["spec"]["containers"]
            assert container["command"] == ["sh", "-c"]
            words = as_called(container["args"][0].replace("/20", "/3"), JOB_COMPLETION_INDEX=str(task))
        else:
            given = {"SLURM_ARRAY_TASK_ID": str(task + 1), "SLURM_ARRAY_TASK_COUNT": "3"}
            words = as_called(FILES[file], **given)
        assert main(words) == 0
    assert main(["merge", "forecasts", "--out", "merged.parquet"]) == 0
    assert main(["forecast", "parts", "--out", "one.parquet"]) == 0
    assert Path("merged.parquet").read_bytes() == Path("one.parquet").read_bytes()


def test_the_crontab_has_five_fields_and_a_command_a_line() -> None:
    lines = [line for line in FILES["crontab"].splitlines() if "=" not in line.split()[0]]
    assert len(lines) == 2
    assert all(re.fullmatch(r"(?:[\d*/,-]+ +){5}cd /srv/sales && tsx .*", line) for line in lines)


def test_a_night_of_the_crontab_that_succeeds_prints_nothing(tmp_path: Path) -> None:
    flags = {f"TSX_{name[2:].replace('-', '_').upper()}": value for name, value in zip(SMALL[::2], SMALL[1::2])}
    reader = Reader(tmp_path, **flags)
    random = np.random.default_rng(0)
    pl.DataFrame({"day": range(40), "sales": random.normal(size=40)}).write_csv(tmp_path / "sales.csv")
    night = re.findall(r"cd /srv/sales && (.*)", FILES["crontab"])
    assert [reader.run(command) for command in night] == ["", ""]
    assert (tmp_path / "forecast.csv").is_file()


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
