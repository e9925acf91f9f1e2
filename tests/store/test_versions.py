"""Listing, comparing and choosing versions, as `tsx models` does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.shell import ROOT
from tests.store.conftest import Model
from tests.store.test_model_directory import copy_of_old, versions
from tests.stored import in_use
from tsx.cli.main import main
from tsx.store import catalog


@pytest.fixture
def place(model: Model, tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        model.save(tmp_path / "m", number)
    return tmp_path / "m"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str], place: Path) -> Callable[..., Any]:
    """What `tsx models` says of the model with these words, as its JSON document."""

    def run(*words: str, status: int = 0) -> Any:
        capsys.readouterr()
        assert main(["models", *words, "--model", str(place), "--json"]) == status
        return json.loads(capsys.readouterr().out)

    return run


def test_versions_are_listed_with_their_data_and_the_paths_of_their_files(
    said: Callable[..., Any], model: Model
) -> None:
    found = said()["versions"]
    assert [(each["version"], each["in_use"]) for each in found] == [("v1", False), ("v2", False), ("v3", True)]
    steps = model.manifest.data.steps
    assert [each["data"]["steps"] for each in found] == [steps + 1, steps + 2, steps + 3]
    assert all(Path(path).is_file() for each in found for path in each["files"].values())
    assert found[0]["skill"] == model.manifest.metrics.verdict.skill  # type: ignore[union-attr]


def test_a_rollback_goes_one_version_back_or_to_the_one_that_is_named(
    said: Callable[..., Any], model: Model, place: Path
) -> None:
    assert said("rollback")["version"] == "v2"
    assert model.number(place) == 2
    assert said("rollback", "v1")["version"] == "v1"
    assert said("rollback", status=4)["error"]["code"] == "version-not-found"
    assert said("rollback", "v9", status=4)["error"]["code"] == "version-not-found"
    assert model.number(place) == 1
    assert model.save(place, 4) == "v4"
    assert versions(place) == ["v2", "v3", "v4"]


def test_the_version_in_use_is_never_pruned(said: Callable[..., Any], place: Path) -> None:
    said("rollback", "v1")
    assert said("prune", "--keep", "1")["removed"] == ["v2"]
    assert versions(place) == ["v1", "v3"]
    assert said("prune", "--keep", "1")["removed"] == []
    assert said("prune", "--keep", "0", status=5)["error"]["code"] == "setting-out-of-range"


def test_a_difference_is_named_with_both_values_and_the_path_of_the_data_is_not(
    said: Callable[..., Any], model: Model
) -> None:
    document = said("diff")
    assert (document["before"], document["after"]) == ("v2", "v3")
    steps = model.manifest.data.steps
    assert document["differences"] == [{"section": "data", "name": "steps", "before": steps + 2, "after": steps + 3}]
    assert said("diff", "v1", "v1")["differences"] == []


def test_from_a_damaged_version_one_can_go_back_and_not_to_it(
    said: Callable[..., Any], model: Model, place: Path
) -> None:
    weights = in_use(place) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert "model.safetensors" in said()["versions"][2]["damaged"]
    said("rollback")
    assert model.number(place) == 2
    assert said("rollback", "v3", status=5)["error"]["code"] == "model-damaged"
    (place / "CURRENT").write_text("v7")
    assert [each["in_use"] for each in said()["versions"]] == [False] * 3
    said("rollback", "v1")
    assert model.number(place) == 1


def test_where_the_pointer_is_gone_the_hint_puts_a_version_in_use_again(
    place: Path, model: Model, said: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "CURRENT").unlink()
    assert main(["forecast", "--model", str(place), "--json"]) == 4
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["code"], "beside v1, v2 and v3" in error["message"]) == ("model-not-found", True)
    said("rollback", *re.findall(r"rollback (v\d)", error["hint"]))
    assert model.number(place) == 3


@pytest.mark.parametrize("until", [None, "manifest.json"], ids=["wholly", "in part"])
def test_a_version_that_another_run_removes_meanwhile_is_not_listed(
    place: Path, monkeypatch: pytest.MonkeyPatch, until: str | None
) -> None:
    real = catalog.parse_manifest

    def while_it_is_removed(folder: Path, content: bytes) -> Any:
        if folder.name == "v1":
            for name in ("model.safetensors", "card.md", "manifest.json"):
                if name == until:
                    break
                (folder / name).unlink()
        return real(folder, content)

    monkeypatch.setattr(catalog, "parse_manifest", while_it_is_removed)
    assert [version.name for version in catalog.list_versions(place)] == ["v2", "v3"]


def test_a_model_of_0_1_0_has_one_version(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = copy_of_old(tmp_path / "old")
    assert main(["models", "--model", str(old), "--json"]) == 0
    (only,) = json.loads(capsys.readouterr().out)["versions"]
    assert (only["version"], only["in_use"], only["files"]["card.md"]) == ("v1", True, str(old / "card.md"))


def test_for_a_person_the_version_in_use_is_marked(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--model", str(place)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "in use" in line] == ["v3"]
    assert main(["models", "diff", "--model", str(place)]) == 0
    assert "v2 and v3: 1 difference" in capsys.readouterr().out
    assert main(["models", "list", "v1", "--model", str(place)]) == 2


def test_versions_are_listed_without_torch(place: Path) -> None:
    program = "import sys; from tsx.cli.main import main; main(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, "models", "--model", str(place)], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_list_that_saw_neither_the_old_version_nor_the_new_one_is_made_again(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that is listed while one name goes and another comes may show neither."""
    place = tmp_path / "m"
    model.save(place)
    seen = catalog.versions

    def between(directory: Path) -> list[Path]:
        monkeypatch.setattr(catalog, "versions", seen)
        model.save(place, 1, keep=1)
        return []

    monkeypatch.setattr(catalog, "versions", between)
    assert [version.name for version in catalog.list_versions(place)] == ["v2"]
