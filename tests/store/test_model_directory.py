"""Versions of a model: what is in use after every kind of failure, and what is never touched."""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.faults import Faults, Killed, injected, refusal
from tests.store.conftest import Model
from tests.stored import FIXTURES, change_manifest, in_use, manifest_of, tree
from tsx.errors import DataError, NotFound
from tsx.store import model_directory
from tsx.store.forecaster import load_forecaster
from tsx.store.layout import MANIFEST, WEIGHTS
from tsx.store.lock import writing_to

FILES = {"manifest.json", "model.safetensors", "card.md"}
OLD = FIXTURES / "model-0.1.0"


def versions(directory: Path) -> list[str]:
    return sorted(path.name for path in (directory / "versions").iterdir())


def copy_of_old(place: Path) -> Path:
    """A model directory as 0.1.0 wrote it."""
    place.mkdir(parents=True)
    for name in FILES:
        shutil.copy(OLD / name, place / name)
    return place


def operations(work: Callable[[], Any]) -> int:
    faults = Faults()
    with injected(faults):
        work()
    return faults.count


def test_a_model_is_a_version_and_a_pointer_to_it(model: Model, tmp_path: Path) -> None:
    place = tmp_path / "m"
    assert [model.save(place, number) for number in (1, 2)] == ["v1", "v2"]
    assert model.number(place) == 2
    assert {path.name for path in place.iterdir()} == {"CURRENT", "versions", ".lock"}
    assert {path.name for path in in_use(place).iterdir()} == FILES
    assert manifest_of(place)["files"].keys() == {"model.safetensors", "card.md"}


def test_the_newest_versions_stay_and_the_one_in_use_does(model: Model, tmp_path: Path) -> None:
    place = tmp_path / "m"
    for number in range(5):
        model.save(place, number)
    assert versions(place) == ["v3", "v4", "v5"]
    model.save(place, 5, keep=1)
    assert versions(place) == ["v6"]


def test_the_same_model_is_the_same_bytes(model: Model, tmp_path: Path) -> None:
    for name in ("a", "b"):
        model.save(tmp_path / name)
    assert tree(tmp_path / "a") == tree(tmp_path / "b")


@pytest.mark.parametrize("before", ["none", "0.1.0", "one", "three"])
def test_killed_at_any_operation_one_whole_model_is_in_use_and_the_next_save_cleans_up(
    model: Model, tmp_path: Path, before: str
) -> None:
    template = tmp_path / "template" / "m"
    if before == "0.1.0":
        copy_of_old(template)
    for number in range({"one": 1, "three": 3}.get(before, 0)):
        model.save(template, number)
    at, whole = 0, False
    while not whole:
        place = tmp_path / str(at) / "m"
        place.parent.mkdir()
        if before != "none":
            shutil.copytree(template, place)
        there = model.number(place) if before != "none" else None
        faults = Faults(at)
        with suppress(Killed), injected(faults):
            model.save(place, 7)
        whole, at = faults.count <= at, at + 1
        try:
            assert model.number(place) in (there, 7)
        except NotFound:
            assert there is None
        model.save(place, 8)
        assert model.number(place) == 8
        assert {path.name for path in place.parent.iterdir()} == {"m"}
        assert {path.name for path in place.iterdir()} == {"CURRENT", "versions", ".lock"}
        assert {name: set(os.listdir(place / "versions" / name)) for name in versions(place)} == dict.fromkeys(
            versions(place), FILES
        )
        assert len(versions(place)) <= 3
    assert at > 30


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EDQUOT])
def test_whatever_the_system_refuses_the_model_before_stays_or_the_new_one_is_in_use(
    model: Model, tmp_path: Path, number: int
) -> None:
    place = tmp_path / "m"
    model.save(place, 0)
    refused = 0
    for at in range(operations(lambda: model.save(place, 0))):
        there = model.number(place)
        fault = Faults(at, lambda: OSError(number, os.strerror(number)))
        message = refusal(fault, lambda there=there: model.save(place, there + 1))
        assert message is None or os.strerror(number) in message
        assert model.number(place) == there + 1 or (message is not None and model.number(place) == there)
        refused += message is not None
    assert refused > 15


class Stopped(BaseException):
    """What a signal raises."""


def test_stopped_at_any_operation_nothing_of_the_new_version_is_left(model: Model, tmp_path: Path) -> None:
    place = tmp_path / "m"
    for number in range(3):
        model.save(place, number)
    stood = set()
    for at in range(operations(lambda: model.save(place, 3))):
        there = model.number(place)
        with suppress(Stopped), injected(Faults(at, Stopped)):
            model.save(place, there + 1)
        stood.add(model.number(place) - there)
        newest = max(int(name.removeprefix("v")) for name in versions(place))
        assert in_use(place).name == f"v{newest}"
    assert stood == {0, 1}


def test_a_model_of_0_1_0_becomes_the_first_version(model: Model, tmp_path: Path) -> None:
    place = copy_of_old(tmp_path / "m")
    assert model.number(place) == 0
    (place / "forecast.csv").write_text("mine")
    assert model.save(place, 1) == "v2"
    assert tree(place / "versions" / "v1") == {name: (OLD / name).read_bytes() for name in FILES}
    assert (place / "forecast.csv").read_text() == "mine"
    assert not any((place / name).exists() for name in FILES)


def test_what_0_1_0_left_beside_a_model_is_removed_and_never_read(model: Model, tmp_path: Path) -> None:
    place = tmp_path / "m"
    copy_of_old(tmp_path / ".m.backup")
    (tmp_path / ".m.77.new").mkdir()
    (tmp_path / ".m.77.new" / "model.safetensors").write_text("")
    (tmp_path / ".m.78.new").mkdir()
    (tmp_path / ".m.78.new" / "diary.txt").write_text("mine")
    with pytest.raises(NotFound):
        model_directory.load(place)
    model.save(place)
    assert {path.name for path in tmp_path.iterdir()} == {"m", ".m.78.new"}


FOREIGN: dict[str, dict[str, str]] = {
    "a web project": {"manifest.json": '{"name": "app", "icons": []}', "src/index.js": "1"},
    "a web extension": {"manifest.json": '{"manifest_version": 3, "version": "1.0"}', "card.md": "# card"},
    "a database": {"CURRENT": "MANIFEST-000004\n", "MANIFEST-000004": "x", "LOCK": ""},
    "a release folder": {"CURRENT": "v2\n", "versions/v1/app": "1", "versions/v2/app": "2"},
    "releases with manifests": {"versions/v1/manifest.json": "{}", "versions/v1/model.safetensors": "x"},
    "weights of another program": {"model.safetensors": "x", "config.json": "{}"},
    "notes": {"diary.txt": "Monday: rain"},
    "hidden files": {".git/config": "[core]"},
    "a broken manifest": {"manifest.json": '{"format_version": 2, "sch'},
    "a file called as the folder": {"versions": "1, 2, 3"},
}


@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(
    model: Model, tmp_path: Path, files: dict[str, str]
) -> None:
    place = tmp_path / "theirs"
    for name, content in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content)
    before = tree(place)
    with pytest.raises(DataError) as refused:
        model.save(place)
    assert refused.value.code == "not-a-model"
    assert tree(place) == before
    assert not (place / ".lock").exists()


def test_files_that_somebody_put_into_a_model_directory_stay(model: Model, tmp_path: Path) -> None:
    place = tmp_path / "m"
    model.save(place)
    theirs = {
        "forecast.csv": "mine",
        "manifest.json": '{"name": "app"}',
        "card.md": "# mine",
        "versions/v1/notes.txt": "mine",
        "versions/README": "mine",
        "versions/old/model.safetensors": "mine",
        ".CURRENT.tmp": "mine",
    }
    for name, content in theirs.items():
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_text(content)
    for number in range(5):
        model.save(place, number)
    assert {name: (place / name).read_text() for name in theirs} == theirs
    assert model.number(place) == 4
    assert sorted(path.name for path in (place / "versions" / "v1").iterdir()) == ["notes.txt"]


def test_a_model_is_not_written_into_another(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    for inner in ("versions", "versions/v1", "versions/v9"):
        with pytest.raises(DataError) as refused:
            model.save(tmp_path / "m" / inner)
        assert refused.value.code == "not-a-model"


def test_a_mount_point_a_link_and_the_folder_itself_can_be_written_night_after_night(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that is a mount point can be neither renamed nor removed, and may hold `lost+found`."""
    place = tmp_path / "mounted"
    (place / "lost+found").mkdir(parents=True)
    inode = place.stat().st_ino
    (tmp_path / "current").symlink_to("mounted")
    for number, named in enumerate((place, tmp_path / "current", Path("."))):
        monkeypatch.chdir(place)
        model.save(named, number)
        assert model.number(named) == number
    assert (tmp_path / "current").is_symlink()
    assert place.stat().st_ino == inode
    assert stat.S_ISDIR((place / "lost+found").stat().st_mode)


def test_a_run_that_fails_before_it_saves_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("there", "new"):
        with pytest.raises(KeyboardInterrupt), writing_to(tmp_path / name):
            raise KeyboardInterrupt
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["there"]


def test_a_version_that_a_writer_replaces_while_it_is_read_is_read_again(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tsx.store import snapshot

    place = tmp_path / "m"
    model.save(place, 1)
    read, paused = snapshot.read_file, []

    def slow(path: Path) -> bytes:
        if path.name == "model.safetensors" and not paused:
            paused.append(path)
            for number in (2, 3):
                model.save(place, number, keep=1)
        return read(path)

    monkeypatch.setattr(snapshot, "read_file", slow)
    assert model.number(place) == 3
    assert paused


def test_a_model_of_0_1_0_that_becomes_a_version_while_it_is_read_is_read_again(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tsx.store import snapshot

    place = copy_of_old(tmp_path / "m")
    read, paused = snapshot.read_file, []

    def slow(path: Path) -> bytes:
        if path.name == "model.safetensors" and not paused:
            paused.append(path)
            model.save(place, 2)
        return read(path)

    monkeypatch.setattr(snapshot, "read_file", slow)
    assert model.number(place) == 2


def refused(code: str, place: Path) -> str:
    with pytest.raises(DataError) as failed:
        model_directory.load(place)
    assert failed.value.code == code
    return failed.value.message


@pytest.mark.parametrize("name", ["CURRENT", "manifest.json", "model.safetensors"])
def test_a_flipped_bit_a_cut_and_a_lost_file_are_damage(model: Model, tmp_path: Path, name: str) -> None:
    place = tmp_path / "m"
    model.save(place)
    path = place / name if name == "CURRENT" else in_use(place) / name
    whole = path.read_bytes()
    for mutant in mutants(whole):
        path.write_bytes(mutant)
        refused("model-damaged", place)
    path.unlink()
    if name != "CURRENT":
        refused("model-damaged", place)
    os.mkfifo(path)
    refused("model-damaged", place)


def mutants(whole: bytes) -> list[bytes]:
    size = len(whole)
    places = range(0, size, max(1, size // 100))
    flipped = [whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :] for at in places for bit in (1, 128)]
    return [*flipped, b"", whole[: size // 2], whole[:-1], whole + b"\n", bytes(size)]


def test_weights_of_another_version_are_damage(model: Model, tmp_path: Path) -> None:
    place = tmp_path / "m"
    for number in range(2):
        model.save(place, number)
    shutil.copy(place / "versions" / "v1" / "model.safetensors", in_use(place))
    assert "model.safetensors" in refused("model-damaged", place)


def test_a_lost_pointer_beside_versions_is_no_model(model: Model, tmp_path: Path) -> None:
    place = tmp_path / "m"
    model.save(place)
    (place / "CURRENT").unlink()
    with pytest.raises(NotFound):
        model_directory.load(place)
    assert model.save(place, 1) == "v2"


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        ("network", {"hidden_size": 9}),
        ("network", {"hidden_size": 10**8}),
        ("network", {"layers": 10**8}),
        ("network", {"horizon": 10**8}),
        ("network", {"context_length": 10**9}),
        ("training", {"members": 10**8}),
        ("data", {"steps": "many"}),
    ],
)
def test_a_manifest_that_fits_other_weights_is_damage_and_takes_no_time(
    model: Model, tmp_path: Path, section: str, changes: dict[str, Any]
) -> None:
    """Whoever changed it also changed the hash by which it is known."""
    place = tmp_path / "m"
    model.save(place)
    change_manifest(place, lambda content: {**content, section: {**content[section], **changes}})
    with pytest.raises(DataError) as failed:
        load_forecaster(place, device="cpu")
    assert failed.value.code == "model-damaged"


def test_weights_that_are_no_numbers_are_never_put_in_use(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "m", 1.0)
    with pytest.raises(DataError) as failed:
        model.save(tmp_path / "m", float("inf"))
    assert failed.value.code == "training-diverged"
    assert in_use(tmp_path / "m").name == "v1"


def test_weights_that_are_no_numbers_are_damage(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(model_directory, "all_finite", lambda _: True)
        model.save(tmp_path / "m", float("nan"))
    with pytest.raises(DataError) as failed:
        load_forecaster(tmp_path / "m", device="cpu")
    assert failed.value.code == "model-damaged"


def test_a_model_of_a_newer_format_is_named_as_such(model: Model, tmp_path: Path) -> None:
    place = tmp_path / "m"
    model.save(place)
    change_manifest(place, lambda content: {**content, "format_version": 99})
    refused("model-version", place)


def test_what_may_not_be_read_is_not_called_damaged(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "m"
    model.save(place)
    for name in ("CURRENT", "manifest.json", "model.safetensors"):
        open_file = os.open

        def denied(path: Any, *more: Any, name: str = name, open_file: Callable[..., int] = open_file) -> int:
            if str(path).endswith(name):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            return open_file(path, *more)

        monkeypatch.setattr(os, "open", denied)
        assert "Permission denied" in refused("file-unreadable", place)
        monkeypatch.undo()


def test_500_damaged_models_are_all_known_as_damaged(model: Model, tmp_path: Path) -> None:
    """Bits flipped, bytes left out, doubled and put in, files cut, in the pointer, the manifest and the weights."""
    draw = random.Random(0)
    model.save(tmp_path / "m")
    files = [tmp_path / "m" / "CURRENT", *(in_use(tmp_path / "m") / name for name in (MANIFEST, WEIGHTS))]
    for number in range(500):
        file = files[number % 3]
        whole = file.read_bytes()
        at = draw.randrange(len(whole))
        size = draw.randrange(1, 9)
        byte = bytes([whole[at] ^ 1 << draw.randrange(8)])
        spoilt = draw.choice(
            [
                whole[:at] + byte + whole[at + 1 :],
                whole[:at] + whole[at + size :],
                whole[: at + size] + whole[at:],
                whole[:at] + draw.randbytes(size) + whole[at:],
                whole[:at],
            ]
        )
        file.write_bytes(spoilt)
        with pytest.raises(DataError) as refused:
            load_forecaster(tmp_path / "m", device="cpu")
        assert refused.value.code == "model-damaged", (file.name, at)
        file.write_bytes(whole)
    assert model.number(tmp_path / "m") == 0
